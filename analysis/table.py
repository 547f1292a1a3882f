"""Reading a table of runs that were trained elsewhere, in the user's own column names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from scaling.columns import COLUMNS, describe
from scaling.errors import DataError, DataNotFound, UsageError, nearest

__all__ = ["read_runs"]


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, skipinitialspace=True)


def _read_tsv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def _read_json_lines(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True)


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}
"""File ending → reader. A new format is one entry here."""


def read_runs(path: str | Path, mapping: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The table at `path` with the column names of `scaling.columns`; columns that are not mapped keep their names.

    Args:
        path: a CSV, TSV or JSON-lines file, one run a row. No column is required here; `fit` and the others say what they miss.
        mapping: our column name → the name in the file, e.g. `{"core_hours": "tpu_v4_core_hours"}`.

    Returns:
        One row a run. Number columns are numbers; an empty field is NaN. Without an `id` column rows are called `row 1`, `row 2`, …

    Raises:
        DataNotFound: there is no such file.
        UsageError: a mapped column is not in the file, or the file's ending is not known.
        DataError: the table is empty, cannot be parsed, or holds text where a number belongs (row and column are named).
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFound(f"no table of runs at {path}", hint="give the path of a CSV file with one run a row")
    table = _parse(path)
    if table.empty:
        raise DataError(f"{path}: the table has no rows", hint="one run a row, below a row with the column names")
    table = _rename(table, mapping or {}, path)
    for name in table.columns:
        if (name in COLUMNS or name in (mapping or {})) and describe(name).kind in ("int", "float"):
            table[name] = _numbers(table[name], path)
    if "id" not in table:
        table.insert(0, "id", [f"row {number}" for number in range(1, len(table) + 1)])
    table["id"] = table["id"].astype(str)
    return table


def _parse(path: Path) -> pd.DataFrame:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"{path}: do not know how to read {path.suffix or 'a file without an ending'}", hint=f"known: {', '.join(READERS)}"
        )
    try:
        return reader(path)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty", hint="one run a row, below a row with the column names") from None
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path}: cannot be parsed: {error}", hint="is it the format that its ending says?") from error


def _rename(table: pd.DataFrame, mapping: Mapping[str, str], path: Path) -> pd.DataFrame:
    present = [str(name) for name in table.columns]
    for ours, theirs in mapping.items():
        if theirs not in present:
            raise UsageError(
                f"{path}: no column {theirs!r} to map {ours} to{nearest(theirs, present)}",
                hint=f"columns there: {', '.join(present)}",
            )
    # A column that already has one of our names but is not the one that was mapped to it gives way.
    shadowed = [ours for ours, theirs in mapping.items() if ours in present and ours != theirs]
    renamed = table.drop(columns=[name for name in shadowed if name not in mapping.values()])
    return renamed.rename(columns={theirs: ours for ours, theirs in mapping.items()})


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    numbers = pd.to_numeric(column, errors="coerce")
    spoilt = numbers.isna() & column.notna() & (column.astype(str).str.strip().str.lower() != "nan")
    if spoilt.any():
        row = int(spoilt.to_numpy().argmax())
        more = f" ({int(spoilt.sum()) - 1} more like it)" if spoilt.sum() > 1 else ""
        raise DataError(
            f"{path}: row {row + 1}, column {column.name}: {column.iloc[row]!r} is not a number{more}",
            hint="write numbers plainly, with a point and without units; leave a field empty when there is no value",
        )
    return numbers
