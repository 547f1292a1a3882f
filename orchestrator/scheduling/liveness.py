"""Decides when a run that gives no sign of life counts as hung.

A trainer gives a sign of life from the thread that trains: at every event, and every few seconds from where it looks whether it should
stop, which is before every step and every batch of an evaluation. A run is hung when it has given none for

    max(hang_seconds, 20 × the longest silence between two signs so far)        once it has taken a step
    START_SECONDS                                                               before: data is read, programs are compiled

It is killed then and goes on from its last checkpoint, as one that died. The factor keeps a run whose single step takes minutes. Waiting
for devices is no silence, and neither is what the scheduler did not hear because it was stopped itself (`AwakeClock`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from orchestrator.scheduling.policy import HANG_SECONDS

__all__ = ["LOOK_SECONDS", "START_SECONDS", "AwakeClock", "Liveness", "awake_seconds"]

START_SECONDS = 3600.0
_TIMES = 20.0

LOOK_SECONDS = 5.0
"""Most seconds that count between two looks at the clock; a working scheduler looks much more often."""


@dataclass
class Liveness:
    """Judges whether one attempt is hung. Times are of one clock, `awake_seconds`."""

    hang_seconds: float = HANG_SECONDS
    start_seconds: float = START_SECONDS
    _last: float | None = None
    _longest: float = 0.0
    _trains: bool = False

    def sign(self, at: float, *, trains: bool) -> None:
        """Note a sign of life; `trains`: one that only a run gives that takes steps."""
        if self._trains and self._last is not None:
            self._longest = max(self._longest, at - self._last)
        self._last, self._trains = at, self._trains or trains

    def judge(self, at: float) -> str | None:
        """Return the reason why it counts as hung at this time; None while it does not."""
        if self._last is None:
            self._last = at
        silent = at - self._last
        limit = max(self.hang_seconds, _TIMES * self._longest) if self._trains else self.start_seconds
        if silent <= limit:
            return None
        usual = f"the longest silence before was {self._longest:.1f} s" if self._trains else "it had not taken a step"
        return f"hung: no sign of life for {silent:.0f} s, {usual}; killed"


class AwakeClock:
    """Counts the seconds for which this process has waited for others; it stands still while the process does not look at it.

    A scheduler that is stopped for ten minutes (SIGSTOP, a machine that sleeps, a file system that hangs) hears nothing meanwhile. That
    is its own silence, not that of its workers and runs. So between two looks at this clock no more than `LOOK_SECONDS` pass.
    """

    def __init__(self) -> None:
        self._looked_at = time.monotonic()
        self._passed = 0.0

    def __call__(self) -> float:
        """Return the seconds counted so far: those of `time.monotonic`, at most `LOOK_SECONDS` between two calls."""
        now = time.monotonic()
        self._passed += min(now - self._looked_at, LOOK_SECONDS)
        self._looked_at = now
        return self._passed


awake_seconds = AwakeClock()
"""The clock of this process."""
