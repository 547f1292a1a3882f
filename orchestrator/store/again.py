"""Runs that came to an end, or to rest, and go back to pending when they are asked for again."""

from __future__ import annotations

from scaling.outcomes import RunStatus

__all__ = ["AGAIN"]

AGAIN = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.PAUSED)
"""Statuses that submitting again, or a search that asks for the run, puts back to pending. A diverged run would diverge again."""
