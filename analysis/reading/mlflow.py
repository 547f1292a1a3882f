"""What MLflow writes: the folder `mlruns`, the database `mlflow.db`, and the table that `mlflow.search_runs` returns.

A run becomes a row with `id`, `status` and its metrics, parameters and tags under their own names; a name that several of them use
goes to the metric, and the others keep `params.` or `tags.` before it. `experiment` is the name of the experiment that a run is in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reading.diverged import nan_losses, with_diverged
from analysis.reading.formats import as_table
from analysis.reading.source import keep_words
from analysis.reading.typed import from_text
from analysis.reading.yaml_file import yaml_mapping
from scaling.errors import DataError

__all__ = ["is_database", "is_folder", "read_database", "read_folder", "tidy"]

_KINDS = ("metrics", "params", "tags")
_STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}  # of `meta.yaml`


def is_folder(path: Path) -> bool:
    """Say whether a path is a file store, one of its experiments, or one of its runs."""
    return any(path.glob("*/meta.yaml")) or (path / "meta.yaml").is_file()


def is_database(path: Path) -> bool:
    """Say whether a path is an SQLite database with MLflow's tables."""
    if path.suffix.lower() not in (".db", ".sqlite", ".sqlite3"):
        return False
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base:
        try:
            names = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.DatabaseError:
            return False
    return {"runs", "latest_metrics", "params", "tags"} <= names


def read_folder(path: Path, notes: list[str], losses: Collection[str] = ()) -> pd.DataFrame:
    """Read every run in the folder that was not deleted, with the last value of each metric. Raises `DataError` when there is none.

    notes: gets a sentence that counts the deleted runs, whether MLflow moved them to `.trash` or only marked them.
    """
    folders = [meta.parent for meta in sorted(path.rglob("meta.yaml")) if _is_run(meta.parent)]
    found = [_run(folder) for folder in folders if ".trash" not in folder.relative_to(path).parts]
    rows = [row for row in found if row.pop("lifecycle_stage") == "active"]
    _count_deleted(len(folders) - len(rows), notes)
    if not rows:
        raise DataError(f"{path}: no run of MLflow in it", hint="give the folder mlruns, or the folder of one experiment in it")
    return tidy(as_table(rows, path), losses)


def _count_deleted(number: int, notes: list[str]) -> None:
    if number:
        notes.append("1 run deleted in MLflow was left out" if number == 1 else f"{number} runs deleted in MLflow were left out")


def read_database(path: Path, notes: list[str], losses: Collection[str] = ()) -> pd.DataFrame:
    """Read every run in the database that was not deleted, with the last value of each metric. Raises `DataError` when there is none.

    The database keeps infinite metrics as the largest number, and NaN as 0 with a flag. notes: gets a sentence that counts the deleted
    runs.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base:
        rows = {
            run: {"run_id": run, "status": status, "tags.mlflow.runName": name}
            for run, status, name in base.execute("SELECT run_uuid, status, name FROM runs WHERE lifecycle_stage = 'active'")
        }
        for run, experiment in _experiments(base):
            if run in rows:
                rows[run]["experiment"] = experiment
        (deleted,) = base.execute("SELECT count(*) FROM runs WHERE lifecycle_stage != 'active'").fetchone()
        _count_deleted(deleted, notes)
        for kind, query in (
            ("metrics", "SELECT run_uuid, key, value, is_nan FROM latest_metrics"),
            ("params", "SELECT run_uuid, key, value, 0 FROM params"),
            ("tags", "SELECT run_uuid, key, value, 0 FROM tags"),
        ):
            for run, key, value, is_nan in base.execute(query):
                if run in rows:
                    rows[run][f"{kind}.{key}"] = float("nan") if is_nan else value
    if not rows:
        raise DataError(f"{path}: no run of MLflow in it", hint="give the mlflow.db that the tracking server writes")
    return tidy(as_table(rows.values(), path), losses)


def tidy(table: pd.DataFrame, losses: Collection[str] = ()) -> pd.DataFrame:
    """Put a table of `mlflow.search_runs` in plain names, with its diverged runs marked; return any other table as it is.

    losses: columns that are losses whatever their name.
    """
    if "run_id" not in table or not any(str(name).startswith("metrics.") for name in table):
        return table
    taken = {str(name) for name in table if not str(name).startswith(tuple(f"{kind}." for kind in _KINDS))}
    names: dict[str, str] = {}
    for kind in _KINDS:
        for column in (str(name) for name in table if str(name).startswith(f"{kind}.")):
            plain = column.removeprefix(f"{kind}.")
            if plain not in taken:
                names[column] = plain
                taken.add(plain)
    if "experiment" not in table and "experiment_id" in table:
        table = table.assign(experiment=table["experiment_id"].astype(str))
    metrics = [column for column in map(str, table) if column.startswith("metrics.")]
    table = with_diverged(table, nan_losses(table, metrics, losses)).rename(columns=names)
    return _with_numbers(table.rename(columns={"run_id": "id"} if "id" not in table else {}), names.values())


def _with_numbers(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Turn parameters, which are text there, into numbers where they are numbers throughout."""
    texts = [name for name in names if table[name].map(lambda cell: cell is None or isinstance(cell, str)).all()]
    return keep_words(table.assign(**{name: from_text(table[name]) for name in texts}), {name: table[name] for name in texts})


def _is_run(folder: Path) -> bool:
    return any((folder / kind).is_dir() for kind in _KINDS)


def _run(folder: Path) -> dict[str, Any]:
    meta = yaml_mapping(folder / "meta.yaml")
    row: dict[str, object] = {"run_id": str(meta.get("run_id") or meta.get("run_uuid") or folder.name)}
    row["experiment"] = _experiment(folder.parent)
    row["lifecycle_stage"] = meta.get("lifecycle_stage", "active")
    row["status"] = _STATUSES.get(meta.get("status", 0), str(meta.get("status", "")))
    for kind in _KINDS:
        for file in sorted(found for found in (folder / kind).rglob("*") if found.is_file()):
            value = _last(file) if kind == "metrics" else file.read_text().strip()
            row[f"{kind}.{file.relative_to(folder / kind).as_posix()}"] = value
    return row


def _experiments(base: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return (run, name of its experiment) for each run; nothing from a database without experiments."""
    try:
        return base.execute("SELECT run_uuid, experiments.name FROM runs JOIN experiments USING (experiment_id)").fetchall()
    except sqlite3.OperationalError:
        return []


def _experiment(folder: Path) -> str:
    """Return the name of the experiment in a folder, else the folder's name."""
    about = folder / "meta.yaml"
    named = yaml_mapping(about).get("name") if about.is_file() else None
    return str(named or folder.name)


def _last(file: Path) -> float:
    """Return the value at the largest step, then the latest time; NaN of an empty file.

    A line is `timestamp value step`, in old stores without the step.
    """
    best: tuple[float, float, float] | None = None
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        try:
            time, value, *step = (float(part) for part in line.split()[:3])
        except ValueError:
            raise DataError(
                f"{file}: line {number}: {line!r} is not `timestamp value step`", hint="mend or remove that line"
            ) from None
        entry = (step[0] if step else 0.0, time, value)
        best = entry if best is None or entry[:2] >= best[:2] else best
    return best[2] if best else float("nan")
