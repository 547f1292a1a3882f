"""What a cell is: a number, a word, NaN or nothing. One rule serves every format, column by column.

In a column of numbers the words None, NA, null, n/a … mean that there is no number. In a column of text they are words like any
other: `augment: None` is a setting. An empty cell holds nothing in either.

While a table is read, a cell that holds nothing is `None` and one that says NaN is NaN, since the end of a history is judged by that
difference (`analysis.reading.history`). `settled` makes both NaN.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["INFINITE", "from_cells", "from_text", "is_missing_word", "settled", "word_for_nothing"]

_NAN = frozenset({"nan", "+nan", "-nan", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind"})
_INFINITIES = frozenset({"infinity", "+infinity", "-infinity", "inf", "+inf", "-inf"})
_NOTHING = frozenset({"", "none", "null", "n/a", "na", "<na>", "#n/a", "#na", "#n/a n/a", "-", "–"})

INFINITE = sys.float_info.max * (1 - 1e-3)
"""A number is infinite from here on: MLflow's database keeps ±infinity as ±1.797e308, the largest number of floating point."""


def is_missing_word(cell: Any) -> bool:
    """Say whether a cell is a text that stands for no number: `NA`, `None`, `nan`, `-`, an empty one."""
    return isinstance(cell, str) and cell.strip().lower() in _NAN | _NOTHING


def word_for_nothing(cells: Iterable[object]) -> str:
    """Return the one word, `None` or the like, that stands for every missing number of a column; empty where cells are empty too.

    As a setting such a column has that word as a value: `warmup: None`. The numbers are read without it.
    """
    others = {cell.strip() if isinstance(cell, str) else "" for cell in cells if not _is_number(cell)}
    word = others.pop() if len(others) == 1 else ""
    return word if word.lower() in _NOTHING else ""


def _is_number(cell: Any) -> bool:
    try:
        return not np.isnan(float(cell))
    except (TypeError, ValueError):
        return False


def from_text(cells: pd.Series) -> pd.Series:
    """Turn a column of texts into numbers, truth values or text, whichever all its cells are.

    cells: strings, or None for nothing. A column that holds words for nothing and not one number is text.
    """
    text = cells.fillna("").astype(str).str.strip()
    low = text.str.lower()
    empty, nan = text == "", low.isin(_NAN)
    nothing = low.isin(_NOTHING)
    numbers = pd.to_numeric(text.mask(nan | nothing), errors="coerce")
    only_numbers = not (numbers.isna() & ~nan & ~nothing).any()
    if only_numbers and (numbers.notna().any() or (empty | nan).all()):
        return _with_nan(numbers, nan.to_numpy()) if nan.any() else numbers
    truths = low.isin(("true", "false"))
    if truths.any() and (truths | empty).all():
        return (low == "true") if truths.all() else (low == "true").astype(object).mask(empty, None)
    return cells.astype(object).mask(empty, None)


def from_cells(cells: Iterable[object], name: str = "") -> pd.Series:
    """Turn a column of JSON's values into numbers where all are numbers, or words for none or for infinity; else leave it as it is."""
    values = list(cells)
    there = [value for value in values if value is not None]
    words = [value for value in there if isinstance(value, str)]
    numbers = [value for value in there if isinstance(value, (int, float, np.number)) and not isinstance(value, bool)]
    spelt = all(is_missing_word(word) or word.strip().lower() in _INFINITIES for word in words)
    if not numbers or len(numbers) + len(words) < len(there) or not spelt:
        return pd.Series(values, name=name, dtype=object)
    plain = [_number(value) if isinstance(value, str) else value for value in values]
    nan = np.array([value is not None and value != value for value in plain], dtype=bool)
    column = pd.to_numeric(pd.Series(plain, name=name))
    return _with_nan(column, nan) if nan.any() else column


def _number(word: str) -> float | None:
    """Return NaN or infinity, which JSON has no numbers for; None for the other words."""
    low = word.strip().lower()
    return float("nan") if low in _NAN else float(low) if low in _INFINITIES else None


def _with_nan(numbers: pd.Series, nan: np.ndarray) -> pd.Series:
    """Put NaN where `nan` is true, and None where there is no number."""
    kept = numbers.astype(object).where(numbers.notna(), None)
    kept[nan] = float("nan")
    return kept


def settled(table: pd.DataFrame) -> pd.DataFrame:
    """Turn number columns into plain numbers: nothing and NaN are NaN, and what is as large as `INFINITE` is infinite."""
    changed: dict[Any, pd.Series] = {}
    for name in table:
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        if column.dtype == object:
            column = column.infer_objects()
            if column.dtype == object and all(cell is None or isinstance(cell, (int, float)) for cell in column):
                column = column if any(isinstance(cell, bool) for cell in column) else column.astype(float)
        if column.dtype == np.float64 and (column.abs() >= INFINITE).any():
            column = column.mask(column >= INFINITE, np.inf).mask(column <= -INFINITE, -np.inf)
        if column is not table[name]:
            changed[name] = column
    return table.assign(**changed) if changed else table
