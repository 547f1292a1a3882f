"""CSV and TSV: which sign separates the columns, where the column names are, and whether decimals are written with a comma."""

from __future__ import annotations

import csv
import gzip
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

import pandas as pd

from analysis.reading.decimals import with_decimal_points
from analysis.reading.first_line import refuse_first_line, refuse_other_separators
from analysis.reading.source import attach_source, keep_words
from analysis.reading.typed import from_text
from scaling.errors import DataError
from scaling.formulas import as_written

__all__ = ["open_text", "read_csv", "read_tsv"]

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_IDS = ("id", "run id", "run_id", "_run_id", "parent")
_TENSORBOARD = {"Wall time", "Step", "Value"}
_LINES_LOOKED_AT = 100


def read_delimited(path: Path, mapped: Collection[str] = (), *, usual: str) -> pd.DataFrame:
    """Read a table of separated fields, its cells as `analysis.reading.typed` says.

    A first line `sep=;`, as Excel writes it, is followed, and separators at the ends of lines are not fields.
    Raises `DataError` for lines above the column names, for a column named twice, and for a line with more fields than there are columns.

    Args:
        path: of the file, which may be compressed.
        mapped: names of columns that `--map` asks for, which tell the line of the names from others.
        usual: the separator that the file's ending stands for.
    """
    csv.field_size_limit(sys.maxsize)  # a cell may hold the whole configuration of a run
    with open_text(path) as file:
        said = _said_separator(file)
        start = file.tell() if said else 0
        file.seek(start)
        separator = said or _separator(file, usual)
        file.seek(start)
        try:
            rows = [(line, row) for line, row in _rows(file, separator, 1 if said else 0) if any(field.strip() for field in row)]
        except csv.Error as error:
            raise DataError(
                f"{path}: a quoted field does not end: {error}", hint='close it, and write a quote inside one twice: ""'
            ) from error
    if not rows:
        raise pd.errors.EmptyDataError(str(path))
    (first, names), rows = rows[0], rows[1:]
    names = [as_written(name.strip()) for name in names]
    rows = [(line, [as_written(field) for field in _without_empty_end(row, len(names))]) for line, row in rows]
    refuse_other_separators(path, first, names, rows, separator)
    refuse_first_line(path, first, names, rows, mapped)
    again = [name for name, count in Counter(names).items() if count > 1 and name]
    if again:
        raise DataError(f"{path}: two columns are called {again[0]!r}", hint="give each column its own name")
    for line, row in rows:
        if any(field.strip() for field in row[len(names) :]):
            raise DataError(
                f"{path}: line {line} has {len(row)} fields, the header {len(names)}",
                hint='a field that holds the separator is written in quotes: "1,5"',
            )
    cells = [[row[place] if place < len(row) else "" for _, row in rows] for place in range(len(names))]
    of_one_run = set(names) == _TENSORBOARD
    notes = ["the rows are the steps of one run, as TensorBoard writes them"] if of_one_run else []
    notes += [] if separator == usual else [f"the columns of {path.name} are separated by {_SEPARATORS.get(separator, separator)}"]
    if separator != ",":
        cells, told = with_decimal_points(names, cells, path)
        notes += told
    columns = {
        name or f"Unnamed: {place}": pd.Series(column) for place, (name, column) in enumerate(zip(names, cells, strict=True))
    }
    table = _without_row_numbers(pd.DataFrame({name: _typed(name, column.astype(str)) for name, column in columns.items()}))
    keep_words(table, columns)
    return attach_source(table, {"notes": notes, "one_run": of_one_run})


read_csv: Callable[[Path, Collection[str]], pd.DataFrame] = partial(read_delimited, usual=",")
read_tsv: Callable[[Path, Collection[str]], pd.DataFrame] = partial(read_delimited, usual="\t")


def _without_empty_end(row: list[str], width: int) -> list[str]:
    """Drop empty fields beyond the header's width."""
    while len(row) > width and not row[-1].strip():
        row = row[:-1]
    return row


def _typed(name: str, column: pd.Series) -> pd.Series:
    """Type a column, but leave an id as it is written: one of hexadecimal digits may look like a number, `12e5`."""
    return column.astype(object).mask(column.str.strip() == "", None) if name.lower() in _IDS else from_text(column)


def open_text(path: Path) -> TextIO:
    """Open a file as text, unpacked where it is compressed.

    It is read as UTF-8, or as UTF-16 where it begins with that mark, as Excel's "Unicode text" does.
    """
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rb") as file:
        wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    return opened(path, "rt", encoding="utf-16" if wide else "utf-8-sig", newline="")


def _rows(file: TextIO, separator: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number in the file, and the fields, of each row."""
    reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
    for row in reader:
        yield reader.line_num + skipped, row


def _said_separator(file: TextIO) -> str | None:
    found = re.fullmatch(r'"?sep=(.)"?\s*', file.readline())
    return found[1] if found else None


def _separator(file: TextIO, usual: str) -> str:
    """Find the sign that cuts the first line into as many fields as most lines, at least two.

    If none does, it is the one that cuts the lines most alike.
    """
    lines = [line for line, _ in zip(file, range(_LINES_LOOKED_AT), strict=False) if line.strip()]
    ranks: dict[str, tuple[bool, int, bool, int]] = {}
    for separator in _SEPARATORS:
        rows = [row for row in csv.reader(lines, delimiter=separator, skipinitialspace=True) if row]
        widths = [len(_without_empty_end(row, len(rows[0]))) for row in rows]
        fields, alike = Counter(widths).most_common(1)[0] if widths else (1, 0)
        if fields > 1:
            ranks[separator] = (widths[0] == fields, 0 if widths[0] == fields else alike, separator == usual, fields)
    return max(ranks, key=lambda separator: ranks[separator], default=usual)


def _without_row_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Drop empty columns that have no name, and row numbers that pandas writes in one; names of runs there become `id`."""
    table = table.drop(columns=[name for name in table if str(name).startswith("Unnamed: ") and table[name].isna().all()])
    first = str(table.columns[0])
    if first != "Unnamed: 0" or len(table.columns) == 1:
        return table
    index = table[first]
    if list(index) in (list(range(len(table))), list(range(1, len(table) + 1))):
        return table.drop(columns=first)
    if "id" not in table and index.notna().all() and index.is_unique:
        return table.rename(columns={first: "id"})
    return table
