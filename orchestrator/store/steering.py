"""Requests of users about runs while a scheduler is at work: written as intents, carried out by whoever holds the lease.

An intent stays open until all of it has happened: a run that is being trained is first asked to checkpoint and stop. So a scheduler that
dies in between leaves the rest to the next one. When nobody holds the lease, the command that asks carries it out itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from orchestrator.store import changes, finetunings, searches
from orchestrator.store.experiments import experiment_id, wanted_runs
from orchestrator.store.imported import refuse_imported, sources
from orchestrator.store.membership import among
from orchestrator.store.models import Intent, Run, now
from orchestrator.store.queries import run_id as run_id_of
from orchestrator.store.queries import scheduler
from scaling.errors import UsageError
from scaling.outcomes import RunStatus

__all__ = [
    "Steer",
    "ask",
    "ask_by_name",
    "asked_for",
    "carry_out",
    "exclude",
    "include",
    "intent_of",
    "open_intents",
    "possible",
    "result_of",
]


class Steer(StrEnum):
    """Names the requests that can be made about runs. The value is the name of the command."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    PRIORITY = "priority"
    STOP = "stop"
    """Asked by the rule of `early_stop`, with its reason; no command."""


@dataclass(frozen=True)
class _Rule:
    """Says from which statuses a request takes a run to which status; `past` words the result."""

    sources: tuple[RunStatus, ...]
    target: RunStatus | None
    past: str


_RULES = {
    Steer.PAUSE: _Rule((RunStatus.PENDING,), RunStatus.PAUSED, "paused"),
    Steer.RESUME: _Rule((RunStatus.PAUSED,), RunStatus.PENDING, "resumed"),
    Steer.CANCEL: _Rule((RunStatus.PENDING, RunStatus.PAUSED), RunStatus.CANCELLED, "cancelled"),
    Steer.RETRY: _Rule((RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.STOPPED), RunStatus.PENDING, "pending again"),
    Steer.STOP: _Rule((RunStatus.PENDING, RunStatus.PAUSED), RunStatus.STOPPED, "stopped"),
    Steer.PRIORITY: _Rule((RunStatus.PENDING, RunStatus.PAUSED, RunStatus.RUNNING), None, "given the new priority"),
}
_STOPS = (Steer.PAUSE, Steer.CANCEL, Steer.STOP)


def ask(
    session: Session,
    steer: Steer,
    *,
    runs: Sequence[str] = (),
    experiment: str | None = None,
    priority: int | None = None,
    reason: str = "on request",
) -> int:
    """Write down a request about the named runs, all runs of an experiment, or every run; returns the intent's id.

    Raises `UnknownName` when there is no such experiment, `UsageError` for runs that were imported.
    """
    of = None if experiment is None else experiment_id(session, experiment)
    refuse_imported(session, runs, f"there is nothing to {steer}")
    if experiment is not None and sources(session, experiment):
        raise UsageError(
            f"experiment {experiment!r} was imported: there is nothing to {steer}",
            hint="`scaling status` lists those that are trained here",
        )
    intent = Intent(kind=str(steer), experiment_id=of, payload={"runs": list(runs), "priority": priority, "reason": reason})
    session.add(intent)
    session.flush()
    if scheduler(session) is None:
        carry_out(session)
    return intent.id


def ask_by_name(
    session: Session,
    steer: Steer,
    *,
    runs: Sequence[str] = (),
    experiment: str | None = None,
    everything: bool = False,
    priority: int | None = None,
) -> int:
    """Ask as commands and the HTTP API do: of runs by prefixes of their ids, or of an experiment, or of every run; returns the intent's id.

    Raises as `ask`; `UnknownName` for a run that is not there, `UsageError` for none or two of the three.
    """
    if sum((bool(runs), experiment is not None, everything)) != 1:
        raise UsageError(f"which runs? {steer} takes run ids, or --experiment NAME, or --all", hint="`scaling runs` lists ids")
    ids = [run_id_of(session, run) for run in runs]
    return ask(session, steer, runs=ids, experiment=experiment, priority=priority)


def possible(status: str) -> list[Steer]:
    """List the requests that change a run in this status, or that stop its training first."""
    stops = _STOPS if status == RunStatus.RUNNING else ()
    return [steer for steer, rule in _RULES.items() if steer is not Steer.STOP and (status in rule.sources or steer in stops)]


def open_intents(session: Session) -> bool:
    """Say whether any intent is still open."""
    return session.scalar(select(Intent.id).where(Intent.executed_at.is_(None)).limit(1)) is not None


def asked_for(session: Session, steer: Steer) -> set[str]:
    """Return the ids of the runs about which this request was ever made by name."""
    query = select(Intent.payload).where(Intent.kind == str(steer))
    return {run_id for payload in session.scalars(query) for run_id in payload["runs"]}


