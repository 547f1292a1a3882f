"""A counter of changes to the grid, so that a scheduler need not read all pending runs to learn that nothing has changed.

The scheduler looks twice a second. A look at the counter takes 1 ms of processor time; reading the pending runs takes 0.11 s for 10,000 and
1.5 s for 100,000.

Whoever changes which runs are pending, their configuration or their order raises the counter in the same transaction. The ledger does not:
its only writer is the scheduler, which knows what it changed.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from orchestrator.store.models import Change

__all__ = ["note", "number"]

_GRID = "grid"


def number(session: Session) -> int:
    """Return how often the grid was changed."""
    return session.scalar(select(Change.number).where(Change.name == _GRID)) or 0


def note(session: Session) -> None:
    """Count one change of the grid; call it in the transaction that makes the change."""
    session.execute(update(Change).where(Change.name == _GRID).values(number=Change.number + 1))
