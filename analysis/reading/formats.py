"""Files that hold a table, one run a row: CSV, TSV, JSON, JSON lines, Parquet, and bundles."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reading.bundle import read_bundle
from analysis.reading.delimited import open_text, read_csv, read_tsv
from analysis.reading.nested import JOINED, flat, once
from analysis.reading.source import attach_source, keep_words
from analysis.reading.typed import from_cells
from scaling.columns import COLUMNS
from scaling.errors import DataError, UsageError
from scaling.extras import needed_for

__all__ = ["READERS", "as_table", "format_of", "parse"]


def format_of(path: Path) -> str:
    """Return the ending that names the format: `.csv` of `runs.csv` and of `runs.csv.gz`.

    Raises `UsageError` for an ending that no reader knows.
    """
    ending = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
    if ending.lower() not in READERS:
        raise UsageError(
            f"{path}: do not know how to read {ending or 'a file without an ending'}",
            hint=f"known: {', '.join(READERS)}, folders of MLflow (mlruns) and of W&B runs",
        )
    return ending.lower()


def parse(path: Path, mapped: Collection[str] = ()) -> pd.DataFrame:
    """Read the table in the file, in its own names. Raises `DataError` when it is empty or is not what its ending says.

    mapped: names that `--map` asks for.
    """
    reader = READERS[format_of(path)]
    try:
        return reader(path, mapped)
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty", hint="one run a row, below a row with the column names") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: line {error.lineno}, column {error.colno}: no JSON: {error.msg}",
            hint="is it the format that its ending says?",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8: {error}", hint="save it as UTF-8; Excel calls that CSV UTF-8") from error
    except RecursionError as error:
        raise DataError(f"{path}: lists and objects in one another without end", hint="one object a run, in a list") from error
    except (gzip.BadGzipFile, ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be parsed: {str(error).strip()}", hint="is it the format that its ending says?") from error


def as_table(objects: Iterable[Mapping[str, Any]], path: Path) -> pd.DataFrame:
    """Make a table with a row an object, see `analysis.reading.nested.flat`; cells are as `analysis.reading.typed` says.

    path: of the file, for what it raises.
    """
    rows = [flat(entry, f"{path}: row {number}") for number, entry in enumerate(objects, start=1)]
    names = dict.fromkeys(name for row in rows for name in row)
    cells = {name: [row.get(name) for row in rows] for name in names}
    return keep_words(pd.DataFrame({name: from_cells(cells[name], name) for name in names}, index=range(len(rows))), cells)


def _read_json_lines(path: Path, _mapped: Collection[str]) -> pd.DataFrame:
    objects = []
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line, object_pairs_hook=partial(once, f"{path}: line {number}"))
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{path}: line {number}, column {error.colno}: no JSON: {error.msg}", hint="one object a line"
                ) from error
            if not isinstance(entry, dict):
                raise DataError(
                    f"{path}: line {number}: not an object", hint='one object a line: {"core_hours": 1.5, "val_loss": 2.1}'
                )
            objects.append(entry)
    return as_table(objects, path)


def _read_json(path: Path, _mapped: Collection[str]) -> pd.DataFrame:
    """Read a list of objects; an object that holds such a list under `runs` or alone; runs by name; or columns as lists of one length."""
    with open_text(path) as file:
        content = _with_histories(json.load(file, object_pairs_hook=partial(once, str(path))))
    notes: list[str] = []
    of_one_run = isinstance(content, dict) and "log_history" in content
    if isinstance(content, dict):
        if of_one_run:
            notes = ["the rows are the steps of one run, its log_history as Hugging Face writes it"]
        lists = [value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        if isinstance(content.get("runs"), list):
            content = content["runs"]
        elif len(lists) == 1:
            content = lists[0]
        elif isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):  # tables that W&B and MLflow log
            names = list(map(str, content["columns"]))
            said = "two columns are called {!r}"
            content = [once(str(path), list(zip(names, row, strict=True)), said) for row in content["data"]]
        elif _is_runs_by_name(content):
            content = [{"id": name, **run} for name, run in content.items()]
        elif content and all(isinstance(value, (list, dict)) for value in content.values()):
            table = pd.DataFrame(content, dtype=object).reset_index(
                drop=True
            )  # columns, or columns of {row: value} as pandas writes
            return pd.DataFrame({str(name): from_cells(table[name], str(name)) for name in table}, index=table.index)
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise DataError(
            f"{path}: neither a list of runs nor an object that holds one", hint='[{"core_hours": 1.5, "val_loss": 2.1}, …]'
        )
    return attach_source(as_table(content, path), {"notes": notes, "one_run": of_one_run})


def _is_runs_by_name(content: Mapping[str, Any]) -> bool:
    """Say whether an object holds runs by name: `{"run-a": {"core_hours": 1.5, "val_loss": 2.1}, …}`.

    `{"val_loss": {"run-a": 2.1, …}, …}` holds columns.
    """
    if not content or not all(isinstance(value, dict) for value in content.values()) or COLUMNS.keys() & content.keys():
        return False
    kinds = [{isinstance(cell, str) for cell in run.values() if cell is not None} for run in content.values()]
    return any(name in COLUMNS for run in content.values() for name in run) or all(len(kind) > 1 for kind in kinds)


def _with_histories(content: object) -> object:
    """Lift histories out of runs into rows, each with its run; return any other content as it is.

    They are `[{"id": …, "history": [rows]}]` or `{"run": [rows]}`.
    """
    if isinstance(content, dict) and len(content) > 1 and all(map(_is_history, content.values())):
        return [{"run_id": run, **row} for run, rows in content.items() for row in rows]
    if (
        not isinstance(content, list)
        or not content
        or not all(isinstance(run, dict) and _is_history(run.get("history")) for run in content)
    ):
        return content
    return [
        {**{name: value for name, value in run.items() if name != "history"}, **row} for run in content for row in run["history"]
    ]


def _is_history(rows: object) -> bool:
    return (
        isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) for row in rows) and any("_step" in row for row in rows)
    )


def _read_parquet(path: Path, _mapped: Collection[str]) -> pd.DataFrame:
    with needed_for("Parquet files need"):
        import pyarrow.parquet as parquet

    table = pd.read_parquet(path, engine="pyarrow")
    table.attrs = {}
    rows = table.index
    kept = not isinstance(rows, pd.RangeIndex) and (rows.names != [None] or not pd.api.types.is_integer_dtype(rows))
    if kept and rows.names == [None] and "id" not in table:
        table.index.name = "id"  # names of runs, as pandas keeps them beside the columns
    table = table.reset_index(drop=not kept)
    for name, column in zip((stored := parquet.read_table(path)).column_names, stored.columns, strict=True):
        if name in table and pd.api.types.is_float_dtype(table[name]) and table[name].isna().sum() > column.null_count:
            null = column.is_null().to_numpy(zero_copy_only=False)  # pandas would make NaN of both
            table[name] = table[name].astype(object).mask(null, None)
    nested = [name for name in table if table[name].map(lambda cell: isinstance(cell, dict)).any()]
    for name in nested:
        inside = as_table(({str(name): cell} for cell in table[name]), path)
        if again := [column for column in inside if column in table and column != name]:
            raise DataError(
                f"{path}: two columns {JOINED.format(again[0])}",
                hint="give each column a name of its own",
            )
        table = table.drop(columns=name).join(inside)
    return table


READERS: dict[str, Callable[[Path, Collection[str]], pd.DataFrame]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
    ".zip": read_bundle,
}
"""File ending → reader, which takes the path and the names that `--map` asks for.

A new format is one entry here; `.gz` may follow the endings of text.
"""
