"""Decimal commas, as European programs write them: `1,5` is 1.5 and `1.234.567,8` is 1234567.8.

`1,234` alone may be either 1.234 or 1234; a column of such cells is read only where another column says which.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from analysis.reading.typed import is_missing_word
from scaling.errors import DataError

__all__ = ["has_decimal_comma", "with_decimal_points"]

_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d+)?(?:[eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?")
_EITHER_COMMA = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_EITHER_POINT = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")


def with_decimal_points(names: Sequence[str], columns: Sequence[Sequence[str]], path: Path) -> tuple[list[list[str]], list[str]]:
    """Put points for decimal commas in columns that commas do not separate. Returns the columns, and a sentence that says so.

    Raises `DataError` for a column in which a comma or a point may set off decimals or thousands.
    """
    commas = {place: found for place, column in enumerate(columns) if (found := _cells(column, ",", _COMMA))}
    points = {
        place: found for place, column in enumerate(columns) if place not in commas and (found := _cells(column, ".", _POINT))
    }
    sure_commas = [place for place, cells in commas.items() if not all(map(_EITHER_COMMA.fullmatch, cells))]
    sure_points = [place for place, cells in points.items() if not all(map(_EITHER_POINT.fullmatch, cells))]
    if sure_points and not sure_commas:  # then these commas set off thousands, which no number here has: they stay text
        return [list(column) for column in columns], []
    for place, cells in commas.items():
        if place not in sure_commas and (sure_points or not sure_commas):
            raise _two_meanings(path, names[place], cells[0], "comma")
    # Groups of three behind points, in a column without a comma: thousands, as far as another column has decimal commas.
    groups = [
        place for place, column in enumerate(columns) if place not in commas and place not in sure_points and _thousands(column)
    ]
    if sure_commas:
        for place in points:
            if place not in sure_points and place not in groups:
                raise _two_meanings(path, names[place], points[place][0], "point")
    changed = {*commas, *(groups if sure_commas else ())}
    made = [
        [cell.replace(".", "").replace(",", ".") if place in changed and not is_missing_word(cell) else cell for cell in column]
        for place, column in enumerate(columns)
    ]
    told = ", ".join(names[place] for place in sorted(commas))
    return made, [f"{told}: commas were read as decimal points"] if commas else []


def has_decimal_comma(cell: str) -> bool:
    """Say whether a cell is a number with a comma in it."""
    return "," in cell and _COMMA.fullmatch(cell.strip()) is not None


def _cells(column: Sequence[str], sign: str, form: re.Pattern[str]) -> list[str]:
    """Return the cells with the sign, if every cell of the column has the form of a number; else none."""
    cells = [cell.strip() for cell in column if not is_missing_word(cell)]
    return [cell for cell in cells if sign in cell] if all(map(form.fullmatch, cells)) else []


def _thousands(column: Sequence[str]) -> bool:
    cells = [cell.strip() for cell in column if not is_missing_word(cell)]
    return all(map(_COMMA.fullmatch, cells)) and any(cell.count(".") > 1 for cell in cells)


def _two_meanings(path: Path, name: str, cell: str, sign: str) -> DataError:
    return DataError(
        f"{path}: column {name}: the {sign} in {cell!r} may set off decimals or thousands, and the file does not say which",
        hint="write the numbers of that column with a decimal point and without thousands separators",
    )
