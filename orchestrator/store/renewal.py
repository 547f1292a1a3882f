"""What a run that waits keeps of itself when a file asks for it again, perhaps to be done otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.store.membership import among
from orchestrator.store.models import Run

__all__ = ["renewed"]


def renewed(session: Session, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of runs that the store has, as they are to be written: with what those keep, whatever the file says.

    A run with a checkpoint of its own keeps what it started from; one that `scaling retry` freed from early stop stays free; and a run
    that another experiment's runs start from goes on leaving checkpoints for them.
    """
    had: dict[str, tuple[dict[str, Any], int | None, str | None, int | None]] = {}
    query = select(Run.id, Run.resources, Run.resume_attempt, Run.parent_id, Run.parent_step)
    for run_id, resources, begun, parent, step in session.execute(query.where(among(session, Run.id, [row["id"] for row in rows]))):
        had[run_id] = (resources, begun, parent, step)
    written = []
    for row in rows:
        resources, begun, parent, step = had[row["id"]]
        start = {} if begun is None else {"parent_id": parent, "parent_step": step}
        written.append({**row, **start, "resources": {**row["resources"], **_kept(resources, row["resources"])}})
    return written


def _kept(had: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"early_stop": None} if had.get("early_stop", ...) is None else {}
    if had.get("checkpoint_at"):
        kept |= {"trunk": had["trunk"], "checkpoint_at": sorted({*had["checkpoint_at"], *given.get("checkpoint_at", ())})}
    return kept
