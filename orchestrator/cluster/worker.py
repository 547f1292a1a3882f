"""The Ray actor that holds devices and owns the trainer process on them.

The actor itself never loads JAX, so it outlives whatever the training does: when the process dies, the actor says how (exit code or
signal), and the next run gets a fresh process. What it is given and what it returns are plain dictionaries.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO

from orchestrator.cluster.left_over import end_processes
from orchestrator.cluster.mailbox import Mailbox, leave_when_alone
from orchestrator.messages import Assignment, Died, Message, Refused
from orchestrator.provenance import code_version, same_code

__all__ = ["Worker"]

_LAST_WORDS = 300
"""Characters of a dead process's last line that go into the reason."""

_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
"""Signals that kill compiled code when it is at fault itself. SIGKILL and SIGTERM come from outside."""

_CRASHED = (
    ": the compiled training step crashed. Change the model's width or group_width, or batch_size: each gives another program. "
    "Or install another version of jaxlib"
)
"""What follows the name of such a signal in the reason."""


class Worker:
    """Holds devices and a trainer process on them. Ray calls its methods in threads and in any order; `next_events` waits in one of them.

    It belongs to the scheduler that last adopted it. Assignments of another one, which may have been taken for dead and woken up, do not
    count.

    Args:
        environment: of the trainer process.
        owner: the scheduler that it belongs to at first; None takes assignments of any.
        alone_seconds: leave when there has been neither a run nor a scheduler for so long; None is never.
    """

    def __init__(self, environment: Mapping[str, str], owner: str | None = None, alone_seconds: float | None = None) -> None:
        self._granted = time.monotonic()
        self._environment = dict(environment)
        self._mailbox = Mailbox()
        self._lock = threading.Lock()
        self._trainer: _Trainer | None = None
        self._taken: set[str] = set()
        self._stopped: set[str] = set()
        self._owner = owner
        if alone_seconds is not None:
            leave_when_alone(self._mailbox, self._is_busy, self._leave, seconds=alone_seconds)

    def place(self) -> dict[str, object]:
        """Return where it is: Ray's id of the node (none without Ray), the host's address, and the code that runs there."""
        node, address = None, "127.0.0.1"
        if (ray := sys.modules.get("ray")) is not None and ray.is_initialized():
            node, address = ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()
        return {"nodes": [node] if node else [], "address": address, "code_version": code_version()}

    def adopt(self, scheduler: str) -> list[str]:
        """Belong to this scheduler from now on. Returns the tokens of current attempts and of those whose events are still kept."""
        with self._lock:
            self._owner = scheduler
            training = self._trainer.tokens if self._trainer else set()
            return sorted(training | set(self._mailbox.tokens()))

    def start(self, content: Mapping[str, object]) -> None:
        """Train what an `Assignment` says; its events come from `next_events`.

        The same assignment again is the same run.
        """
        assignment = Assignment.from_dict(content)
        with self._lock:
            if assignment.token in self._taken or (self._owner is not None and assignment.scheduler != self._owner):
                return
            self._taken.add(assignment.token)
            if (reason := other_code(assignment)) is not None:
                for token in assignment.tokens:
                    self._mailbox.put(Message(event=Refused(reason=reason), token=token))
                return
            if self._trainer is None or not self._trainer.is_alive():
                self._trainer = _Trainer(self._environment, assignment.working_directory, self._mailbox)
            self._trainer.take(assignment)
            for token in self._stopped.intersection(assignment.tokens):  # asked before it was started
                self._trainer.say({"stop": token})

    def stop(self, token: str) -> None:
        """Ask the run of this token to checkpoint and end."""
        with self._lock:
            self._stopped.add(token)
            if self._trainer is not None:
                self._trainer.say({"stop": token})

    def next_events(self, wait_seconds: float, after: int = -1, settled: int = -1) -> dict[str, object]:
        """Return a dictionary of the worker's events and state.

        - `held_seconds`: for how long this worker has held its devices
        - `events`: `NumberedMessage`s above `after`
        - the keys of `place`

        Waits for the first event up to `wait_seconds`. settled: events up to this number are in the store, and need not be kept.
        """
        events = [message.to_dict() for message in self._mailbox.take(wait_seconds, after=after, settled=settled)]
        return {"held_seconds": time.monotonic() - self._granted, "events": events, **self._placed}

    @cached_property
    def _placed(self) -> dict[str, object]:
        return self.place()

    def free_port(self) -> int:
        """Return a port of this host that nobody listens on."""
        with socket.socket() as probe:
            probe.bind(("", 0))
            return probe.getsockname()[1]

    def abort(self, token: str) -> None:
        """Kill the trainer process: it gives no sign of life, or is one of several that share a fate. Its end is told as of any that died.

        Nothing happens once it has been given another run than that of this token: asked late, or twice, it spares the next one.
        """
        with self._lock:
            if self._trainer is not None and token in self._trainer.assigned:
                self._trainer.kill()

    def close(self) -> None:
        """End the trainer process: it has no more runs to train."""
        with self._lock:
            if self._trainer is not None:
                self._trainer.close()

    def _is_busy(self) -> bool:
        return self._trainer is not None and bool(self._trainer.tokens)

    def _leave(self) -> None:
        self.close()
        os._exit(0)  # the actor is over; Ray gives its devices back


