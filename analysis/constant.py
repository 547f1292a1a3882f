"""Tables that nobody changes: what was asked of one is answered once, though many answers begin with the same question.

Pages ask for the cells and the frontier of the same runs half a dozen times for one answer. A table that a caller has made and may change
is never remembered: who holds it for many answers says that it stays as it is (`constant`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import pandas as pd

__all__ = ["constant", "once_a_table"]

_Question = TypeVar("_Question", bound=Callable[..., object])
_KNOWN = "_answers_known"


def constant(table: pd.DataFrame) -> pd.DataFrame:
    """Say that a table will not be changed, and return it. Its answers live as long as it does."""
    if _KNOWN not in table.__dict__:
        object.__setattr__(table, _KNOWN, {})  # not by pandas, whose copies would take it along
    return table


def once_a_table(question: _Question) -> _Question:
    """Let a function of a table and hashable settings (or lists of them) answer once for each constant table.

    All callers share the answer and must not change it. A table that is the answer is constant as well. Of other tables it answers anew.
    """

    @wraps(question)
    def asked(table: pd.DataFrame, *given: object, **named: object) -> object:
        known: dict[Any, object] | None = table.__dict__.get(_KNOWN)
        if known is None:
            return question(table, *given, **named)
        key = (question, _fixed(given), tuple(sorted((name, _fixed(value)) for name, value in named.items())))
        if key not in known:
            found = question(table, *given, **named)
            known[key] = constant(found) if isinstance(found, pd.DataFrame) else found
        return known[key]

    return cast(_Question, asked)


def _fixed(value: object) -> object:
    return tuple(map(_fixed, value)) if isinstance(value, list | tuple) else value
