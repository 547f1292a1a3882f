"""Kills what is left of a program's attempts on this machine.

A leash kills the process group of its program. Processes that left that group, as the workers of torchrun do, are in no group of ours, and those
of an attempt whose host and leash were killed in one instant have nobody. All of them have inherited SCALING_RUN and SCALING_ATTEMPT, by which
they are found in /proc, together with what they have started. Where there is no /proc, nothing is found.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["end_processes", "kept_folder"]

_SECONDS = 5.0
"""How long killed processes may take to be gone; one that waits for a device or a disk takes longer."""
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class _Process:
    """Holds a process of this user: run and attempt are those of its environment, None where it has none."""

    pid: int
    parent: int
    run: str | None
    attempt: int | None


def kept_folder(attempt: Path) -> Path:
    """Return the folder that a program keeps over its attempts, SCALING_RUN, by the folder of one of them."""
    return attempt.parent / "kept"


def end_processes(attempt: Path) -> int:
    """Kill the processes of a run's attempts up to this one, and wait until they are gone, up to 5 s. Returns how many there were.

    attempt: the attempt's folder, whose name is its number. Processes of later attempts, of other users, and of a terminal, where somebody
    tries a script by hand, are left alone, and so are this process and those above it.
    """
    if not attempt.name.isdecimal():
        return 0
    run, number, found, until = kept_folder(attempt), int(attempt.name), set[int](), time.monotonic() + _SECONDS
    while left := _processes_of(run, number):
        found |= left
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:
            break
        time.sleep(_LOOK_SECONDS)
    return len(found)


def _processes_of(run: Path, number: int) -> set[int]:
    everybody = {process.pid: process for process in _own_processes()}
    found = {
        pid
        for pid, process in everybody.items()
        if process.attempt is not None and process.attempt <= number and _is(process.run, run)
    }
    more = found
    while more := {pid for pid, process in everybody.items() if process.parent in more} - found:
        found |= more
    pid = os.getpid()
    while pid in everybody:
        found.discard(pid)
        pid = everybody[pid].parent
    return found


def _is(path: str | None, run: Path) -> bool:
    return path is not None and (path == str(run) or os.path.realpath(path) == os.path.realpath(run))


def _own_processes() -> Iterator[_Process]:
    """Yield this user's processes without a terminal. One that has ended, and waits for its parent, is none."""
    try:
        entries = [entry for entry in os.scandir("/proc") if entry.name.isdecimal()]
    except OSError:
        return
    for entry in entries:
        with suppress(OSError, ValueError):
            if entry.stat().st_uid != os.geteuid():
                continue
            state, parent, _, _, terminal, *_ = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
            if state in "ZX" or int(terminal):
                continue
            environment = Path(entry.path, "environ").read_bytes().split(b"\0")
            said = dict(
                variable.split(b"=", 1) for variable in environment if variable.startswith((b"SCALING_RUN=", b"SCALING_ATTEMPT="))
            )
            run, attempt = said.get(b"SCALING_RUN"), said.get(b"SCALING_ATTEMPT", b"")
            number = int(attempt) if attempt.isdigit() else None
            yield _Process(int(entry.name), int(parent), None if run is None else os.fsdecode(run), number)
