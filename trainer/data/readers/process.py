"""The process of one reader: started by `ReaderPool`, spoken to through a socket, ended by the end of that socket.

First comes a pickled `Setup`, then `Task`s, each answered by a `Done` or by the exception that it died of.
"""

from __future__ import annotations

import pickle
import signal
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from trainer.data.batch import Skipped
from trainer.data.dataset import Examples
from trainer.data.images.preparation import Preparation
from trainer.data.order import Draws
from trainer.data.readers import memory
from trainer.data.rows import Rows, read_into

__all__ = ["Done", "Setup", "Task", "main", "sendable"]


@dataclass(frozen=True)
class Setup:
    """Says what a reader reads, how it prepares that, and where it puts it: `shape` is [slots, rows, H, W, C]."""

    examples: Examples
    preparation: Preparation
    shape: tuple[int, ...]
    kind: str


class Task(NamedTuple):
    """Asks for rows of one slot to be filled, from `first_row` on."""

    slot: int
    first_row: int
    draws: Draws


class Done(NamedTuple):
    """Says what was read: labels and ids of the rows, and which could not be read. The pixels are in the shared memory."""

    slot: int
    first_row: int
    labels: np.ndarray
    ids: np.ndarray
    skipped: list[Skipped]


def main(socket: int, handle: int) -> None:
    """Serve tasks until the socket ends, which it does when the trainer is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, which then closes the socket
    link = Connection(socket)
    try:
        setup: Setup = pickle.loads(link.recv_bytes())
        pixels = memory.mapped(handle, setup.shape, setup.kind)
        while True:
            task: Task = link.recv()
            link.send(_answer(task, setup, pixels))
    except (EOFError, ConnectionError):
        return


def _answer(task: Task, setup: Setup, pixels: np.ndarray) -> Done | BaseException:
    count = len(task.draws.ids)
    rows = Rows.empty(0, task.draws, pixels[task.slot, task.first_row : task.first_row + count])
    try:
        for row in range(count):
            read_into(rows, row, setup.examples, setup.preparation)
    except Exception as error:  # noqa: BLE001 - the edge of the process: the trainer raises it
        error.add_note("in a reader process:\n" + "".join(traceback.format_exception(error)))
        return sendable(error)
    return Done(task.slot, task.first_row, rows.labels, rows.ids, rows.skipped)


def sendable(error: Exception) -> BaseException:
    """Return the exception, or its text where it does not survive pickling."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - anything may happen in another's `__reduce__`
        return RuntimeError(f"{type(error).__name__}: {error}\n" + "".join(error.__notes__))
    return error
