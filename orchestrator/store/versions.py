"""Texts that change when a store does: one with every commit, one when answers of the analysis may change.

While runs train, a store changes twice a second, and what is known of it seldom.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import case, func, select, text
from sqlalchemy.orm import Session

from orchestrator.store.models import Experiment, ExperimentRun, Finetuning, Prediction, Probe, Revision, Run, Search
from orchestrator.store.queries import is_gone, scheduler
from scaling.outcomes import RunStatus

__all__ = ["results_version", "snapshot_of"]

_TABLES = (Experiment, Revision, Search, Finetuning, Probe, Prediction)


def results_version(session: Session) -> str:
    """Digest what the table of runs holds, and what else an answer is made from: prices, conversions, what is searched for, predictions.

    It sums the results of the runs that are over, and counts the others by status. How far those in training are changes nothing; that a
    scheduler is gone does, since its runs count as pending then, and whether one is at work on runs to come, since answers name the time left.
    One scan of the runs: 10 ms for 10,000.
    """
    over = Run.status.in_([status for status in RunStatus if status.is_final])
    numbers = (Run.core_hours, Run.allocated_core_hours, Run.val_loss, Run.val_top1, Run.chance_loss)
    sums = [func.sum(case((over, number))) for number in numbers]
    runs = select(Run.status, func.count(), func.max(Run.ended_at), *sums).group_by(Run.status).order_by(Run.status)
    excluded = select(Run.id, Run.excluded_reason).where(Run.excluded_reason.is_not(None)).order_by(Run.id)
    links = select(func.count(), func.count(ExperimentRun.removed_in))
    rows = [tuple(row) for row in session.execute(runs)]
    is_at_work = not all(status.is_final for status, *_ in rows) and scheduler(session) is not None
    found: list[Any] = [is_gone(session), is_at_work, rows]
    found += [[tuple(row) for row in session.execute(query)] for query in (excluded, links)]
    found += [tuple(session.execute(select(func.count(), func.max(table.id))).one()) for table in _TABLES]
    found.append(
        [tuple(row) for row in session.execute(select(Search.state, func.count()).group_by(Search.state).order_by(Search.state))]
    )
    return hashlib.sha256(json.dumps(found, default=str).encode()).hexdigest()[:16]


def snapshot_of(session: Session) -> str | None:
    """Name the snapshot that a session of PostgreSQL sees: another text after every commit. None for other databases.

    SQLite tells a connection of the commits of others by `PRAGMA data_version`, which a pooled connection cannot use.
    """
    if session.get_bind().dialect.name != "postgresql":
        return None
    return str(session.scalar(text("SELECT pg_current_snapshot()::text")))
