"""When a run that says nothing counts as hung.

A trainer gives a sign of life from the thread that trains: at every event, and every few seconds from where it looks whether it should
stop, which is before every step and every batch of an evaluation. A run is hung when it has given none for

    max(HANG_SECONDS, 20 × the longest silence between two signs so far)        once it has taken a step
    START_SECONDS                                                               before: data is read, programs are compiled

It is killed then and goes on from its last checkpoint, as one that died. The factor keeps a run whose single step takes minutes. Waiting for
devices is no silence, and neither is what the scheduler did not hear because it was stopped itself (`orchestrator.attention`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HANG_SECONDS", "START_SECONDS", "Patience"]

HANG_SECONDS = 300.0
"""Longer than the compilation of a program that a run needs in its middle, such as the evaluation's."""
START_SECONDS = 3600.0
_TIMES = 20.0


@dataclass
class Patience:
    """With one attempt. Times are of one clock, `orchestrator.attention`'s."""

    hang_seconds: float = HANG_SECONDS
    start_seconds: float = START_SECONDS
    _last: float | None = None
    _longest: float = 0.0
    _trains: bool = False

    def sign(self, at: float, *, trains: bool) -> None:
        """It gave a sign of life; `trains`: one that only a run gives that takes steps."""
        if self._trains and self._last is not None:
            self._longest = max(self._longest, at - self._last)
        self._last, self._trains = at, self._trains or trains

    def judge(self, at: float) -> str | None:
        """Why it counts as hung at this time; None while it does not."""
        if self._last is None:
            self._last = at
        silent = at - self._last
        limit = max(self.hang_seconds, _TIMES * self._longest) if self._trains else self.start_seconds
        if silent <= limit:
            return None
        usual = f"the longest silence before was {self._longest:.1f} s" if self._trains else "it had not taken a step"
        return f"hung: no sign of life for {silent:.0f} s, {usual}; killed"
