"""Whether one worker more is wanted and fits, and which idle ones go, or leave their devices to a group that comes first.

What a cluster has is known only roughly: others use it too, holds of several sizes share a node, nodes go. So there may be a worker more than
fits. It waits for its devices, and as long as it does no other keeps some for nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestrator.cluster import Hold, RayCluster
from orchestrator.queue import Group, Queue
from orchestrator.slots import Slot
from scaling.errors import ClusterError

__all__ = ["follower", "is_done", "is_short", "room_for", "yields"]


def is_done(slot: Slot, slots: Sequence[Slot], queue: Queue, cluster: RayCluster) -> bool:
    """Whether an idle worker goes: it may not stay, there is no room for it any more, or others wait for devices while no run does for it."""
    if not slot.is_idle or slot.is_kept:
        return False
    if slot.leaving or (slot.waits and not _fits(slot.hold, cluster)):
        return True
    return not queue.has(slot.group) and (slot.is_unplaced or any(other.waits for other in slots))


def is_short(group: Group, slots: Sequence[Slot], queue: Queue, compiled: Collection[Group]) -> bool:
    """Whether more runs wait than workers get one now; but a second worker waits until the first one has compiled the group's program."""
    workers = [slot for slot in slots if slot.group == group]
    idle = sum(slot.is_idle and not slot.leaving for slot in workers)
    return queue.workers(group) > idle and (group in compiled or not workers)


def room_for(group: Group, slots: Sequence[Slot], queue: Queue, cluster: RayCluster) -> tuple[list[Slot], bool]:
    """Idle workers to close, as far as that helps; and whether one more of this group then fits.

    Those of groups that have nothing left; if that is not enough but this is, also those of groups that it outranks.

    Raises `ClusterError` when the cluster could not hold it even if nothing else ran.
    """
    hold = group.hold
    sharing = [slot for slot in slots if slot.hold.pool == hold.pool and not slot.leaving]
    free, held = cluster.room(hold) - sum(slot.chips for slot in sharing), {slot.group for slot in slots}
    idle = [slot for slot in sharing if slot.is_idle]
    done, outranked = list[Slot](), list[Slot]()
    for slot in idle:
        if free < hold.chips and not queue.has(slot.group):
            done.append(slot)
            free += slot.chips
    for slot in idle:
        if free < hold.chips and queue.has(slot.group) and queue.outranks(group, slot.group, held):
            outranked.append(slot)
            free += slot.chips
    return (done + outranked, True) if free >= hold.chips else (done, False)


def follower(group: Group, slots: Sequence[Slot], closing: Sequence[Slot], queue: Queue) -> Slot | None:
    """A free worker that takes this group's runs from now on, so that no process has to start: one whose own group has nothing left, or one of `closing`."""
    free = (slot for slot in slots if slot.is_free and (slot in closing or not queue.has(slot.group)))
    return next((slot for slot in free if group.may_follow(slot.group)), None)


def yields(slot: Slot, slots: Sequence[Slot], queue: Queue, compiled: Collection[Group]) -> bool:
    """Whether a free worker lets another group go first: one that outranks its own, and wants a worker more."""
    held, pool = {slot.group for slot in slots}, slot.hold.pool
    rivals = (group for group in queue.groups() if queue.outranks(group, slot.group, held) and group.hold.pool == pool)
    return any(is_short(group, slots, queue, compiled) for group in rivals)


def _fits(hold: Hold, cluster: RayCluster) -> bool:
    try:
        return cluster.room(hold) > 0
    except ClusterError:
        return False
