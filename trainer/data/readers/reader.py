"""`Reader` is the other end of one worker process: of a reader of batches, or of another that serves tasks in the same way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import Any

from scaling.errors import DataError

__all__ = ["Reader"]

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from importlib import import_module; import_module(sys.argv[2]).main(*map(int, sys.argv[3:]))"
)
_LEAVING_SECONDS = 2.0


class Reader:
    """Starts a process that serves tasks in the order in which it is given them.

    The process imports from where this one does, but not its `__main__`.

    handles: files that the process gets. module: its `main(socket, *handles)` serves the tasks.
    """

    def __init__(self, *handles: int, module: str = "trainer.data.readers.process") -> None:
        ours, theirs = socket.socketpair()
        passed = (theirs.fileno(), *handles)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, json.dumps(sys.path), module, *map(str, passed)],
            pass_fds=passed,
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
        """Send what is pickled for all tasks; returns when the process has taken it. Raises `DataError` when the process is gone."""
        try:
            self.link.send_bytes(setup)
        except ConnectionError:
            raise self._gone() from None

    def give(self, task: object) -> None:
        """Send one more task. Raises `DataError` when the process is gone."""
        try:
            self.link.send(task)
        except ConnectionError:
            raise self._gone() from None
        self.tasks += 1

    def take(self) -> Any:
        """Receive an answer that has come. Raises the exception that ended its task, `DataError` when the process is gone."""
        try:
            answer = self.link.recv()
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
