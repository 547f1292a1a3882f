"""Files that hold a table, one run a row: CSV, TSV, JSON, JSON lines, Parquet."""

from __future__ import annotations

import gzip
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from scaling.errors import DataError, UsageError

__all__ = ["READERS", "as_table", "format_of", "parse"]


def format_of(path: Path) -> str:
    """`.csv` of `runs.csv` and of `runs.csv.gz`. Raises `UsageError` for an ending that no reader knows."""
    ending = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
    if ending.lower() not in READERS:
        raise UsageError(
            f"{path}: do not know how to read {ending or 'a file without an ending'}",
            hint=f"known: {', '.join(READERS)}, folders of MLflow (mlruns) and of W&B runs",
        )
    return ending.lower()


def parse(path: Path) -> pd.DataFrame:
    """The table in the file, in its own names. Raises `DataError` when it is empty or is not what its ending says."""
    reader = READERS[format_of(path)]
    try:
        return reader(path)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty", hint="one run a row, below a row with the column names") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: line {error.lineno}, column {error.colno}: no JSON: {error.msg}",
            hint="is it the format that its ending says?",
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError, gzip.BadGzipFile, ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be parsed: {str(error).strip()}", hint="is it the format that its ending says?") from error


def as_table(objects: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Objects as rows; what is nested becomes columns with dots, `{"config": {"lr": 1}}` → `config.lr`."""
    return pd.DataFrame([_flat(entry) for entry in objects])


def _flat(entry: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in entry.items():
        if isinstance(value, Mapping) and value:
            row |= _flat(value, f"{above}{name}.")
        else:
            row[f"{above}{name}"] = value
    return row


def _read_csv(path: Path, separator: str = ",") -> pd.DataFrame:
    with _open(path) as file:
        header = file.readline()
    if separator == "," and separator not in header and (";" in header or "\t" in header):
        found = "semicolons" if ";" in header else "tabs"
        raise DataError(
            f"{path}: the columns are separated by {found}, not by commas",
            hint="save it with commas, or name it .tsv where they are tabs",
        )
    again = [name for name, count in Counter(_names(header, separator)).items() if count > 1 and name]
    if again:
        raise DataError(f"{path}: two columns are called {again[0]!r}", hint="give each column its own name")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header: pandas would shift or cut it
        try:
            return pd.read_csv(path, sep=separator, skipinitialspace=True, encoding="utf-8-sig", low_memory=False, index_col=False)
        except (pd.errors.ParserError, pd.errors.ParserWarning):
            _refuse_long_row(path, separator)
            raise


def _refuse_long_row(path: Path, separator: str) -> None:
    """Raises `DataError` with the first row that has more fields than the header."""
    import csv

    with _open(path) as file:
        rows = csv.reader(file, delimiter=separator, skipinitialspace=True)
        columns = len(next(rows, []))
        for row in rows:
            if len(row) > columns:
                raise DataError(
                    f"{path}: line {rows.line_num} has {len(row)} fields, the header {columns}",
                    hint='a field that holds the separator is written in quotes: "1,5"',
                )


def _names(header: str, separator: str) -> list[str]:
    import csv

    return next(csv.reader([header], delimiter=separator, skipinitialspace=True), [])


def _read_tsv(path: Path) -> pd.DataFrame:
    return _read_csv(path, "\t")


def _read_json_lines(path: Path) -> pd.DataFrame:
    objects = []
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{path}: line {number}, column {error.colno}: no JSON: {error.msg}", hint="one object a line"
                ) from error
            if not isinstance(entry, dict):
                raise DataError(
                    f"{path}: line {number}: not an object", hint='one object a line: {"core_hours": 1.5, "val_loss": 2.1}'
                )
            objects.append(entry)
    return as_table(objects)


def _read_json(path: Path) -> pd.DataFrame:
    """A list of objects; an object that holds such a list under `runs` or alone; or columns as lists of one length."""
    with _open(path) as file:
        content = json.load(file)
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        if isinstance(content.get("runs"), list):
            content = content["runs"]
        elif len(lists) == 1:
            content = lists[0]
        elif content and all(isinstance(value, (list, dict)) for value in content.values()):
            return pd.DataFrame(content).reset_index(drop=True)  # columns, or columns of {row: value} as pandas writes them
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise DataError(
            f"{path}: neither a list of runs nor an object that holds one", hint='[{"core_hours": 1.5, "val_loss": 2.1}, …]'
        )
    return as_table(content)


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(path, engine="pyarrow").reset_index(drop=True)
    table.attrs = {}
    nested = [name for name in table if table[name].map(lambda cell: isinstance(cell, dict)).any()]
    for name in nested:
        table = table.drop(columns=name).join(as_table({str(name): cell} for cell in table[name]))
    return table


def _open(path: Path) -> Any:
    return gzip.open(path, "rt", encoding="utf-8-sig") if path.suffix.lower() == ".gz" else path.open(encoding="utf-8-sig")


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
"""File ending → reader. A new format is one entry here; `.gz` may follow the endings of text."""
