"""What users ask of runs while a scheduler is at work: written as intents, carried out by whoever holds the lease.

An intent stays open until all of it has happened: a run that is being trained is first asked to checkpoint and stop. So a scheduler that
dies in between leaves the rest to the next one. When nobody holds the lease, the command that asks carries it out itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from orchestrator.store import changes, searches
from orchestrator.store.models import Experiment, ExperimentRun, Intent, Run, now
from orchestrator.store.queries import scheduler
from scaling.errors import UnknownName
from scaling.outcomes import RunStatus

__all__ = ["Steer", "ask", "asked_for", "carry_out", "exclude", "include", "open_intents", "result_of"]


class Steer(StrEnum):
    """What can be asked of runs. The value is the name of the command."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    PRIORITY = "priority"
    STOP = "stop"
    """Asked by the rule of `early_stop`, with its reason; no command."""


@dataclass(frozen=True)
class _Rule:
    """From which statuses a run goes to which; `past` is how the result is told."""

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
    """Write down what is asked, of the named runs, or of all runs of an experiment, or of every run; returns the intent's id.

    Raises `UnknownName` when there is no such run or experiment.
    """
    experiment_id = None
    if experiment is not None:
        experiment_id = session.scalar(select(Experiment.id).where(Experiment.name == experiment))
        if experiment_id is None:
            raise UnknownName("experiment", experiment, session.scalars(select(Experiment.name)).all())
    intent = Intent(
        kind=str(steer), experiment_id=experiment_id, payload={"runs": list(runs), "priority": priority, "reason": reason}
    )
    session.add(intent)
    session.flush()
    if scheduler(session) is None:
        carry_out(session)
    return intent.id


def open_intents(session: Session) -> bool:
    """Whether anything is asked that has not been done."""
    return session.scalar(select(Intent.id).where(Intent.executed_at.is_(None)).limit(1)) is not None


def asked_for(session: Session, steer: Steer) -> set[str]:
    """Runs of which this is asked by name and has not been done."""
    query = select(Intent.payload).where(Intent.kind == str(steer), Intent.executed_at.is_(None))
    return {run_id for payload in session.scalars(query) for run_id in payload["runs"]}


def carry_out(session: Session) -> list[str]:
    """Do what is asked, oldest first; returns the ids of runs that must stop training before the rest can be done."""
    changes.note(session)
    to_stop: list[str] = []
    for intent in session.scalars(select(Intent).where(Intent.executed_at.is_(None)).order_by(Intent.id)):
        _open_or_close_searches(session, intent)
        training = _carry_out(session, intent)
        to_stop += training
        if not training:
            intent.executed_at = now()
    return to_stop


def result_of(session: Session, intent_id: int) -> str | None:
    """What came of an intent, or None while it is open."""
    intent = session.get(Intent, intent_id)
    return intent.result if intent is not None and intent.executed_at is not None else None


def exclude(session: Session, run_id: str, reason: str) -> None:
    """Leave a run out of every fit, visibly; `include` takes it back."""
    session.execute(update(Run).where(Run.id == run_id).values(excluded_reason=reason))


def include(session: Session, run_id: str) -> None:
    """Take back an exclusion."""
    session.execute(update(Run).where(Run.id == run_id).values(excluded_reason=None))


def _carry_out(session: Session, intent: Intent) -> list[str]:
    steer, rule = Steer(intent.kind), _RULES[Steer(intent.kind)]
    runs = _targets(session, intent)
    for run in runs:
        if run.status not in rule.sources:
            continue
        if steer is Steer.PRIORITY:
            run.priority = intent.payload["priority"]
        else:
            assert rule.target is not None
            if run.status is RunStatus.STOPPED:  # whoever asks for it wants it whole: the rule that stopped it is not asked again
                run.resources = {**run.resources, "early_stop": None}
            reason = intent.payload.get("reason", "on request")
            run.status, run.reason = rule.target, "" if rule.target is RunStatus.PENDING else reason
            run.ended_at = now() if rule.target.is_final else None
            if steer is Steer.RETRY:
                run.failures = 0
        changed = intent.payload.get("changed", [])
        if run.id not in changed:
            intent.payload = {**intent.payload, "changed": [*changed, run.id]}
    training = [run.id for run in runs if run.status is RunStatus.RUNNING] if steer in _STOPS else []
    if not training:
        intent.result = _told(rule, intent.payload.get("changed", []), runs)
    return training


def _open_or_close_searches(session: Session, intent: Intent) -> None:
    """A search would ask for more runs in place of those that are cancelled; whoever cancels an experiment, or all, wants none."""
    if intent.payload["runs"]:
        return
    if intent.kind == Steer.CANCEL:
        searches.cancel(session, intent.experiment_id)
    elif intent.kind == Steer.RETRY:
        searches.reopen(session, intent.experiment_id)


def _targets(session: Session, intent: Intent) -> list[Run]:
    query = select(Run)
    if intent.payload["runs"]:
        query = query.where(Run.id.in_(intent.payload["runs"]))
    elif intent.experiment_id is not None:
        wanted = select(ExperimentRun.run_id).where(
            ExperimentRun.experiment_id == intent.experiment_id, ExperimentRun.removed_in.is_(None)
        )
        query = query.where(Run.id.in_(wanted))
    return list(session.scalars(query))


def _told(rule: _Rule, changed: Sequence[str], runs: Sequence[Run]) -> str:
    """`3 paused; 2 were not: 2 finished`."""
    told = f"{len(changed)} {rule.past}"
    others = Counter(str(run.status) for run in runs if run.id not in set(changed))
    if others:
        count = sum(others.values())
        told += f"; {count} {'was' if count == 1 else 'were'} not: {', '.join(f'{n} {status}' for status, n in others.items())}"
    return told
