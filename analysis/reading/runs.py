"""`read_runs`: a file or folder of anybody's runs → the table that the analysis takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reading import formats, mlflow, wandb
from analysis.reading.numbers_in import numbers_in
from analysis.reading.source import attach_source
from analysis.reading.statuses import our_statuses
from analysis.reading.units import Conversion, conversion
from scaling.columns import COLUMNS, describe
from scaling.errors import DataError, DataNotFound, UsageError, nearest

__all__ = ["read_runs"]


def read_runs(path: str | Path, mapping: Mapping[str, str] | None = None, units: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The table at `path` with the column names and units of `scaling.columns`; columns that are not mapped keep their names.

    >>> read_runs("runs.parquet", {"core_hours": "gpu_seconds"}, {"core_hours": "seconds*8"})

    Args:
        path: CSV, TSV, JSON, JSON lines or Parquet, one run a row; a CSV that Weights & Biases or MLflow exported; a folder `mlruns` or
            `wandb`, or a data base `mlflow.db`. No column is required here; `fit` and the others say what they miss.
        mapping: our column name → the name in the file, e.g. `{"core_hours": "tpu_v4_core_hours"}`.
        units: our column name → what its numbers are in the file: a product of a unit, numbers and columns of the file, e.g. `minutes`,
            `seconds*8`, `seconds*n_gpus`, `PFLOP`, `%`, `bits`. Cells that carry their unit (`3.5 h`) are converted without being asked.

    Returns:
        One row a run. Number columns are numbers; an empty field is NaN. `status` is in our words. Without an `id` rows are called
        `row 1`, `row 2`, … `analysis.reading.source_of` says what was read and converted.

    Raises:
        DataNotFound: there is no such file.
        UsageError: a mapped column is not in the file, a unit is none, or the file's ending is not known.
        DataError: the table is empty, cannot be parsed, holds text where a number belongs, or a column mixes units (file, row and
            column are named).
    """
    path = Path(path)
    mapping, units = dict(mapping or {}), dict(units or {})
    table, kind = _read(path)
    if table.empty:
        raise DataError(f"{path}: the table has no rows", hint="one run a row, below a row with the column names")
    table = _rename(table, mapping, path)
    ours = {theirs: name for name, theirs in mapping.items()}
    units = {ours.get(name, name) if name not in table else name: text for name, text in units.items()}
    table, notes = _in_our_units(table, units, mapping, path)
    _refuse_percentages(table, path)
    table = our_statuses(table)
    if "id" not in table:
        table.insert(0, "id", [f"row {number}" for number in range(1, len(table) + 1)])
    table["id"] = table["id"].map(_id)
    about: dict[str, Any] = {"file": str(path), "format": kind, "sha256": _digest(path), "rows": len(table)}
    return attach_source(table, {**about, "mapping": mapping, "units": units, "notes": notes})


def _read(path: Path) -> tuple[pd.DataFrame, str]:
    if not path.exists():
        raise DataNotFound(f"no table of runs at {path}", hint="give the path of a CSV or Parquet file with one run a row")
    if path.is_dir():
        if wandb.is_folder(path):
            return wandb.tidy(wandb.read_folder(path), path), "W&B folder"
        if mlflow.is_folder(path):
            return mlflow.read_folder(path), "MLflow folder"
        raise DataNotFound(f"no runs in folder {path}", hint="a folder `mlruns` of MLflow, or `wandb` of Weights & Biases")
    if path.suffix == ".wandb":
        return wandb.tidy(pd.DataFrame([wandb.read_log(path)]), path), "W&B log"
    if mlflow.is_database(path):
        return mlflow.read_database(path), "MLflow data base"
    table = formats.parse(path)
    table.columns = table.columns.map(str)
    return mlflow.tidy(wandb.tidy(table, path)), formats.format_of(path).removeprefix(".")


def _rename(table: pd.DataFrame, mapping: Mapping[str, str], path: Path) -> pd.DataFrame:
    present = [str(name) for name in table.columns]
    found: dict[str, str] = {}
    for ours, theirs in mapping.items():
        # MLflow and W&B put the kind before a name; either spelling is understood.
        spelt = [theirs, *(theirs.removeprefix(f"{kind}.") for kind in ("metrics", "params", "tags", "config", "summary"))]
        name = next((name for name in spelt if name in present), None)
        if name is None:
            raise UsageError(
                f"{path}: no column {theirs!r} to map {ours} to{nearest(theirs, present)}",
                hint=f"columns there: {', '.join(present)}",
            )
        found[ours] = name
    # Columns are copied, since one of theirs may serve two of ours; one with our name that was not mapped to it gives way.
    copies = {ours: table[theirs] for ours, theirs in found.items()}
    kept = table.drop(columns=[name for name in dict.fromkeys([*found.values(), *found]) if name in table])
    return pd.concat([kept, pd.DataFrame(copies)], axis=1) if copies else kept


def _in_our_units(
    table: pd.DataFrame, units: Mapping[str, str], mapping: Mapping[str, str], path: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Numbers as numbers, in our units, and a sentence for each conversion."""
    asked: dict[str, Conversion] = {}
    for name, text in units.items():
        if name not in table:
            raise UsageError(
                f"--unit {name}={text}: no column {name}{nearest(name, table.columns)}", hint=f"name it with --map {name}=THEIRS"
            )
        asked[name] = conversion(name, text, table.columns)
    sources = {name for entry in asked.values() for name in entry.by}
    numeric = [
        name
        for name in table.columns
        if name in asked or name in sources or ((name in COLUMNS or name in mapping) and describe(name).kind in ("int", "float"))
    ]
    values, notes = {}, []
    for name in numeric:
        values[name], carried = numbers_in(table[name], str(path), asked.get(name))
        if carried is not None and (name not in asked or asked[name].unit is None):
            text = f"{carried.name}*{units[name]}" if name in units else carried.name
            asked[name] = conversion(name, text, table.columns)
    for name, entry in asked.items():
        factor = pd.Series(entry.factor, index=table.index)
        for column in entry.by:
            factor = factor * (values[column] if column in values else table[column])
        values[name] = values[name] * factor
        if entry.factor != 1.0 or entry.by:
            notes.append(f"{name} was read as {entry.text}: {_product(entry)} of what the file holds")
    return table.assign(**values), notes


def _product(entry: Conversion) -> str:
    """`0.00222222 × n_gpus`."""
    return " × ".join([f"{entry.factor:.6g}", *entry.by])


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
