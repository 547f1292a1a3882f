"""Writes checkpoints on a thread of its own, one at a time, and removes the ones that are no longer kept."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from trainer.checkpoint.files import Damaged, Snapshot, commit, committed, read_manifest, remove_step, uncommitted, write_part
from trainer.storage import Storage

__all__ = ["Keep", "NotFinite", "Writer", "Written", "check_finite"]

_PART_SECONDS = 120.0
"""How long the first process waits for the others' parts before it gives a checkpoint up."""


@dataclass(frozen=True)
class Keep:
    """Which checkpoints stay: the `newest` (the second in case the first is damaged), each `every`-th of the run, the last step's, and
    those of `steps`, from which other runs start.
    """

    newest: int = 2
    every: int | None = None
    steps: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Written:
    """What came of a checkpoint. `failure` is None when it was committed; `seconds` is the writer's time, not the loop's."""

    step: int
    bytes: int
    seconds: float
    failure: OSError | NotFinite | None = None


class NotFinite(Exception):
    """A state that is not worth keeping; `array` has a NaN or an infinity in it."""

    def __init__(self, array: str) -> None:
        self.array = array
        super().__init__(f"{array} is not finite")


class Writer:
    """At most one checkpoint is being written; a second one waits for it.

    Args:
        storage: of the attempt.
        first_step: where the attempt started. A committed step past it that this writer did not write was passed over as damaged, or is
            of a life that is over: it is not counted among those that are kept.
    """

    def __init__(self, storage: Storage, *, keep: Keep, first_step: int) -> None:
        self._storage, self._keep = storage, keep
        self._sound = {step for step in committed(storage) if step <= first_step}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._future: Future[Written] | None = None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written now."""
        return self._future is not None and not self._future.done()

    def submit(self, snapshot: Snapshot) -> None:
        """Begin to write. The outcome of the one before must have been taken."""
        assert self._future is None
        self._future = self._thread.submit(self._write, snapshot)

    def refuse(self, step: int, failure: OSError) -> None:
        """Instead of `submit`: this is the outcome, since what belongs to the checkpoint could not be written."""
        assert self._future is None
        self._future = Future()
        self._future.set_result(Written(step, 0, 0.0, failure))

    def take(self, *, wait: bool = False) -> Written | None:
        """The outcome of the one begun last, once; None while it is not known, or when there is none."""
        if self._future is None or not (wait or self._future.done()):
            return None
        future, self._future = self._future, None
        return future.result()

    def close(self) -> None:
        """Wait for what is being written."""
        self._thread.shutdown(wait=True)

    def _write(self, snapshot: Snapshot) -> Written:
        started = time.perf_counter()
        written, failure = 0, None
        try:
            check_finite(snapshot)
            if snapshot.part in snapshot.parts:
                write_part(self._storage, snapshot)
            if snapshot.part == snapshot.parts[0]:
                written = commit(self._storage, snapshot, wait_seconds=_PART_SECONDS)
                with suppress(OSError):  # the commit stands; what could not be removed is tried again with the next one
                    self._prune(snapshot.step)
        except (OSError, NotFinite) as error:
            failure = error
        return Written(snapshot.step, written, time.perf_counter() - started, failure)

    def _prune(self, newest: int) -> None:
        self._sound.add(newest)
        counted = sorted(self._sound)
        kept = set(counted[-self._keep.newest :]) | {step for step in counted if self._is_pinned(step)}
        for step in committed(self._storage) + uncommitted(self._storage):
            if step < newest and step not in kept:
                remove_step(self._storage, step)
                self._sound.discard(step)

    def _is_pinned(self, step: int) -> bool:
        if step in self._keep.steps:
            return True
        if self._keep.every is None:
            return False
        try:
            return read_manifest(self._storage, step)["counters"]["checkpoint"] % self._keep.every == 0
        except Damaged:
            return True  # it may be only unreadable for now


def check_finite(snapshot: Snapshot) -> None:
    """Raises `NotFinite` for an array with a NaN or an infinity in it."""
    for name, pieces in snapshot.pieces.items():
        for piece in pieces:
            if piece.values.dtype.kind != "i" and not np.isfinite(piece.values).all():
                raise NotFinite(name)
