"""Which runs changed since when: each has the number of its last change, and numbers grow in the order of commits.

Triggers of the database give the numbers (migration 0013), so that nobody who writes can forget it. A run has changed when anything in its
row of `queries.runs` may have:

- its own row, an attempt's begin or packing, the experiments that want it;
- a new revision of such an experiment, which may state other prices, and what is searched for in its cell;
- the pace of short runs like it, which they share (`store.pace`). All of them get numbers at each finish: 5 ms of processor time for 1,200
  runs, 80 ms for 12,000.

A writer holds the database's one lock for writers from its begin to its commit, and SQLite allows no other. So a reader that has seen
number n has seen every smaller one. A run that was deleted keeps its number. That a scheduler has died is written by nobody and has no number.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.store.models import Change, Run, RunChange
from scaling.outcomes import RunStatus

__all__ = ["counted_as", "in_training", "latest", "since"]


def counted_as(session: Session) -> int:
    """Return a random number that tells this store's count from that of another store."""
    return session.scalar(select(Change.number).where(Change.name == "runs")) or 0


def latest(session: Session) -> int:
    """Return the number of the last change; 0 where there is none."""
    return session.scalar(select(func.max(RunChange.number))) or 0


def since(session: Session, number: int, limit: int | None = None) -> list[tuple[int, str]]:
    """List the runs that changed after the change `number`, each as its last change's number and its id, in this order."""
    query = select(RunChange.number, RunChange.run_id).where(RunChange.number > number).order_by(RunChange.number)
    return [(at, run_id) for at, run_id in session.execute(query.limit(limit))]


def in_training(session: Session) -> list[str]:
    """List the ids of runs that are running in the store: their rows change without a number when `queries.is_gone` does."""
    return list(session.scalars(select(Run.id).where(Run.status == RunStatus.RUNNING)))
