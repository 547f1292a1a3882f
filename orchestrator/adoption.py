"""After a scheduler died on a cluster: its workers go on, and a new scheduler takes them over with the attempts that they are at.

A worker keeps what it had to say of an attempt until that attempt's end is in the store, so hearing it from the first event on gives the new
scheduler what the old one knew. The attempt's token stays the same: for its run nothing has happened.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.attempt import AttemptLog
from orchestrator.cluster import RayCluster
from orchestrator.queue import Group
from orchestrator.slots import Slot
from orchestrator.store.models import Allocation, Attempt, Run, now
from scaling.accelerators import accelerator

__all__ = ["adopt"]


def adopt(session: Session, cluster: RayCluster, *, scheduler: str) -> list[Slot]:
    """Slots for the workers that other schedulers left in this cluster and that Ray still knows, with their open attempts.

    Call it under the lease, before `recovery.recover`, which closes what is not adopted. Whether a worker knows the attempts that the store has
    open is asked here, and looked at with its first answer: an order that never reached it is no attempt.
    """
    slots: list[Slot] = []
    left = select(Allocation).where(
        Allocation.ended_at.is_(None), Allocation.scheduler != scheduler, Allocation.worker.is_not(None)
    )
    for allocation in session.scalars(left):
        assert allocation.worker is not None  # by the query
        latest = session.execute(
            select(Attempt, Run).join(Run).where(Attempt.allocation_id == allocation.id).order_by(Attempt.id.desc())
        ).first()
        worker = cluster.find_worker(allocation.worker)
        if worker is None:
            continue
        if latest is None:
            worker.kill()  # it was never told anything
            continue
        allocation.scheduler = scheduler
        group = Group.of(latest[1])
        slot = Slot(worker, group, accelerator(allocation.accelerator), allocation.id)
        for attempt, run in session.execute(
            select(Attempt, Run).join(Run).where(Attempt.allocation_id == allocation.id, Attempt.ended_at.is_(None))
        ):
            if run.token == attempt.token:
                slot.attempts[attempt.token] = AttemptLog.reopened(attempt, run)
            else:
                attempt.ended_at = now()
        slot.take_over(scheduler)
        slots.append(slot)
    return slots
