"""Reading of a user's column as numbers. A cell that is not a number is named by file, row and column."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from analysis.reading.decimals import has_decimal_comma
from analysis.reading.durations import hours_in, is_duration, is_short
from analysis.reading.typed import is_missing_word
from analysis.reading.units import UNITS, Conversion, Unit, unit_named
from scaling.errors import DataError

__all__ = ["numbers_in", "unit_carried"]

_WITH_UNIT = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s.,+-].*?)\s*")


_PLAINLY = (
    "write numbers plainly, with a point and without thousands separators; leave a field empty when there is no value",
    "hours and minutes, or minutes and seconds? write a duration with both, 01:30:00, or a number with its unit, 90 min",
)
"""Hints for a cell that is not a number; the second is for `01:30`, which may be hours or minutes."""


def numbers_in(column: pd.Series, file: str, asked: Conversion | None = None) -> tuple[pd.Series, Unit | None]:
    """Return the numbers of `column` before any factor, and the unit that every cell carries (`3.5 h`), None if they carry none.

    Counts may differ in their unit, `125M` beside `1.3B`: these are returned as plain numbers. Durations, also as text
    (`analysis.reading.durations`), are in hours, or in the unit of time that `asked` names.

    Raises `DataError` for the first cell that is not a number, and for the first whose unit is not that of the rows above it or of
    `--unit`. Rows count from 1, without the header.
    """
    if pd.api.types.is_bool_dtype(column):
        raise DataError(
            f"{file}: row 1, column {column.name}: {column.iloc[0]} is not a number", hint="map the column that holds it"
        )
    if pd.api.types.is_datetime64_any_dtype(column):
        if column.isna().all():
            return pd.Series(np.nan, index=column.index, name=column.name), None
        row = int(column.notna().to_numpy().argmax())
        raise DataError(
            f"{file}: row {row + 1}, column {column.name}: {str(column.iloc[row])!r} is a point in time, not a number",
            hint=f"map the column that holds it, for hours the end of a run less its start: --map {column.name}=THEIRS",
        )
    if not pd.api.types.is_numeric_dtype(column) and (hours := hours_in(column)) is not None:
        if asked is not None and asked.unit is not None and asked.unit.dimension == "time":
            return hours / asked.unit.factor, asked.unit
        return hours, UNITS["hours"]
    if pd.api.types.is_numeric_dtype(column):
        return column, None
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    absent = column.isna() | column.map(is_missing_word)
    odd = np.flatnonzero((numbers.isna() & ~absent).to_numpy())
    if not len(odd):
        return numbers, None

    cells, values = column.astype(str).tolist(), numbers.to_numpy(copy=True)
    units: dict[int, Unit] = {}
    for row in odd.tolist():
        found = _WITH_UNIT.fullmatch(cells[row])
        unit = unit_named(found[2]) if found else None
        if found is not None and unit is not None:
            values[row], units[row] = float(found[1]), unit
    if len(units) < len(odd):
        bad = [row for row in odd.tolist() if row not in units]
        # One bad cell is why a column with decimal commas was not read as such: the bad one is named, not the others.
        bad = [row for row in bad if not has_decimal_comma(cells[row])] or bad
        bad = [row for row in bad if not is_duration(cells[row])] or bad
        row, more = bad[0], f" ({len(bad) - 1} more like it)" if len(bad) > 1 else ""
        raise DataError(
            f"{file}: row {row + 1}, column {column.name}: {cells[row]!r} is not a number{more}",
            hint=_PLAINLY[is_short(cells[row])],
        )
    if asked is None and len(set(units.values())) > 1 and all(unit.dimension == "count" for unit in units.values()):
        factors = [units[row].factor if row in units else 1.0 for row in range(len(values))]  # 125M and 1.3B: each says how many
        return pd.Series(values * factors, index=column.index, name=column.name), None
    known = np.flatnonzero(np.isfinite(values)).tolist()
    first = known[0]
    for row in known:
        where = f"{file}: row {row + 1}, column {column.name}: {cells[row]!r} is {_words(units.get(row))}"
        if units.get(row) != units.get(first):
            raise DataError(
                f"{where}, where row {first + 1} is {_words(units.get(first))}: {cells[first]!r}",
                hint="one unit in a column: write it in every cell or in none",
            )
        if asked is not None and asked.unit is not None and units[row] != asked.unit:
            raise DataError(f"{where}, where --unit says {asked.text}", hint=f"leave out --unit {asked.column}, or mend the cell")
    return pd.Series(values, index=column.index, name=column.name), units[first]


def unit_carried(column: pd.Series) -> Unit | None:
    """Return the unit that every cell of a column of text carries, None where they do not all carry one. Durations carry hours."""
    found = [_WITH_UNIT.fullmatch(str(cell)) for cell in column[column.notna() & ~column.map(is_missing_word)]]
    units = {unit_named(match[2]) if match else None for match in found}
    if hours_in(column) is not None:
        return UNITS["hours"]
    return units.pop() if len(units) == 1 else None


def _words(unit: Unit | None) -> str:
    return "a number without a unit" if unit is None else f"in {unit.name}"
