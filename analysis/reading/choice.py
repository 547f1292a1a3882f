"""Some rows of a table, by the value of a column: `family=convnet`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from analysis.reading.source import add_note, column_of, source_of, word_of
from scaling.errors import UnknownName, UsageError

__all__ = ["choose_runs"]


def choose_runs(runs: pd.DataFrame, conditions: Iterable[str]) -> pd.DataFrame:
    """The rows that meet every condition, with a note that says how many they are.

    >>> choose_runs(runs, ["family=convnet", "seed=0,1"])

    A condition is a column (by our name or the file's), `=`, and one value or several separated by commas; 64 and 64.0 are the same.

    Raises `UnknownName` for a column or value that is not there, `UsageError` for what is no condition.
    """
    conditions = list(conditions)
    if not conditions:
        return runs
    chosen = pd.Series(True, index=runs.index)
    words = []
    for condition in conditions:
        name, separator, text = condition.partition("=")
        asked, name = name.strip(), column_of(runs, name.strip())
        values = [value.strip() for value in text.split(",") if value.strip()]
        if not separator or not name or not values:
            raise UsageError(f"--where {condition!r} is not of the form column=value", hint="e.g. --where family=convnet")
        if name not in runs:
            raise UnknownName("column", name, [str(column) for column in runs], hint="--where takes any column of the table")
        if asked != name and name in source_of(runs).get("converted", ()):
            raise UsageError(
                f"--where {condition!r}: the numbers of {asked} were converted to those of {name}",
                hint=f"give the value of {name}: --where {name}=VALUE",
            )
        labels = [runs[name].map(_label)]
        if name == "status" and "reason" in runs:  # which has the file's own word for it: crashed, killed
            words_there = runs["reason"].map(_label)
            labels.append(words_there.where(~words_there.astype(str).str.contains(r"\s|^$"), None))
            values = [value.lower() for value in values]
        if word := word_of(runs, name):  # None in a column of numbers is a value of a setting
            labels[0] = labels[0].fillna(word)
        known = sorted({label for column in labels for label in column.dropna().unique()})
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


def _label(value: Any) -> str | None:
    """As it is typed: 64 for 64.0 and for "64.0", true for True."""
    if isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false")):
        return str(value).lower()
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    try:
        return f"{float(value):g}"
    except (TypeError, ValueError):
        return str(value)
