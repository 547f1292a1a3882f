"""Reads and ends what a scheduler that died left in the store: workers on a cluster, and open attempts and allocations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from orchestrator.store.models import Allocation, Attempt, Run, now

__all__ = ["WorkerLeft", "close_allocations", "names_of_workers_left", "orphans", "workers_left"]


@dataclass(frozen=True)
class WorkerLeft:
    """Holds what the store knows of a worker that may have outlived its scheduler.

    name: by which Ray finds it. latest: the run that it was given last, None before its first. attempts: its open ones, each with its run.
    """

    name: str
    allocation: Allocation
    latest: Run | None
    attempts: list[tuple[Attempt, Run]]


def names_of_workers_left(session: Session, *, scheduler: str) -> list[str]:
    """List the names of the workers that other schedulers left on a cluster, whether they live or not."""
    query = _open_allocations(scheduler).with_only_columns(Allocation.worker)
    return [name for name in session.scalars(query) if name is not None]


def workers_left(session: Session, *, scheduler: str) -> list[WorkerLeft]:
    """List the workers that other schedulers left on a cluster. An attempt whose run has gone on without it is ended here."""
    left = []
    for allocation in session.scalars(_open_allocations(scheduler).where(Allocation.worker.is_not(None))):
        held = select(Attempt, Run).join(Run).where(Attempt.allocation_id == allocation.id)
        latest = session.execute(held.order_by(Attempt.id.desc())).first()
        attempts = []
        for attempt, run in session.execute(held.where(Attempt.ended_at.is_(None))):
            if run.token == attempt.token:
                attempts.append((attempt, run))
            else:
                attempt.ended_at = now()
        left.append(WorkerLeft(allocation.worker or "", allocation, latest[1] if latest else None, attempts))
    return left


def orphans(session: Session, *, scheduler: str) -> Iterator[tuple[Attempt, Run]]:
    """Yield the open attempts of other schedulers, each with its run. An attempt whose run has gone on without it is ended."""
    query = select(Attempt, Run).join(Allocation).join(Run, Run.id == Attempt.run_id)
    for attempt, run in session.execute(query.where(Attempt.ended_at.is_(None), Allocation.scheduler != scheduler)).all():
        if run.token == attempt.token:
            yield attempt, run
        else:
            attempt.ended_at = now()


def close_allocations(session: Session, *, scheduler: str) -> None:
    """End the allocations that other schedulers left open.

    Each has held its devices for the seconds last noted, or for the sum over its attempts where that is more. The times of day at which
    it was opened and last heard of are not used: the clock may have jumped, and the worker may have waited for devices.
    """
    for allocation in session.scalars(_open_allocations(scheduler)):
        attempts = session.scalars(select(Attempt).where(Attempt.allocation_id == allocation.id))
        charged = sum(attempt.charged_seconds for attempt in attempts)
        allocation.ended_at, allocation.held_seconds = now(), max(allocation.held_seconds or 0.0, charged)


def _open_allocations(scheduler: str) -> Select[Allocation]:
    return select(Allocation).where(Allocation.ended_at.is_(None), Allocation.scheduler != scheduler)
