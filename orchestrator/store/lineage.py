"""Finds the steps of which attempts make up a run: those that survive every fall-back to an earlier checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session, selectinload

from orchestrator.store import queries
from orchestrator.store.models import Run

__all__ = ["Lineage", "Share", "lineage_of"]


@dataclass(frozen=True)
class Share:
    """Names the steps that an attempt gave to its run: from `first_step` to before `stop_step`, recorded in `directory`.

    run_id: whose attempt it is: of the run itself, or of the parent whose trunk it started from.
    """

    attempt: int
    directory: str
    first_step: int
    stop_step: int
    run_id: str


@dataclass(frozen=True)
class Lineage:
    """Holds a run's id, config and status, and its shares from step 0 to its newest checkpoint, in order."""

    run_id: str
    config: dict[str, Any]
    status: str
    shares: tuple[Share, ...]


def lineage_of(session: Session, prefix: str) -> Lineage:
    """Return the lineage of the run whose id begins with `prefix`. Raises `UnknownName`, `UsageError` as `queries.run_detail`."""
    run_id = queries.run_id(session, prefix)
    run = session.get(Run, run_id, options=[selectinload(Run.attempts)])
    assert run is not None
    return Lineage(run.id, run.config, str(run.status), tuple(_shares(session, run, run.resume_attempt, run.resume_step)))


def _shares(session: Session, run: Run, number: int | None, stop: int) -> list[Share]:
    """List the shares that make up a run's steps before `stop`; where it branched off, those of its parent come first.

    number: of the attempt that has the checkpoint at `stop`.
    """
    attempts = {attempt.number: attempt for attempt in run.attempts}
    shares: list[Share] = []
    branched_from = None
    while number is not None and stop > 0:
        attempt = attempts[number]
        if attempt.first_step < stop:  # else it was resumed below where it began, so nothing of it is left
            shares.append(Share(number, attempt.directory, attempt.first_step, stop, run.id))
            stop = attempt.first_step
        number, branched_from = attempt.resumed_from, attempt.branched_from
    shares.reverse()
    if branched_from is not None and stop > 0 and run.parent is not None:
        return _shares(session, run.parent, branched_from, stop) + shares
    return shares
