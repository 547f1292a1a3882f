"""Statuses from which a run goes back to pending when it is asked for again."""

from __future__ import annotations

from scaling.outcomes import RunStatus

__all__ = ["AGAIN"]

AGAIN = (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.PAUSED)
"""Statuses that submitting again, or a search that asks for the run, puts back to pending. A diverged run would diverge again."""
