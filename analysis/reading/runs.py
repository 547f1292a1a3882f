"""`read_runs`: a file or folder of anybody's runs → the table that the analysis takes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reading import formats, mlflow, wandb
from analysis.reading.configuration import configuration_of, is_export
from analysis.reading.numbers_in import numbers_in
from analysis.reading.source import KINDS, TIDIED, attach_source, source_of, words_kept
from analysis.reading.statuses import named_status, our_statuses
from analysis.reading.typed import is_missing_word, settled
from analysis.reading.units import Conversion, conversion, unit_named
from analysis.selection import steps_never_reached
from scaling.columns import COLUMNS, RUN_COLUMNS, describe
from scaling.errors import DataError, DataNotFound, UsageError, nearest

__all__ = ["read_runs"]


def read_runs(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    *,
    count_status: Sequence[str] = (),
) -> pd.DataFrame:
    """The table at `path` with the column names and units of `scaling.columns`; columns that are not mapped keep their names.

    >>> read_runs("runs.parquet", {"core_hours": "gpu_seconds"}, {"core_hours": "seconds*8"})

    Args:
        path: CSV, TSV, JSON, JSON lines or Parquet, one run a row; a CSV that Weights & Biases or MLflow exported; a folder `mlruns` or
            `wandb`, or a data base `mlflow.db`. No column is required here; `fit` and the others say what they miss.
        mapping: our column name → the name in the file, e.g. `{"core_hours": "tpu_v4_core_hours"}`.
        units: our column name → what its numbers are in the file: a product or quotient of a unit, numbers and columns, e.g. `minutes`,
            `seconds*8`, `seconds*n_gpus`, `PFLOP`, `%`, `bits`, `FLOP/(6*params)`. A column by our name is taken in our unit, by the
            file's name as it stands there. Cells that carry their unit (`3.5 h`) are converted without being asked.
        count_status: words for the end of a run, ours or the file's, that count as finished: `("failed",)` where only the launcher failed.

    Returns:
        One row a run. Number columns are numbers; an empty field is NaN. In a column of text the words None, NA, null are values
        (`analysis.reading.typed`). `status` is in our words. Without an `id` rows are called `row 1`, `row 2`, …
        `analysis.reading.source_of` says what was read, set aside and converted.

    Raises:
        DataNotFound: there is no such file.
        UsageError: a mapped column is not in the file, a unit or status is none, or the file's ending is not known.
        DataError: the table is empty, cannot be parsed, holds text where a number belongs, or a column mixes units (file, row and
            column are named).
    """
    path = Path(path)
    mapping, units = dict(mapping or {}), dict(units or {})
    notes: list[str] = []
    losses = {theirs for ours, theirs in mapping.items() if ours in ("val_loss", "train_loss")}
    table, kind = _read(path, notes, losses, set(mapping.values()))
    words = words_kept(table)
    table = settled(table)
    if table.empty:
        raise DataError(f"{path}: the table has no rows", hint="one run a row, below a row with the column names")
    table = _rename(table, mapping, path)
    table, renamed = _with_status(table)
    table = _without_words_for_nothing(table)
    ours = {theirs: name for name, theirs in mapping.items()}
    units = {ours.get(name, name) if name not in table else name: text for name, text in units.items()}
    table, converted = _in_our_units(table, units, mapping, path)
    notes += [f"{name} was read as {entry.text}: {entry} of what the file holds" for name, entry in converted.items()]
    _refuse_percentages(table, path)
    table = our_statuses(table, count_status, notes)
    if (steps := steps_never_reached(table)) is not None:
        notes.append(
            f"no run reached its {steps[1]}, so {steps[0]} counts something else or no run was trained to its end: all are kept"
        )
    if "id" not in table:
        table.insert(0, "id", [f"row {number}" for number in range(1, len(table) + 1)])
    table["id"] = table["id"].map(_id)
    about: dict[str, Any] = {"file": str(path), "format": kind, "sha256": _digest(path), "rows": len(table)}
    about |= {"words": {ours.get(name, name): word for name, word in words.items()}} if words else {}
    about |= {"mapping": mapping, "units": units, "renamed": renamed, "converted": list(converted), "notes": notes}
    if kind.endswith(("folder", "log", "data base", "export")):
        about["config"] = configuration_of(table)
    return attach_source(table, about)


def _read(path: Path, notes: list[str], losses: Collection[str], mapped: Collection[str]) -> tuple[pd.DataFrame, str]:
    if not path.exists():
        raise DataNotFound(f"no table of runs at {path}", hint="give the path of a CSV or Parquet file with one run a row")
    if path.is_dir():
        if wandb.is_folder(path):
            return wandb.tidy(wandb.read_folder(path, notes), path, notes, losses), "W&B folder"
        if mlflow.is_folder(path):
            return mlflow.read_folder(path, notes, losses), "MLflow folder"
        raise DataNotFound(f"no runs in folder {path}", hint="a folder `mlruns` of MLflow, or `wandb` of Weights & Biases")
    if path.suffix == ".wandb":
        return wandb.tidy(formats.as_table([wandb.read_log(path)]), path, notes, losses), "W&B log"
    if mlflow.is_database(path):
        return mlflow.read_database(path, notes, losses), "MLflow data base"
    table = formats.parse(path)
    notes += source_of(table)["notes"]
    table.columns = table.columns.map(str)
    exported = is_export([str(name) for name in table])
    kind = formats.format_of(path).removeprefix(".") + (", an export" if exported else "")
    return mlflow.tidy(wandb.tidy(table, path, notes, losses, mapped), losses), kind


def _with_status(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table with `status` and `id` under our names, and the names that they had."""
    renamed = {name: "status"} if (name := named_status(table)) is not None else {}
    if "id" not in table and "Run ID" in table:
        renamed["Run ID"] = "id"
    return table.rename(columns=renamed), renamed


