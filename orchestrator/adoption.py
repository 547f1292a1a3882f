"""After a scheduler died on a cluster: its workers go on, and a new scheduler takes them over with the attempts that they are at.

A worker keeps what it had to say of an attempt until that attempt's end is in the store, so hearing it from the first event on gives the new
scheduler what the old one knew. The attempt's token stays the same: for its run nothing has happened.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.attempt import AttemptLog
from orchestrator.cluster import RemoteWorker
from orchestrator.queue import Group
from orchestrator.slots import Slot
from orchestrator.store.models import Allocation, Attempt, Run, now

__all__ = ["adopt", "workers_left"]


def workers_left(session: Session, *, scheduler: str) -> list[str]:
    """Names of the workers that other schedulers left on a cluster, whether they live or not."""
    return [allocation.worker for allocation in _left(session, scheduler) if allocation.worker is not None]


def adopt(session: Session, workers: Mapping[str, RemoteWorker], *, scheduler: str) -> list[Slot]:
    """Slots for the workers that other schedulers left, with their open attempts. workers: by name, those of them that Ray still knows.

    Call it under the lease, before `recovery.recover`, which closes what is not adopted: also the allocation of a worker that was never told
    anything. Whether a worker knows the attempts that the store has open is asked afterwards (`Slot.take_over`): an order that never reached it
    is no attempt.
    """
    slots: list[Slot] = []
    for allocation in _left(session, scheduler):
        latest = session.execute(
            select(Attempt, Run).join(Run).where(Attempt.allocation_id == allocation.id).order_by(Attempt.id.desc())
        ).first()
        worker = workers.get(allocation.worker or "")
        if worker is None or latest is None:
            continue
        allocation.scheduler = scheduler
        group = Group.of(latest[1])
        slot = Slot(worker, group, allocation.id)
        for attempt, run in session.execute(
            select(Attempt, Run).join(Run).where(Attempt.allocation_id == allocation.id, Attempt.ended_at.is_(None))
        ):
            if run.token == attempt.token:
                slot.attempts[attempt.token] = AttemptLog.reopened(attempt, run)
            else:
                attempt.ended_at = now()
        slots.append(slot)
    return slots


def _left(session: Session, scheduler: str) -> list[Allocation]:
    query = select(Allocation).where(
        Allocation.ended_at.is_(None), Allocation.scheduler != scheduler, Allocation.worker.is_not(None)
    )
    return list(session.scalars(query))
