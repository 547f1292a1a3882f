"""Durations as text.

They are written as `0 days 01:30:00` by pandas, `1 day, 2:03:04` by Python, `1-02:03:04` by Slurm, `01:30:00`, or `PT1H30M` (ISO 8601).
"""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd

from analysis.reading.typed import is_missing_word

__all__ = ["hours_in", "is_duration", "is_short"]

_CLOCK = re.compile(
    r"(?:(?P<days>[+-]?\d+)(?: days?,? ?|-))?(?P<sign>[+-]?)(?P<hours>\d+):(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d(?:\.\d+)?)"
)
_ISO = re.compile(
    r"(?P<sign>[+-]?)P(?=[\dT])(?:(?P<days>\d+)D)?(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SHORT = re.compile(r"[+-]?\d+:[0-5]?\d(?:\.\d+)?")


def hours_in(column: pd.Series) -> pd.Series | None:
    """Read a column in which every cell is a duration as hours; return None for any other column.

    Cells that hold nothing, or a word for it, are NaN.
    """
    if pd.api.types.is_timedelta64_dtype(column):
        return column.dt.total_seconds() / 3600
    found: list[float] = []
    for cell in column:
        if _is_missing(cell):
            found.append(math.nan)
        elif isinstance(cell, str) and (hours := _hours(cell)) is not None:
            found.append(hours)
        else:
            return None
    return None if all(map(math.isnan, found)) else pd.Series(found, index=column.index, name=column.name)


def is_duration(text: str) -> bool:
    """Say whether a text is read as a duration."""
    return _hours(text) is not None


def is_short(text: str) -> bool:
    """Say whether a text is like `01:30`, which may be hours and minutes or minutes and seconds."""
    return _SHORT.fullmatch(text.strip()) is not None


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return is_missing_word(cell) or cell.strip() == "NaT"
    return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))


def _hours(text: str) -> float | None:
    match = _CLOCK.fullmatch(text.strip()) or _ISO.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (float(match[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
    sign = -1 if match["sign"] == "-" else 1
    of_day = sign * (hours + minutes / 60 + seconds / 3600)
    return of_day + 24 * days * (sign if match.re is _ISO else 1)  # `-1 days +23:00:00` is one hour less than nothing
