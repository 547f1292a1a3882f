"""Choice of the rows that an analysis is of, by the value of a column (`family=convnet`), and what is done to them first."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

from analysis.reading.accelerator_hours import check_conversions, convert_core_hours, measured_in
from analysis.reading.prices import with_cost
from analysis.reading.source import add_note, attach_source, column_of, grouped, source_of, word_of
from scaling.errors import UnknownName, UsageError

__all__ = ["choose_runs", "prepared"]

_WHOLE = re.compile(r"\s*[+-]?\d{1,300}\s*")
_EXACT = 2**53
"""Whole numbers below it have all their digits in floating point."""


def prepared(
    runs: pd.DataFrame,
    *,
    where: Iterable[str] = (),
    price: Iterable[str] = (),
    convert: Iterable[str] = (),
    cell: Iterable[str] = (),
    clusters: Iterable[str] = (),
    chance_loss: float | None = None,
    of: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    also: Collection[str] = (),
) -> pd.DataFrame:
    """Choose rows of a table, price them, convert core-hours, and record which columns tell its cells apart. The given table stays as it is.

    Args:
        where: `column=value`, see `choose_runs`.
        price: `accelerator=price` of a chip-hour, see `with_cost`. What was paid is priced before hours are converted.
        convert: `theirs:ours=factor`: so many core-hours on an accelerator count as one on another.
        cell: columns that tell cells apart besides the known settings. clusters: columns whose values are resampled as one.
        chance_loss: `val_loss` of guessing, nats.
        of: chooses the pre-trained or the fine-tuned runs, with the columns that the question is about, see `analysis.finetuned`.
        also: accelerators that `convert` may name though no run was trained on them, those of reference points.

    Raises:
        UsageError: `chance_loss` is not positive; and what `choose_runs`, `with_cost` and `convert_core_hours` raise.
    """
    if chance_loss is not None:
        if not chance_loss > 0:
            raise UsageError(f"--chance-loss {chance_loss:g} is not positive", hint="of k classes it is ln k: 2.303 for ten")
        runs = runs.assign(chance_loss=chance_loss)
    if of is not None:
        runs = of(runs)
    runs = with_cost(choose_runs(runs, where), price)
    runs = convert_core_hours(runs, check_conversions(convert, measured_in(runs)), also)
    groups = grouped(runs, cell=cell, clusters=clusters)
    return attach_source(runs.copy(deep=False), {**source_of(runs), **groups}) if groups else runs


def choose_runs(runs: pd.DataFrame, conditions: Iterable[str]) -> pd.DataFrame:
    """Return the rows that meet every condition, with a note that counts them.

    >>> choose_runs(runs, ["family=convnet", "seed=0,1"])

    A condition is a column (by our name or the file's), `=`, and one value or several separated by commas. A value that holds a comma
    is found as a whole, or in double quotes beside others: `family="a,b",c`. Numbers agree exactly; 64, 64.0 and "64.0" are the same.

    Raises `UnknownName` for a column or value that is not there, `UsageError` for a text that is not a condition and where no row is left.
    """
    conditions = list(conditions)
    if not conditions:
        return runs
    chosen = pd.Series(True, index=runs.index)
    words = []
    for condition in conditions:
        name, separator, text = condition.partition("=")
        asked, name = name.strip(), column_of(runs, name.strip())
        if not separator or not name or not text.strip(" ,"):
            raise UsageError(f"--where {condition!r} is not of the form column=value", hint="e.g. --where family=convnet")
        if name not in runs:
            raise UnknownName("column", name, [str(column) for column in runs], hint="--where takes any column of the table")
        if asked != name and name in source_of(runs).get("converted", ()):
            raise UsageError(
                f"--where {condition!r}: the numbers of {asked} were converted to those of {name}",
                hint=f"give the value of {name}: --where {name}=VALUE",
            )
        labels = [_labels(runs[name])]
        if name == "status" and "reason" in runs:  # which has the file's own word for it: crashed, killed
            words_there = runs["reason"].map(_label)
            labels.append(words_there.where(~words_there.astype(str).str.contains(r"\s|^$"), None))
            text = text.lower()
        if word := word_of(runs, name):  # None in a column of numbers is a value of a setting
            labels[0] = labels[0].fillna(word)
        known = sorted({label for column in labels for label in column.dropna().unique()})
        values = _values(text, known)
        for value in values:
            if _label(value) not in known:
                raise UnknownName(name, value, known)
        asked_for = [_label(value) for value in values]
        chosen &= pd.concat([column.isin(asked_for) for column in labels], axis=1).any(axis=1)
        words.append(f"{name} is {' or '.join(values)}")
    kept = runs[chosen].reset_index(drop=True)
    if kept.empty:
        raise UsageError(f"no run has {' and '.join(words)} at once", hint="leave out a --where")
    kept.attrs = dict(runs.attrs)
    return add_note(kept, [f"{len(kept)} of {len(runs)} runs were chosen: {' and '.join(words)}"])


def _values(text: str, known: Collection[str]) -> list[str]:
    """Return the values that are asked for: the whole text where a row has it, else its parts between commas outside double quotes."""
    whole = text.strip()
    if _label(whole) in known:
        return [whole]
    (parts,) = csv.reader([whole], skipinitialspace=True)
    return [part.strip() for part in parts if part.strip()]


def _labels(column: pd.Series) -> pd.Series:
    if column.dtype in (np.float16, np.float32):  # the 0.1 of single precision is the 0.1 that is typed
        column = column.astype(str).astype(float)
    return column.map(_label)


def _label(value: Any) -> str | None:
    """Spell a value as it is typed: 64 for 64.0 and for "64.0", true for True. None for a missing value."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, str) and value.lower() in ("true", "false")):
        return str(value).lower()
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    return _number(value) or str(value)


def _number(value: Any) -> str | None:
    """Spell a number as one text, to all digits that are not rounding; None for what is not a number.

    360 seconds are 0.1 hours, and 20240101 is not 20240102.
    """
    try:
        number = float(value)
        whole = int(value) if isinstance(value, (int, np.integer)) or _WHOLE.fullmatch(str(value)) else None
    except (TypeError, ValueError, OverflowError):
        return None
    if whole is not None and (abs(whole) < _EXACT or whole != int(number)):
        return str(whole)
    if not abs(number) < _EXACT:
        return repr(number)
    if not number.is_integer():
        number = float(f"{number:.15g}")
    return str(int(number)) if number.is_integer() else f"{number:.15g}"
