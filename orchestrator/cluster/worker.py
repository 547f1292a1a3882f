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
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

__all__ = ["Worker"]

_LAST_WORDS = 300
"""Characters of a dead process's last line that go into the reason."""
_TOGETHER_SECONDS = 0.05
"""How long events wait for others to be told with."""
_LAST = ("ended", "raised", "died")


class Worker:
    """Methods are called through Ray, in threads and in any order; `next_events` waits in one of them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._granted = time.monotonic()
        self._environment = dict(environment)
        self._events: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._lock = threading.Lock()
        self._trainer: _Trainer | None = None
        self._stopped: set[str] = set()

    def start(self, order: Mapping[str, Any]) -> None:
        """Train a run, or a pack of them; their events come from `next_events`, each with its run's `token`."""
        with self._lock:
            if self._trainer is None or not self._trainer.is_alive():
                self._trainer = _Trainer(self._environment, order["working_directory"], self._events)
            self._trainer.take(order)
            for token in self._stopped.intersection(tokens_of(order)):  # asked before it was started
                self._trainer.say({"stop": token})

    def stop(self, token: str) -> None:
        """Ask the run of this token to checkpoint and end."""
        with self._lock:
            self._stopped.add(token)
            if self._trainer is not None:
                self._trainer.say({"stop": token})

    def next_events(self, wait_seconds: float) -> tuple[float, list[dict[str, Any]]]:
        """For how many seconds this worker has held its devices, and the events since the last call.

        Waits for the first event up to `wait_seconds`, and then a moment for others, unless it is the last of a run: each answer costs the
        scheduler a transaction.
        """
        events: list[dict[str, Any]] = []
        with contextlib.suppress(Empty):
            events.append(self._events.get(timeout=wait_seconds))
            until = time.monotonic() + _TOGETHER_SECONDS
            while events[-1]["kind"] not in _LAST and (left := until - time.monotonic()) > 0:
                events.append(self._events.get(timeout=left))
        return time.monotonic() - self._granted, events

    def abort(self) -> None:
        """Kill the trainer process: it gives no sign of life. How it ended is told as of any that died."""
        with self._lock:
            if self._trainer is not None:
                self._trainer.kill()

    def close(self) -> None:
        """End the trainer process: it has nothing to do any more."""
        with self._lock:
            if self._trainer is not None:
                self._trainer.close()


def tokens_of(order: Mapping[str, Any]) -> list[str]:
    """Of the run that is ordered, or of those of a pack."""
    return [member["token"] for member in order.get("pack") or [order]]


class _Trainer:
    """One life of the trainer process, and the runs it is at. What it says carries the token of its run, whatever came after."""

    def __init__(self, environment: Mapping[str, str], directory: str, events: SimpleQueue[dict[str, Any]]) -> None:
        self._events, self._started = events, 0.0
        self._tokens: set[str] = set()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        receive, send = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", "orchestrator.cluster.host", str(send)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            text=True,
            pass_fds=(send,),
            env=os.environ | environment,
            cwd=directory if Path(directory).is_dir() else None,
            start_new_session=True,  # a Ctrl-C in the terminal is the scheduler's to handle
        )
        os.close(send)
        threading.Thread(target=self._read, args=(receive,), daemon=True).start()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def take(self, order: Mapping[str, Any]) -> None:
        """Give it a run. When it has died just now, the reader says so, under this run's token."""
        self._tokens, self._started = set(tokens_of(order)), time.monotonic()
        self.say({"run": dict(order)})

    def say(self, command: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Let go of the leash, and wait for it to leave."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _read(self, receive: int) -> None:
        with os.fdopen(receive) as pipe:
            for line in pipe:
                try:
                    event = json.loads(line)
                except ValueError:
                    break  # cut off in the middle: it died
                event["wall_seconds"] = time.monotonic() - self._started
                if event["kind"] in ("ended", "raised"):
                    self._tokens.discard(event["token"])
                self._events.put(event)
        code = self._process.wait()
        wall_seconds = time.monotonic() - self._started
        for token in sorted(self._tokens):
            self._events.put({"kind": "died", "step": 0, "reason": self._how(code), "token": token, "wall_seconds": wall_seconds})

    def _how(self, code: int) -> str:
        if code < 0:
            return f"the trainer process was killed by {signal.Signals(-code).name}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"the trainer process left with exit code {code}" + (f": {lines[-1][:_LAST_WORDS]}" if lines else "")
