"""The fault trace: a trainer process's own record of what it did, to judge the scheduler by: `<attempt>/fault_trace.jsonl`.

It is kept only where SCALING_FAULTS is set (`scaling.fault_points`), as tests and `benchmarks/faults` do.

One line an event: {"kind", "token", "first_step", "step", "digest", "at", "pid"}. It is only ever appended to, with one write a line.
Neither the scheduler nor the store reads or writes it, so a fault of theirs cannot be in it too.

`digest`: of a committed checkpoint's arrays, or, where a trainer tells one, of its state. It must not depend on how often the run was
interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from trainer.checkpoint.files import Damaged, read_manifest
from trainer.events import Checkpoint, Ended, Event, Progress, Reported, Started
from trainer.storage import storage_at

__all__ = ["FaultTrace", "state_digest"]


class FaultTrace:
    """Appends to the fault trace of one attempt."""

    def __init__(self, directory: Path, token: str) -> None:
        self._directory, self._token, self._first = directory, token, 0
        self._file = os.open(directory / "fault_trace.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def saw(self, event: Event) -> None:
        """Write down an event of the training; a full disk costs the line, not the run."""
        if not (event.is_last or isinstance(event, Started | Progress | Reported | Checkpoint)):
            return
        if isinstance(event, Started):
            self._first = event.step
        digest = getattr(event, "digest", None)
        if isinstance(event, Checkpoint) and digest is None:
            digest = state_digest(self._directory, event.step)
        line = {
            "kind": event.kind,
            "token": self._token,
            "first_step": self._first,
            "step": event.step,
            "digest": digest,
            "at": time.time(),
            "pid": os.getpid(),
        }
        if isinstance(event, Ended):
            line |= {name: event[name] for name in ("outcome", "val_loss", "checkpoint_step")}
        with suppress(OSError):
            os.write(self._file, (json.dumps(line) + "\n").encode())

    def close(self) -> None:
        os.close(self._file)


def state_digest(directory: str | Path, step: int) -> str | None:
    """Return a digest of the arrays of the checkpoint of `step`, 16 hex digits over their files' sha256; None when there is none."""
    with suppress(Damaged):
        parts = read_manifest(storage_at(directory), step)["parts"]
        return hashlib.sha256("".join(part["sha256"] for part in parts).encode()).hexdigest()[:16]
    return None
