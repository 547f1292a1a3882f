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
    """Says which checkpoints stay: the `newest`, each `every`-th of the run, the last step's, and those of `steps`.

    newest: two, in case the first is damaged. steps: those from which other runs start.
    """

    newest: int = 2
    every: int | None = None
    steps: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Written:
    """Says how the writing of a checkpoint ended.

    `failure` is None when it was committed; `seconds` is the writer's time, not the loop's.
    """

    step: int
    bytes: int
    seconds: float
    failure: OSError | NotFinite | None = None


class NotFinite(Exception):
    """Reports that a state is not worth keeping: the array of the name `array` has a NaN or an infinity in it."""

    def __init__(self, array: str) -> None:
        self.array = array
        super().__init__(f"{array} is not finite")


class Writer:
    """Writes the checkpoints of an attempt on its own thread, one at a time.

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
        """Say whether a checkpoint is being written now."""
        return self._future is not None and not self._future.done()

    def submit(self, snapshot: Snapshot) -> None:
        """Begin to write a checkpoint. The outcome of the one before must have been taken."""
        assert self._future is None
        self._future = self._thread.submit(self._write, snapshot)

    def refuse(self, step: int, failure: OSError) -> None:
        """Set a failure as the outcome, in place of `submit`: something that belongs to the checkpoint could not be written."""
        assert self._future is None
        self._future = Future()
        self._future.set_result(Written(step, 0, 0.0, failure))

    def take(self, *, wait: bool = False) -> Written | None:
        """Return the outcome of the checkpoint begun last, once. None means that it is not known yet, or that there is none.

        wait: until it is known.
        """
        if self._future is None or not (wait or self._future.done()):
            return None
        future, self._future = self._future, None
        return future.result()

    def close(self) -> None:
        """Wait for the checkpoint that is being written, and end the thread."""
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
    """Raise `NotFinite` for an array with a NaN or an infinity in it."""
    for name, pieces in snapshot.pieces.items():
        for piece in pieces:
            if piece.values.dtype.kind != "i" and not np.isfinite(piece.values).all():
                raise NotFinite(name)
