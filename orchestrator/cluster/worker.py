"""The Ray actor that holds devices for one model shape and owns the trainer process on them.

The actor itself never loads JAX, so it outlives whatever the training does: when the process dies, the actor says how (exit code or
signal), and the next run gets a fresh process. Everything it returns is plain dictionaries.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

__all__ = ["Worker"]


class Worker:
    """Methods are called through Ray; `next_events` waits in one thread while the others answer in a second."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._process: subprocess.Popen[str] | None = None
        self._events: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._token: str | None = None
        self._started = 0.0

    def start(self, token: str, order: Mapping[str, Any]) -> None:
        """Train a run; its events come from `next_events`, each with the attempt's `token`."""
        self._token, self._started = token, time.monotonic()
        if self._process is None or self._process.poll() is not None:
            self._process = self._spawn(Path(order["compile_cache"]).parent)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"run": dict(order)}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died just now; the reader of its events says how

    def stop(self) -> None:
        """Ask the run to checkpoint and end."""
        if self._process is not None and self._process.poll() is None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write('{"stop": true}\n')
                self._process.stdin.flush()

    def next_events(self, wait_seconds: float) -> list[dict[str, Any]]:
        """Events since the last call; waits for the first one up to `wait_seconds`."""
        events: list[dict[str, Any]] = []
        try:
            events.append(self._events.get(timeout=wait_seconds))
            while True:
                events.append(self._events.get_nowait())
        except Empty:
            return events

    def close(self) -> None:
        """End the trainer process: it has nothing to do any more."""
        if self._process is not None and self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _spawn(self, directory: Path) -> subprocess.Popen[str]:
        directory.mkdir(parents=True, exist_ok=True)
        receive, send = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT.format(send=send)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            pass_fds=(send,),
            env=os.environ | self._environment,
            start_new_session=True,  # a Ctrl-C in the terminal is the scheduler's to handle
        )
        os.close(send)
        threading.Thread(target=self._read, args=(process, receive), daemon=True).start()
        return process

    def _read(self, process: subprocess.Popen[str], receive: int) -> None:
        with os.fdopen(receive) as pipe:
            for line in pipe:
                event = json.loads(line)
                ended = event["kind"] in ("ended", "raised")
                self._put(event)
                if ended:
                    self._token = None
        code = process.wait()
        if self._token is not None:
            self._put({"kind": "died", "step": 0, "reason": _how(code)})
            self._token = None

    def _put(self, event: dict[str, Any]) -> None:
        self._events.put(event | {"token": self._token, "wall_seconds": time.monotonic() - self._started})


_BOOT = "import os; os.dup2({send}, 3); from orchestrator.cluster.host import main; main()"


def _how(code: int) -> str:
    if code < 0:
        return f"the trainer process was killed by {signal.Signals(-code).name}"
    return f"the trainer process left with exit code {code}"