def carry_out(session: Session) -> list[str]:
    """Carry out the open intents, oldest first; returns the ids of runs that must stop training before the rest can be done.

    It costs a few statements an intent, whatever the number of its runs; while an intent waits for trainings to stop, it costs one query.
    """
    to_stop: list[str] = []
    for intent in session.scalars(select(Intent).where(Intent.executed_at.is_(None)).order_by(Intent.id)).all():
        to_stop += _carry_out(session, intent)
    return to_stop


def result_of(session: Session, intent_id: int) -> str | None:
    """Return the result of an intent in words, or None while it is open."""
    intent = session.get(Intent, intent_id)
    return intent.result if intent is not None and intent.executed_at is not None else None


def intent_of(session: Session, intent_id: int) -> dict[str, Any] | None:
    """Return an intent: its `kind`, and its `result` in words, None while it is open. None where there is no such intent."""
    intent = session.get(Intent, intent_id)
    return None if intent is None else {"kind": intent.kind, "result": intent.result if intent.executed_at is not None else None}


def exclude(session: Session, run_id: str, reason: str) -> None:
    """Leave a run out of every fit, with the reason shown; `include` takes it back."""
    session.execute(update(Run).where(Run.id == run_id).values(excluded_reason=reason))


def include(session: Session, run_id: str) -> None:
    """Take back an exclusion."""
    session.execute(update(Run).where(Run.id == run_id).values(excluded_reason=None))


def _carry_out(session: Session, intent: Intent) -> list[str]:
    """Carry out one intent, and return the ids of its runs that must stop training first.

    Its waiting runs are changed at once; the rest, and the result, follow when none is in training any more.
    """
    steer, rule, ours = Steer(intent.kind), _RULES[Steer(intent.kind)], _targets(session, intent)
    first = "already" not in intent.payload
    if first:
        already = _statuses(session, ours)[rule.target] if rule.target else 0
        intent.payload = {**intent.payload, "already": already}
        _open_or_close_searches(session, intent)
        _change(session, intent, rule, ours)
    training = session.scalars(select(Run.id).where(ours, Run.status == RunStatus.RUNNING)).all() if steer in _STOPS else ()
    if training:
        return list(training)
    if not first:
        _change(session, intent, rule, ours)
    intent.result, intent.executed_at = _told(rule, _statuses(session, ours), already=intent.payload["already"]), now()
    return []


def _open_or_close_searches(session: Session, intent: Intent) -> None:
    """Cancel or reopen the searches and fine-tunings of an experiment, or of all, that is cancelled or retried as a whole.

    They would otherwise ask for more runs in place of those that are cancelled.
    """
    if intent.payload["runs"]:
        return
    if intent.kind == Steer.CANCEL:
        searches.cancel(session, intent.experiment_id)
        finetunings.cancel(session, intent.experiment_id)
    elif intent.kind == Steer.RETRY:
        searches.reopen(session, intent.experiment_id)
        finetunings.reopen(session, intent.experiment_id)


def _targets(session: Session, intent: Intent) -> ColumnElement[bool]:
    """Return the condition that a run is one of those that the intent is about."""
    if intent.payload["runs"]:
        return among(session, Run.id, intent.payload["runs"])
    if intent.experiment_id is None:
        return Run.imported_from.is_(None)
    return Run.id.in_(wanted_runs(intent.experiment_id))


def _change(session: Session, intent: Intent, rule: _Rule, ours: ColumnElement[bool]) -> None:
    """Make the change of the rule on all of the runs that it may change, in one statement."""
    values: dict[str, Any]
    if rule.target is None:
        values = {"priority": intent.payload["priority"]}
    else:
        reason = "" if rule.target is RunStatus.PENDING else intent.payload.get("reason", "on request")
        values = {"status": rule.target, "reason": reason, "ended_at": now() if rule.target.is_final else None}
    if intent.kind == Steer.RETRY:
        values["failures"] = 0
    session.execute(update(Run).where(ours, Run.status.in_(rule.sources)).values(values))
    changes.note(session)


def _statuses(session: Session, ours: ColumnElement[bool]) -> Counter[RunStatus]:
    counted = session.execute(select(Run.status, func.count()).where(ours).group_by(Run.status).order_by(Run.status))
    return Counter({status: count for status, count in counted})  # noqa: C416


def _told(rule: _Rule, statuses: Counter[RunStatus], *, already: int) -> str:
    """Word the result: `3 paused; 2 were not: 2 finished`. already: how many were in the rule's target status before."""
    if rule.target is None:
        changed = sum(statuses.pop(status, 0) for status in rule.sources)
    else:
        changed = max(0, statuses[rule.target] - already)
        statuses[rule.target] -= changed
    told, others = f"{changed} {rule.past}", +statuses
    if others:
        count = others.total()
        told += f"; {count} {'was' if count == 1 else 'were'} not: {', '.join(f'{n} {status}' for status, n in others.items())}"
    return told
