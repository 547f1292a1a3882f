"""How long this process has been waiting for others, by a clock that stands still while it does not look.

A scheduler that is stopped for ten minutes (SIGSTOP, a machine that sleeps, a file system that hangs) hears nothing meanwhile, and that is its
own silence, not that of its workers and runs. So between two looks at this clock no more than `LOOK_SECONDS` pass.
"""

from __future__ import annotations

import time

__all__ = ["LOOK_SECONDS", "Attention", "attended"]

LOOK_SECONDS = 5.0
"""Much more than there is between two looks of a scheduler that is at work."""


class Attention:
    """Called, it says how many seconds have passed, by `time.monotonic` and as far as they count."""

    def __init__(self) -> None:
        self._looked_at = time.monotonic()
        self._passed = 0.0

    def __call__(self) -> float:
        now = time.monotonic()
        self._passed += min(now - self._looked_at, LOOK_SECONDS)
        self._looked_at = now
        return self._passed


attended = Attention()
"""This process's."""
