"""Decides whether one worker more is wanted and fits, and which idle workers close or yield their devices to a workload that comes first.

What a cluster has is known only roughly: others use it too, requests of several sizes share a node, nodes go. So there may be a worker more
than fits. It waits for its devices, and while it waits no other worker keeps devices idle.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestrator.cluster import Cluster, DeviceRequest
from orchestrator.scheduling.queue import Queue, Workload
from orchestrator.scheduling.worker_slot import WorkerSlot
from scaling.errors import ClusterError

__all__ = ["capacity_for", "is_done", "is_short", "reusable", "yields"]


def is_done(slot: WorkerSlot, slots: Sequence[WorkerSlot], queue: Queue, cluster: Cluster) -> bool:
    """Say whether an idle worker is to be closed.

    It is when it may not stay, or when it waits and no device is left for it. It also is when its workload has no waiting run, while it or
    another worker waits for devices.
    """
    if not slot.is_idle or slot.is_kept:
        return False
    if slot.leaving or (slot.waits and not _fits(slot.request, cluster)):
        return True
    return not queue.has(slot.workload) and (slot.is_unplaced or any(other.waits for other in slots))


def is_short(workload: Workload, slots: Sequence[WorkerSlot], queue: Queue, compiled: Collection[Workload]) -> bool:
    """Say whether more runs wait than the workload's idle workers can take.

    A second worker is not opened until the first one has compiled the workload's program.
    """
    workers = [slot for slot in slots if slot.workload == workload]
    idle = sum(slot.is_idle and not slot.leaving for slot in workers)
    return queue.workers(workload) > idle and (workload in compiled or not workers)


def capacity_for(workload: Workload, slots: Sequence[WorkerSlot], queue: Queue, cluster: Cluster) -> tuple[list[WorkerSlot], bool]:
    """List the idle workers to close, as far as that helps, and say whether one more worker of this workload then fits.

    Workers of workloads that have nothing left close first. If that is not enough but this is, those of workloads that it outranks close
    too. Raises `ClusterError` when the cluster could not hold it even if nothing else ran.
    """
    request = workload.request
    sharing = [slot for slot in slots if slot.request.pool == request.pool and not slot.leaving]
    free, held = cluster.capacity(request) - sum(slot.chips for slot in sharing), {slot.workload for slot in slots}
    idle = [slot for slot in sharing if slot.is_idle]
    done, outranked = list[WorkerSlot](), list[WorkerSlot]()
    for slot in idle:
        if free < request.chips and not queue.has(slot.workload):
            done.append(slot)
            free += slot.chips
    for slot in idle:
        if free < request.chips and queue.has(slot.workload) and queue.outranks(workload, slot.workload, held):
            outranked.append(slot)
            free += slot.chips
    return (done + outranked, True) if free >= request.chips else (done, False)


def reusable(workload: Workload, slots: Sequence[WorkerSlot], closing: Sequence[WorkerSlot], queue: Queue) -> WorkerSlot | None:
    """Find a free worker that can take this workload's runs from now on, so that no process has to start.

    Its own workload has nothing left, or it is one of `closing`.
    """
    free = (slot for slot in slots if slot.is_free and (slot in closing or not queue.has(slot.workload)))
    return next((slot for slot in free if workload.can_reuse_worker_of(slot.workload)), None)


def yields(slot: WorkerSlot, slots: Sequence[WorkerSlot], queue: Queue, compiled: Collection[Workload]) -> bool:
    """Say whether a free worker lets another workload go first: one that outranks its own, and is short of workers."""
    held, pool = {slot.workload for slot in slots}, slot.request.pool
    rivals = (
        workload
        for workload in queue.workloads()
        if queue.outranks(workload, slot.workload, held) and workload.request.pool == pool
    )
    return any(is_short(workload, slots, queue, compiled) for workload in rivals)


def _fits(request: DeviceRequest, cluster: Cluster) -> bool:
    try:
        return cluster.capacity(request) > 0
    except ClusterError:
        return False
