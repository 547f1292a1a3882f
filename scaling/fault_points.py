"""Fault points: named places at which a test may have a process killed, stopped, hung or out of memory.

They do nothing unless SCALING_FAULTS names a folder when the process starts. Then a file of a point's name in it strikes the first process
that reaches the point, once (the process that removes the file is struck):

    echo kill > $SCALING_FAULTS/checkpoint-committed

Its content is what happens: kill (SIGKILL), stop (SIGSTOP, until somebody sends SIGCONT), hang (never goes on), memory (`MemoryError`).
Before that the process leaves its id in `<point>.struck`.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

__all__ = ["ARMED", "POINTS", "reached"]

POINTS = {
    "step": "training, between two steps",
    "epoch": "training, where a step begins a new epoch",
    "checkpoint-drafted": "a checkpoint's files are written, its manifest has not been renamed",
    "checkpoint-committed": "a checkpoint is committed, nobody has been told",
    "result-written": "a run has ended and written its result, nobody has been told",
    "heard": "the scheduler has heard of something and not written it down",
    "ended": "the ledger has ended an attempt and not put its run where it belongs, in the same transaction",
    "written-down": "the scheduler has committed what it heard and not acted on it",
    "granted": "an attempt has begun in the store and its worker does not know",
    "accepted": "a file has been accepted, nothing has been started",
}

_FOLDER = os.environ.get("SCALING_FAULTS")
ARMED = _FOLDER is not None
"""Whether a test may strike this process; then a trainer keeps a fault trace (`trainer.fault_trace`), by which its runs are judged."""


def reached(point: str) -> None:
    """Mark that the process reached a fault point; nothing happens unless a test strikes there."""
    if _FOLDER is not None:
        _strike(Path(_FOLDER) / point)


def _strike(trap: Path) -> None:
    try:
        what = trap.read_text().strip()
        trap.unlink()
    except FileNotFoundError:
        return
    trap.with_suffix(".struck").write_text(str(os.getpid()))
    match what:
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "hang":
            while True:
                time.sleep(60)
        case "memory":
            raise MemoryError("as a test asked for")
        case _:
            os.kill(os.getpid(), signal.SIGKILL)
