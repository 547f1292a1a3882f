"""`ReaderPool` runs several readers that fill the rows of the next batches.

Two threads run beside the trainer's own. The *dispatcher* hands parts of the next steps to readers and collects their answers; the
*finisher* turns complete rows into batches, in the order of the steps. `_SLOTS` steps are in the making at once.
"""

from __future__ import annotations

import os
import pickle
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import Any

from scaling.errors import UsageError
from trainer.data.batch import Batch
from trainer.data.dataset import Examples
from trainer.data.images.preparation import Preparation
from trainer.data.order import Draws
from trainer.data.readers import memory
from trainer.data.readers.process import Done, Setup, Task
from trainer.data.readers.reader import Reader
from trainer.data.rows import Rows

__all__ = ["ReaderPool"]

_SLOTS = 3
"""One being filled, one for readers that are ahead, one being turned into a batch."""
_TASKS_AHEAD = 2
"""Tasks that a reader has at once, so that it never waits for the next."""
_LARGEST_TASK = 16
"""Rows. Larger ones would leave some readers idle at the end of a batch that the trainer waits for."""
_LEAVING_SECONDS = 2.0
"""How long `close` waits for a thread that hangs on a reader; ending the reader frees it."""


@dataclass
class _Filling:
    """Holds rows in a slot of the shared memory, `missing` of them still to be read."""

    slot: int
    rows: Rows
    missing: int


class ReaderPool:
    """Runs readers over `examples`: iterate `batches`, then `close`.

    Args:
        workers: how many processes.
        size: rows of a batch.
        kind: type of the pixels as NumPy's code, `u1` or `f4`.
        steps: the steps to read.
        draws: step → what its rows stand for.
        finish: complete rows → batch; runs in the finisher's thread, in the order of steps, and may raise.
    """

    def __init__(
        self,
        examples: Examples,
        preparation: Preparation,
        *,
        workers: int,
        size: int,
        kind: str,
        steps: range,
        draws: Callable[[int], Draws],
        finish: Callable[[Rows], Batch],
    ) -> None:
        shape = (_SLOTS, size, *preparation.shape)
        setup = _pickled(Setup(examples, preparation, shape, kind))
        handle = memory.create(shape, kind)
        self._pixels = memory.mapped(handle, shape, kind)
        self._steps, self._draws, self._finish = iter(steps), draws, finish
        self._task_rows = max(1, min(_LARGEST_TASK, size // (2 * workers)))
        self._complete: SimpleQueue[_Filling | BaseException | None] = SimpleQueue()
        self._ready: SimpleQueue[Batch | BaseException | None] = SimpleQueue()
        self._room = threading.Semaphore(1)  # batches that are ready and not yet taken
        self._freed: SimpleQueue[int] = SimpleQueue()
        self._closing = threading.Event()
        self._bell, self._heard = socket.socketpair()
        self._readers = [Reader(handle) for _ in range(workers)]
        os.close(handle)
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._dispatch, setup), name="input dispatcher", daemon=True),
            threading.Thread(target=self._guarded, args=(self._finish_in_order,), name="input finisher", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pids(self) -> list[int]:
        """Return the process ids of the readers."""
        return [reader.pid for reader in self._readers]

    def batches(self) -> Iterator[Batch]:
        """Yield the batches, in order. Raises what a reader or `finish` raised, `DataError` when a reader is gone."""
        while not self._closing.is_set():
            batch = self._ready.get()
            self._room.release()
            if batch is None:
                return
            if isinstance(batch, BaseException):
                raise batch
            yield batch

    def close(self) -> None:
        """End readers and threads. Safe to call twice, and in the middle of a batch."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._ring()
        self._complete.put(None)
        self._room.release()
        self._ready.put(None)
        for thread in self._threads:
            thread.join(_LEAVING_SECONDS)
        for reader in self._readers:
            reader.close()
        self._bell.close()
        self._heard.close()

    def _guarded(self, part: Callable[..., None], *arguments: object) -> None:
        """Run a thread's part. Whatever ends it reaches the trainer, which would wait forever otherwise."""
        try:
            part(*arguments)
        except BaseException as error:  # noqa: BLE001 - raised in the trainer's own thread by `batches`
            self._ready.put(error)

    def _dispatch(self, setup: bytes) -> None:
        """Keep every reader busy with the earliest rows that are still to be read."""
        for reader in self._readers:
            reader.set_up(setup)
        by_link = {reader.link: reader for reader in self._readers}
        free, tasks = list(range(_SLOTS)), deque[Task]()
        filling: deque[_Filling] = deque()
        while not self._closing.is_set():
            while free and (step := next(self._steps, None)) is not None:
                filling.append(self._begin(step, free.pop(), tasks))
            while filling and not filling[0].missing:
                self._complete.put(filling.popleft())
            if not filling and free:
                self._complete.put(None)  # that was the last step
                return
            for reader in self._readers:
                while tasks and reader.tasks < _TASKS_AHEAD:
                    reader.give(tasks.popleft())
            source: Any
            for source in wait([self._heard, *by_link]):
                if source is self._heard:
                    self._heard.recv(4096)
                    while not self._freed.empty():
                        free.append(self._freed.get())
                else:
                    _take(by_link[source].take(), filling)

    def _begin(self, step: int, slot: int, tasks: deque[Task]) -> _Filling:
        rows = Rows.empty(step, self._draws(step), self._pixels[slot])
        count = len(rows.draws.ids)
        tasks.extend(
            Task(slot, first, rows.draws.part(first, first + self._task_rows)) for first in range(0, count, self._task_rows)
        )
        return _Filling(slot, rows, count)

    def _finish_in_order(self) -> None:
        while (filled := self._complete.get()) is not None:
            assert isinstance(filled, _Filling)
            batch = self._finish(filled.rows)
            self._freed.put(filled.slot)
            self._ring()
            self._room.acquire()
            if self._closing.is_set():
                return
            self._ready.put(batch)
        self._ready.put(None)

    def _ring(self) -> None:
        """Wake the dispatcher."""
        with suppress(OSError):
            self._bell.send(b"!")


def _take(done: Done, filling: deque[_Filling]) -> None:
    """Enter an answer into the rows that it belongs to."""
    current = next(entry for entry in filling if entry.slot == done.slot)
    count = len(done.ids)
    current.rows.labels[done.first_row : done.first_row + count] = done.labels
    current.rows.ids[done.first_row : done.first_row + count] = done.ids
    current.rows.skipped += done.skipped
    current.missing -= count


def _pickled(setup: Setup) -> bytes:
    try:
        return pickle.dumps(setup)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"the data set cannot be sent to reader processes: {error}",
            hint="`execution: {workers: 0}` reads it in the trainer; to use workers, let its examples pickle (open files where they are read)",
        ) from error
