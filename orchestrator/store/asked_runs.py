"""Which runs a line of words asks for, as `model:F3 lr>0.4 status:failed`, and in which order they come.

| word | runs that it keeps |
|---|---|
| `model:F3` | whose text contains `F3`, in capitals or not; of a number: that are equal |
| `model=nano-F3`, `seed!=0` | whose value is, or is not, exactly this; several by commas |
| `lr>0.4`, `epochs<=8` | whose number is larger, or at most so large |
| `-status:failed` | for which the word without the minus does not hold; those whose number is not known are in neither |
| `loader` | whose id begins so, or whose model, data set or reason contains it |

All words have to hold. A value with spaces stands in quotes.
"""

from __future__ import annotations

import operator
import re
import shlex
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, func, not_, or_, select
from sqlalchemy.orm import Session

from orchestrator.store.models import Run
from orchestrator.store.pace import shown_core_hours
from scaling.columns import RUN_COLUMNS
from scaling.errors import UnknownName, UsageError
from scaling.outcomes import RunStatus

__all__ = ["EXAMPLE", "NEWEST", "OLDEST", "SORTABLE", "beyond", "check", "conditions", "ordered", "status_named"]

EXAMPLE = "model:F3 lr>0.4 status:failed"
NEWEST, OLDEST = "-created_at", "created_at"

_SHORT = {"lr": "learning_rate", "loss": "val_loss", "top1": "val_top1", "batch": "batch_size", "flops": "train_flops"}
_STORED = {column.name: getattr(Run, column.name) for column in RUN_COLUMNS if column.name in Run.__table__.c}
_TEXTS: dict[str, Any] = {name: column for name, column in _STORED.items() if column.type.python_type is str and name != "status"}
_TEXTS |= {"status": Run.status, "excluded": Run.excluded_reason}
_UNKNOWN_AS_0 = {"epochs", "learning_rate", "batch_size", "params", "steps", "examples_seen", "unique_examples", "train_flops"}
_UNKNOWN_AS_0 |= {"core_hours", "inherited_core_hours", "allocated_core_hours"}
_NUMBERS: dict[str, Any] = {
    name: func.nullif(column, 0) if name in _UNKNOWN_AS_0 else column
    for name, column in _STORED.items()
    if column.type.python_type in (int, float)
} | {"core_hours": shown_core_hours()}
SORTABLE: dict[str, Any] = {
    **{column.name: (_TEXTS | _NUMBERS)[column.name] for column in RUN_COLUMNS if column.name in _TEXTS | _NUMBERS},
    "created_at": Run.created_at,
    "ended_at": Run.ended_at,
}
"""What runs can be sorted by: the name of a column, and its values in SQL."""

_WORD = re.compile(r"(?P<field>[A-Za-z_]\w*)(?P<sign>!=|<=|>=|[:=<>])(?P<value>.*)", re.DOTALL)
_MOST = 20


def conditions(words: str, *, gone: bool = False) -> list[ColumnElement[bool]]:
    """Read a line of words as conditions on runs; gone: nobody trains, so that runs in training count as pending. Raises `UnknownName` for a field, `UsageError` for whatever else it does not understand."""
    try:
        found = shlex.split(words)
    except ValueError as error:
        raise UsageError(f"q: {words!r} has a quote that is not closed", hint=f"e.g. {EXAMPLE}") from error
    if len(found) > _MOST:
        raise UsageError(f"q: it has {len(found)} words, at most {_MOST} are read", hint=f"e.g. {EXAMPLE}")
    return [_condition(word, gone) for word in found]


def ordered(sort: str, *, back: bool = False) -> list[Any]:
    """Return the terms of ORDER BY: `val_loss`, or `-val_loss` for the largest first; back: from the last to the first.

    What is not known comes last. Raises `UnknownName`.
    """
    value, is_down = _sorted_by(sort)
    up, down = (lambda term: term.desc(), lambda term: term.asc()) if back else (lambda term: term.asc(), lambda term: term.desc())
    way = down if is_down else up
    return [up(value.is_(None)), way(value), way(Run.created_at), way(Run.id)]


