"""What Weights & Biases writes: the runs table as a CSV, the CSV of its API's example, folders of runs, histories.

| where it comes from | what it looks like |
|---|---|
| "Export table as CSV" of the project page | `Name`, `State`, `Runtime`, … and configuration and summary under their own names |
| the export of its API documentation | `summary` and `config` as text of a Python dict in each cell, `name` |
| `wandb/` with `run-*` and `offline-run-*` | `run-<id>.wandb`, the log of all records |
| the same of runs that were online | also `files/config.yaml` and `files/wandb-summary.json` |
| a history, many rows a run | `_step`, `_runtime`, `_timestamp` and the metrics |
"""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from analysis.reading.chart import refuse_chart
from analysis.reading.diverged import nan_losses, with_diverged
from analysis.reading.formats import as_table
from analysis.reading.history import last_of_each_run
from analysis.reading.nested import flat
from analysis.reading.wandb_log import read_log
from analysis.reading.yaml_file import yaml_mapping
from scaling.errors import DataError

__all__ = ["is_folder", "read_folder", "read_log", "tidy"]


def is_folder(path: Path) -> bool:
    """Say whether a path is a `wandb` folder or one run of it."""
    return any(path.glob("*run-*")) or any(path.glob("*.wandb")) or (path / "files" / "wandb-summary.json").is_file()


def read_folder(path: Path, notes: list[str]) -> pd.DataFrame:
    """Read a row a run: its configuration and its summary under their own names, with `id` and, where it has a log, `Name` and `State`.

    notes: gets a sentence that counts the folders without a log and a summary. Raises `DataError` where all are such.
    """
    runs = sorted(found for found in path.glob("*run-*/") if not found.is_symlink()) or [path]
    rows = [row for run in runs if (row := _run(run)) is not None]
    if rows and len(rows) < len(runs):
        notes.append(f"{len(runs) - len(rows)} of {len(runs)} folders of runs hold neither a log nor a summary and were left out")
    if not rows:
        raise DataError(
            f"{path}: no run in it has a .wandb log or a wandb-summary.json", hint="give the folder `wandb` that holds run-*"
        )
    return as_table(rows, path)


def tidy(
    table: pd.DataFrame, path: Path, notes: list[str], losses: Collection[str] = (), mapped: Collection[str] = ()
) -> pd.DataFrame:
    """Give a table that W&B exported `id` and `status`, and a row a run; return any other table as it is.

    losses: columns that are losses whatever their name. mapped: those that `--map` names. notes: gets a sentence for each thing that was
    set aside. Raises `DataError` for the export of a chart.
    """
    refuse_chart(table, path, mapped)
    if {"summary", "config"} <= set(table) and table["summary"].map(
        lambda cell: isinstance(cell, str) and cell.startswith("{")
    ).any():
        table = _unpacked(table, path)
    if "_step" in table:
        table = last_of_each_run(table, path, notes, losses)
    if any(name in table for name in ("State", "state", "_runtime", "_timestamp")):
        logged = [name for name in map(str, table) if not name.startswith("config.")]
        table = with_diverged(table, nan_losses(table, logged, losses))
    if {"Name", "State"} <= set(table):
        table = table.rename(columns={"State": "status"} if "status" not in table else {})
        if "id" not in table:
            names = "ID" if "ID" in table else "Name"
            if table[names].notna().all() and table[names].is_unique:
                table = table.rename(columns={names: "id"})
    elif "state" in table and "status" not in table and ("name" in table or "_runtime" in table):
        table = table.rename(columns={"state": "status"})
    return table


def _unpacked(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Turn cells with the text of a dict into columns; a name that both dicts have keeps its `config.` for the setting."""
    rows = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        summary, config = (_dict(row.pop(name), path, number, name) for name in ("summary", "config"))
        rest = {str(name): value for name, value in row.items() if not str(name).startswith("Unnamed")}
        rows.append({**rest, **_settings_and_summary(config, summary, f"{path}: row {number}")})
    return as_table((_without_internals(row) for row in rows), path)


def _dict(cell: object, path: Path, row: int, column: str) -> dict[str, object]:
    if isinstance(cell, dict):
        return cell
    if not isinstance(cell, str) or not cell.strip():
        return {}
    try:
        found = ast.literal_eval(_without_bare_nan(cell))
    except (ValueError, SyntaxError):
        try:
            found = json.loads(cell)
        except json.JSONDecodeError:
            raise DataError(
                f"{path}: row {row}, column {column}: the text is no dict: {cell[:60]!r}", hint="write config and summary as JSON"
            ) from None
    return found if isinstance(found, dict) else {}


def _settings_and_summary(config: Mapping[str, object], summary: Mapping[str, object], where: str) -> dict[str, object]:
    """Join settings and summary to one row, with dots in nested names; a name that is in both keeps its `config.` for the setting."""
    settings, results = (flat(part, where) for part in ({name: _setting(value) for name, value in config.items()}, summary))
    return {**{(f"config.{name}" if name in results else name): value for name, value in settings.items()}, **results}


def _setting(value: object) -> object:
    """Write None as a word: a setting that was set to None has that value; among numbers it is read as missing."""
    return "None" if value is None else value


def _without_bare_nan(text: str) -> str:
    """Quote the NaN of `{'loss': nan}`, which is how Python prints it, and no literal."""
    return text.replace(": nan", ": 'nan'").replace(": inf", ": 'inf'").replace(": -inf", ": '-inf'")


def _without_internals(row: dict[str, object]) -> dict[str, object]:
    return {
        name: value for name, value in row.items() if name not in ("_wandb", "wandb_version") and not name.startswith("_wandb.")
    }


def _run(folder: Path) -> dict[str, object] | None:
    files = folder / "files" if (folder / "files").is_dir() else folder
    row: dict[str, object] = {}
    for log in sorted(folder.glob("*.wandb")):
        row |= read_log(log)
    config, summary = files / "config.yaml", files / "wandb-summary.json"
    settings = yaml_mapping(config) if config.is_file() else {}
    # {value: …}, with a description in old versions; a plain value where people wrote the file.
    settings = {name: entry["value"] if isinstance(entry, dict) and "value" in entry else entry for name, entry in settings.items()}
    results = json.loads(summary.read_text()) if summary.is_file() else {}
    row |= _settings_and_summary(settings, results, str(folder))
    if not row:
        return None
    row.setdefault("id", folder.name.rpartition("-")[2])
    return _without_internals(row)
