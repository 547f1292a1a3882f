"""One training over several processes: how they find each other, share the devices, and decide together.

Every process runs the same `train` call. Each feeds its slice of every batch; process 0 alone tells of events and commits checkpoints,
to which each process adds the pieces of the state that lie on its devices. When one process dies, the others wait for it in a
collective. So who hosts the processes kills them all then, and starts all again from the last checkpoint.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import count

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from trainer.sharding import Placement

__all__ = ["Accord", "first_says", "join", "meet", "mesh_over", "new_life", "share_of", "whole_mesh"]

_ACCORD_SECONDS = 0.25
"""How often processes compare notes. A collective of a few bytes costs about a millisecond."""
_MOST_STEPS = 1000
_MEETING_SECONDS = 1800


def join(coordinator: str, *, count: int, index: int, timeout_seconds: int = 300) -> None:
    """Find the other processes: `count` with this one, which is number `index`; number 0 listens at `coordinator` (host:port).

    Call it once a process, before anything asks JAX for its devices. Raises `RuntimeError` when not all of them come in time.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, num_processes=count, process_id=index, initialization_timeout=timeout_seconds)


def mesh_over(devices: Sequence[jax.Device]) -> Mesh | None:
    """Make a mesh of one axis, `batch`, over these devices; None for a single one, which needs no mesh."""
    return Mesh(np.array(devices), ("batch",)) if len(devices) > 1 else None


def whole_mesh() -> Mesh | None:
    """Make a mesh over all devices of all processes, in the order of processes: process i has the i-th slice of every batch."""
    return mesh_over(sorted(jax.devices(), key=lambda device: (device.process_index, device.id)))


def share_of(mesh: Mesh | None) -> tuple[int, int]:
    """Return (index, count) of this process among those whose devices the mesh spans."""
    return Placement(mesh).shard


def meet(mesh: Mesh | None, where: str) -> None:
    """Wait until all processes of the mesh have got here; for what may take them very different times, as compiling does.

    A collective is no place to wait in: on CPU it gives up after 30 seconds.
    """
    if share_of(mesh)[1] > 1:
        from jax._src import distributed  # the coordination service has no public barrier

        client = distributed.global_state.client
        assert client is not None
        client.wait_at_barrier(f"{where}-{next(_meetings)}", _MEETING_SECONDS * 1000)


_meetings = count()
"""All processes of a group meet equally often, so they count alike."""


def first_says(mesh: Mesh | None, value: int) -> int:
    """Return process 0's value (32 bits) in all processes of the mesh."""
    return value if share_of(mesh)[1] == 1 else int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def new_life(mesh: Mesh | None) -> str:
    """Draw a random name for this life of the training, the same in all its processes: 8 hex digits."""
    own = np.frombuffer(os.urandom(4), np.uint32)
    return f"{int(own[0] if share_of(mesh)[1] == 1 else multihost_utils.broadcast_one_to_all(own)[0]):08x}"


class Accord:
    """Takes the decisions that all processes must take at the same step: to stop, to checkpoint.

    A single process decides at every step, at no cost. Several compare notes at steps that they know beforehand. Process 0 spaces these so
    that it happens a few times a second. One process that was asked to stop stops all; process 0's clock says when to checkpoint.
    """

    def __init__(self, mesh: Mesh | None, *, first_step: int) -> None:
        self._alone = share_of(mesh)[1] == 1
        self._next, self._last = first_step, first_step
        self._compared_at = time.perf_counter()

    def decide(self, step: int, *, stop: bool, checkpoint: bool) -> tuple[bool, bool]:
        """Return what all processes do before step `step`: (stop, checkpoint)."""
        if self._alone:
            return stop, checkpoint
        if step < self._next:
            return False, False
        now = time.perf_counter()
        taken = step - self._last
        pace = (now - self._compared_at) / max(1, taken)
        # Twice as far as last time at most: the first steps are only handed to the device, and say nothing of how long they take there.
        ahead = max(1, int(min(_MOST_STEPS, 2 * taken, _ACCORD_SECONDS / max(pace, 1e-6))))
        notes = multihost_utils.process_allgather(np.array([stop, checkpoint, ahead], np.int32))
        self._next, self._last, self._compared_at = step + int(notes[0, 2]), step, time.perf_counter()
        return bool(notes[:, 0].any()), bool(notes[0, 1])