def check(*, q: str, sort: str, status: Iterable[str]) -> None:
    """Raise what `conditions`, `ordered` and `status_named` raise of a question, without a store."""
    conditions(q)
    _sorted_by(sort)
    for name in status:
        status_named(name)


def status_named(name: str) -> RunStatus:
    """Return the status of this name. Raises `UnknownName`."""
    if name not in set(RunStatus):
        raise UnknownName("status", name, RunStatus)
    return RunStatus(name)


def beyond(session: Session, sort: str, run_id: str, *, back: bool = False) -> ColumnElement[bool]:
    """Return the condition that a run comes after this one in that order, or before it. Raises `UsageError` for a run that is not there."""
    value, is_down = _sorted_by(sort)
    found = session.execute(select(value, Run.created_at).where(Run.id == run_id)).one_or_none()
    if found is None:
        raise UsageError("`next` is not a token of this store", hint="leave it out to start from the first page")
    at, created_at = found
    more: Any = operator.lt if is_down else operator.gt
    later = or_(more(Run.created_at, created_at), and_(Run.created_at == created_at, more(Run.id, run_id)))
    is_after = and_(value.is_(None), later) if at is None else or_(value.is_(None), more(value, at), and_(value == at, later))
    return and_(not_(is_after), Run.id != run_id) if back else is_after


def _sorted_by(sort: str) -> tuple[Any, bool]:
    name = sort.removeprefix("-")
    name = _SHORT.get(name, name)
    if name not in SORTABLE:
        raise UnknownName("column to sort by", name, SORTABLE)
    return SORTABLE[name], sort.startswith("-")


def _condition(word: str, gone: bool) -> ColumnElement[bool]:
    if word.startswith("-") and _WORD.fullmatch(word[1:]):
        return not_(_condition(word[1:], gone))
    parts = _WORD.fullmatch(word)
    if parts is None:
        return or_(Run.id.startswith(word.lower(), autoescape=True), *(_contains(_TEXTS[name], word) for name in _ANYWHERE))
    name, sign, value = parts["field"], parts["sign"], parts["value"]
    name = _SHORT.get(name, name)
    if name not in _TEXTS and name not in _NUMBERS:
        raise UnknownName(
            "field", name, [*_TEXTS, *_NUMBERS, *_SHORT], hint=f"e.g. {EXAMPLE}; a text with a sign in it stands alone"
        )
    if value == "":
        raise UsageError(f"q: {word!r} has no value", hint=f"e.g. {EXAMPLE}")
    any_of = [_one(name, sign, each, gone) for each in value.split(",") if each]
    return not_(or_(*any_of)) if sign == "!=" else or_(*any_of)


_ANYWHERE = ("model", "dataset", "reason", "imported_from")


def _one(name: str, sign: str, value: str, gone: bool) -> ColumnElement[bool]:
    if name in _NUMBERS:
        return _compare(_NUMBERS[name], sign, _number(name, value))
    if sign in ("<", ">", "<=", ">="):
        raise UsageError(f"q: {name} is a text and has no order, found {sign}{value}", hint=f"`{name}:{value}` looks for it")
    column = _TEXTS[name]
    if name == "status":
        return Run.status.in_(_statuses(value, gone))
    text = func.coalesce(column, "")
    return _contains(column, value) if sign == ":" else text == value


def _compare(column: Any, sign: str, number: float) -> Any:
    return {"<": column < number, ">": column > number, "<=": column <= number, ">=": column >= number}.get(sign, column == number)


def _contains(column: Any, text: str) -> Any:
    return func.lower(func.coalesce(column, "")).contains(text.lower(), autoescape=True)


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError as error:
        raise UsageError(f"q: {name} is a number, found {value!r}", hint=f"e.g. {name}>0.4") from error
    if not abs(number) < 1e300:
        raise UsageError(f"q: {name} is a finite number, found {value!r}", hint=f"e.g. {name}>0.4")
    return number


def _statuses(value: str, gone: bool) -> list[RunStatus]:
    status = status_named(value)
    if gone and status in (RunStatus.PENDING, RunStatus.RUNNING):
        return [RunStatus.PENDING, RunStatus.RUNNING] if status is RunStatus.PENDING else []
    return [status]
