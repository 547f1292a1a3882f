"""Whose checkpoints nobody will go on from, for `scaling gc`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.store.models import Attempt, Run, StoreId
from orchestrator.store.trunks import pinned_steps
from scaling.outcomes import RunStatus

__all__ = ["checkpoint_owners"]


def checkpoint_owners(session: Session) -> list[dict[str, Any]]:
    """List the attempts whose checkpoints nobody will go on from: those of finished and diverged runs.

    A row has:

    - `run_id`, `number`, `directory`
    - `is_ours`: false under an earlier id of the store, where the original of a copy may need them
    - `keep_step`: the run's last checkpoint, where it is this attempt's
    - `branch_steps`: from which other runs may yet start

    A run that may go on is not among them: its older checkpoints are what it falls back to when the newest is damaged.
    """
    pinned = pinned_steps(session)
    own = session.scalar(select(StoreId.id).order_by(StoreId.number.desc()).limit(1))
    query = (
        select(Attempt.run_id, Attempt.number, Attempt.directory, Attempt.store, Run.resume_attempt, Run.resume_step)
        .join(Run, Run.id == Attempt.run_id)
        .where(Run.status.in_((RunStatus.FINISHED, RunStatus.DIVERGED)))
        .order_by(Attempt.run_id, Attempt.number)
    )
    return [
        {
            "run_id": run,
            "number": number,
            "directory": folder,
            "is_ours": store in (None, own),
            "keep_step": step if owner == number else None,
            "branch_steps": sorted(at for of, by, at in pinned if (of, by) == (run, number)),
        }
        for run, number, folder, store, owner, step in session.execute(query)
    ]
