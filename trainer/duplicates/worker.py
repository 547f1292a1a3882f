"""The process of one worker: spoken to through a socket, ended by the end of that socket. First comes what it does, then what it does it to."""

from __future__ import annotations

import pickle
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from scaling.errors import UsageError
from trainer.data.readers.process import sendable
from trainer.data.readers.reader import Reader

__all__ = ["done_by", "main"]


def done_by(work: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Iterator[tuple[int, Any]]:
    """Call `work` on each task, in so many processes, and yield (number of the task, result) as they come. 0 workers: in this process.

    Both must pickle. A worker ends with this process, however that ends.
    Raises what `work` raised, `DataError` when a worker is gone, `UsageError` for work that cannot be sent.
    """
    if workers < 1 or len(tasks) < 2:
        for number, task in enumerate(tasks):
            yield number, work(task)
        return
    try:
        sent = pickle.dumps(work)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"the data set cannot be sent to worker processes: {error}",
            hint="let its examples pickle (open files where they are read), as `execution: {workers: …}` asks for too",
        ) from error
    readers = [Reader(module=__name__) for _ in range(min(workers, len(tasks)))]
    try:
        busy: dict[Any, tuple[Reader, int]] = {}
        left = iter(enumerate(tasks))
        for reader in readers:
            reader.set_up(sent)
            number, task = next(left)
            reader.give(task)
            busy[reader.link] = reader, number
        while busy:
            for link in wait(list(busy)):
                reader, number = busy.pop(link)
                result = reader.take()
                if (following := next(left, None)) is not None:
                    reader.give(following[1])
                    busy[link] = reader, following[0]
                yield number, result
    finally:
        for reader in readers:
            reader.close()


def main(socket: int) -> None:
    """Serve tasks until the socket ends, which it does when the process that started this one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for that process, which then closes the socket
    link = Connection(socket)
    try:
        work = pickle.loads(link.recv_bytes())
        while True:
            link.send(_answer(work, link.recv()))
    except (EOFError, ConnectionError):
        return


def _answer(work: Callable[[Any], Any], task: Any) -> Any:
    try:
        return work(task)
    except Exception as error:  # noqa: BLE001 - the edge of the process: the other one raises it
        error.add_note("in a worker process:\n" + "".join(traceback.format_exception(error)))
        return sendable(error)
