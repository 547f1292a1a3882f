"""`Reader` is the trainer's end of one reader process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection

from scaling.errors import DataError
from trainer.data.readers.process import Done, Task

__all__ = ["Reader"]

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from trainer.data.readers.process import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
_LEAVING_SECONDS = 2.0


class Reader:
    """Starts a process that serves tasks in the order in which it is given them.

    The process imports from where this one does, but not its `__main__`.
    """

    def __init__(self, memory: int) -> None:
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, json.dumps(sys.path), str(theirs.fileno()), str(memory)],
            pass_fds=(theirs.fileno(), memory),
            stdin=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # images are read in parallel, not their parts
        )
        theirs.close()
        self.link = Connection(ours.detach())
        self.tasks = 0
        """Number of tasks given and not yet answered."""

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def set_up(self, setup: bytes) -> None:
        """Send the pickled `Setup`; returns when the process has taken it. Raises `DataError` when the process is gone."""
        try:
            self.link.send_bytes(setup)
        except ConnectionError:
            raise self._gone() from None

    def give(self, task: Task) -> None:
        """Send one more task. Raises `DataError` when the process is gone."""
        try:
            self.link.send(task)
        except ConnectionError:
            raise self._gone() from None
        self.tasks += 1

    def take(self) -> Done:
        """Receive an answer that has come. Raises the exception that ended its task, `DataError` when the process is gone."""
        try:
            answer: Done | BaseException = self.link.recv()
        except (EOFError, ConnectionError):
            raise self._gone() from None
        self.tasks -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """End the process: it sees the end of its socket after its present task. It is killed when it does not end."""
        self.link.close()
        try:
            self._process.wait(_LEAVING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _gone(self) -> DataError:
        try:
            code = self._process.wait(_LEAVING_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        return DataError(
            f"a reader process has ended with exit code {code}",
            hint="-9 is the kernel's for want of memory: fewer `execution: {workers}` need less; else its last words are in the log",
        )