def _without_words_for_nothing(table: pd.DataFrame) -> pd.DataFrame:
    """None and NA of a column that says something of the run, not of its recipe: they are no reason, accelerator or data set."""
    said = [column.name for column in RUN_COLUMNS if column.kind != "float" and column.name in table]
    said = [name for name in said if name not in ("family", "model", "id", "status") and table[name].dtype.kind == "O"]
    return table.assign(**{name: table[name].mask(table[name].map(is_missing_word), None) for name in said})


def _rename(table: pd.DataFrame, mapping: Mapping[str, str], path: Path) -> pd.DataFrame:
    present = [str(name) for name in table.columns]
    found: dict[str, str] = {}
    for ours, theirs in mapping.items():
        # MLflow and W&B put the kind before a name; either spelling is understood.
        spelt = [
            theirs,
            *(theirs.removeprefix(kind) for kind in KINDS),
            TIDIED.get(theirs, theirs),
            *(kind + theirs for kind in KINDS),
        ]
        name = next((name for name in spelt if name in present), None)
        if name is None:
            raise UsageError(
                f"{path}: no column {theirs!r} to map {ours} to{nearest(theirs, present)}",
                hint=f"columns there: {', '.join(present)}",
            )
        found[ours] = name
    # Columns are copied, since one of theirs may serve two of ours; one with our name that was not mapped to it gives way.
    copies = {ours: table[theirs] for ours, theirs in found.items()}
    used = [
        name for ours, name in found.items() if name != "id" or mapping[ours] == "id"
    ]  # the names of runs may be those of models too
    kept = table.drop(columns=[name for name in dict.fromkeys([*used, *found]) if name in table])
    return pd.concat([kept, pd.DataFrame(copies)], axis=1) if copies else kept


def _in_our_units(
    table: pd.DataFrame, units: Mapping[str, str], mapping: Mapping[str, str], path: Path
) -> tuple[pd.DataFrame, dict[str, Conversion]]:
    """Numbers as numbers, in our units, and the conversion of each column that needed one."""
    theirs = {name: ours for ours, name in mapping.items() if name not in table}
    asked = {name: _asked(name, text, table, mapping, theirs) for name, text in units.items()}
    sources = {theirs.get(name, name) for entry in asked.values() for name in entry.columns}
    numeric = [
        name
        for name in table.columns
        if name in asked or name in sources or ((name in COLUMNS or name in mapping) and describe(name).kind in ("int", "float"))
    ]
    raw: dict[str, pd.Series] = {}
    for name in numeric:
        raw[name], carried = numbers_in(table[name], str(path), asked.get(name))
        if carried is not None and (name not in asked or asked[name].unit is None):
            text = f"{carried.name}*{units[name]}" if name in units else carried.name
            asked[name] = conversion(name, text, [*table.columns, *theirs])
    ours = {name: column for name, column in raw.items() if name not in asked}
    for name in _in_order(asked, theirs):
        entry = asked[name]
        factor = pd.Series(entry.factor, index=table.index)
        for column in entry.by:
            factor = factor * (raw[theirs[column]] if column in theirs else ours[column])
        for column in entry.per:
            factor = factor / (raw[theirs[column]] if column in theirs else ours[column])
        ours[name] = raw[name] * factor
    return table.assign(**ours), {name: entry for name, entry in asked.items() if entry.factor != 1.0 or entry.columns}


def _asked(name: str, text: str, table: pd.DataFrame, mapping: Mapping[str, str], theirs: Mapping[str, str]) -> Conversion:
    if name not in table:
        raise UsageError(
            f"--unit {name}={text}: no column {name}{nearest(name, table.columns)}", hint=f"name it with --map {name}=THEIRS"
        )
    own = mapping.get(name)
    # `--map examples_seen=flops --unit examples_seen=flops/(6*params)`: the unit is meant, the column is what it says the unit of.
    known = [*table.columns, *(column for column in theirs if column != own or unit_named(column) is None)]
    entry = conversion(name, text, known)
    if own in entry.columns and own in theirs:
        raise UsageError(
            f"--unit {name}={text} names {own}, the column whose numbers are multiplied by it",
            hint=f"say what those numbers are worth, without {own}: --unit {name}=UNIT*NUMBER",
        )
    return entry


def _in_order(asked: Mapping[str, Conversion], theirs: Mapping[str, str]) -> list[str]:
    """The columns to convert, each after those that its own conversion takes in our units."""
    order: list[str] = []
    while len(order) < len(asked):
        ready = [
            name
            for name, entry in asked.items()
            if name not in order
            and not any(column in asked and column not in order for column in entry.columns if column not in theirs)
        ]
        if not ready:
            left = ", ".join(name for name in asked if name not in order)
            raise UsageError(
                f"--unit: the columns {left} are converted by one another", hint="name one of them as the file calls it"
            )
        order += ready
    return order


def _refuse_percentages(table: pd.DataFrame, path: Path) -> None:
    for name in ("val_top1", "val_top5"):
        if name in table:
            beyond = (table[name] > 1).to_numpy()
            if beyond.any():
                row = int(beyond.argmax())
                raise DataError(
                    f"{path}: row {row + 1}, column {name}: {table[name].iloc[row]:g} is not a share 0 … 1",
                    hint=f"per cent? --unit {name}=%",
                )


def _id(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _digest(path: Path) -> str | None:
    """Of the file, so that an answer says which one it was made from; of a folder none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