def other_code(assignment: Assignment) -> str | None:
    """Return why an assignment is refused: its scheduler has another version of the code. None when it has not."""
    theirs = assignment.code_version
    if theirs is None or same_code(theirs, code_version()):
        return None
    return f"the node {socket.gethostname()} has scaling {code_version()}, the scheduler has {theirs}"


class _Trainer:
    """Holds one life of the trainer process, and its current runs. Its messages carry the token of their run, whatever run came after.

    tokens: of its current runs. assigned: of those it was given last, over or not.
    """

    def __init__(self, environment: Mapping[str, str], directory: str, mailbox: Mailbox) -> None:
        self._mailbox, self._started = mailbox, 0.0
        self.tokens: set[str] = set()
        self.assigned: list[str] = []
        self._folders: list[Path] = []
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

    def take(self, assignment: Assignment) -> None:
        """Give it a run. When it has died just now, the reader says so, under this run's token."""
        self.assigned = assignment.tokens
        self._folders = [Path(member.directory) for member in assignment.members if member.config.get("program")]
        self.tokens, self._started = set(self.assigned), time.monotonic()
        self.say({"run": assignment.to_dict()})

    def say(self, command: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """Close its stdin, and wait for it to leave; kill it after 5 s."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def kill(self) -> None:
        """Kill the process at once; the reader tells the end of each of its current runs."""
        self._process.kill()
        self._process.wait()

    def _read(self, receive: int) -> None:
        with os.fdopen(receive) as pipe:
            for line in pipe:
                try:
                    message = Message.from_dict(json.loads(line))
                except ValueError:
                    break  # cut off in the middle: it died
                if message.event.is_last:
                    self.tokens.discard(message.token)
                self._mailbox.put(replace(message, wall_seconds=time.monotonic() - self._started))
        code = self._process.wait()
        for folder in self._folders:
            end_processes(folder)  # its leash may be gone too
        tokens, self.tokens, wall_seconds = sorted(self.tokens), set(), time.monotonic() - self._started
        for token in tokens:
            died = Died(reason=self._how(code), signal=-code if code < 0 else None)
            self._mailbox.put(Message(event=died, token=token, wall_seconds=wall_seconds))

    def _how(self, code: int) -> str:
        if code < 0:
            advice = _CRASHED if -code in _CRASHES else ""
            return f"the trainer process was killed by {signal.Signals(-code).name}{advice}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"the trainer process left with exit code {code}" + (f": {lines[-1][:_LAST_WORDS]}" if lines else "")
