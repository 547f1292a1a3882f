"""After a scheduler died on a cluster: its workers go on, and a new scheduler takes them over with their current attempts.

A worker keeps the events of an attempt until that attempt's end is in the store, so hearing it from the first event on gives the new
scheduler what the old one knew. The attempt's token stays the same: for its run nothing has happened.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.cluster import RemoteWorker
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.scheduling.queue import Workload
from orchestrator.scheduling.worker_slot import WorkerSlot
from orchestrator.store import Session, handover

__all__ = ["take_over"]


def take_over(session: Session, workers: Mapping[str, RemoteWorker], *, scheduler: str) -> list[WorkerSlot]:
    """Make slots for the workers that other schedulers left, with their open attempts.

    workers: by name, those of them that the cluster still knows.

    Call it under the lease, before `recovery.recover`, which closes what is not taken over: also the allocation of a worker that was
    never told anything. Whether a worker knows the attempts that the store has open is asked afterwards (`WorkerSlot.take_over`): an
    assignment that never reached it is no attempt.
    """
    slots: list[WorkerSlot] = []
    for left in handover.workers_left(session, scheduler=scheduler):
        worker = workers.get(left.name)
        if worker is None or left.latest is None:
            continue
        left.allocation.scheduler = scheduler
        slot = WorkerSlot(worker, Workload.of(left.latest), left.allocation.id)
        slot.attempts = {attempt.token: AttemptLog.reopened(attempt, run) for attempt, run in left.attempts}
        slots.append(slot)
    return slots
