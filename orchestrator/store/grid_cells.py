"""The grid of an experiment as its page shows it: counts and best losses by model and epochs, and what went wrong.

The database sums up: reading every row would take 13 s for 100,000 runs, where this takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from orchestrator.store.experiments import experiment_id, wanted_runs
from orchestrator.store.models import Run
from scaling.outcomes import RunStatus

__all__ = ["GridCell", "grid_cells", "troubled"]


@dataclass(frozen=True)
class GridCell:
    """Counts the runs of one (model, epochs): how many are done, and the best loss among them with its run, the oldest of equal ones."""

    model: str
    epochs: float | None
    runs: int
    finished: int
    best: float | None
    best_run: str | None


def grid_cells(session: Session, experiment: str) -> list[GridCell]:
    """Sum up an experiment's runs by model and epochs, in order of family and params. Raises `UnknownName`."""
    ours = Run.id.in_(wanted_runs(experiment_id(session, experiment)))
    finished = Run.status == RunStatus.FINISHED
    order = func.min(func.coalesce(Run.family, "")), func.min(func.coalesce(Run.params, 0)), Run.model, Run.epochs
    counts = select(Run.model, Run.epochs, func.count(), func.sum(case((finished, 1), else_=0))).where(ours)
    place = func.row_number().over(partition_by=(Run.model, Run.epochs), order_by=(Run.val_loss, Run.created_at, Run.id))
    ranked = select(Run.model, Run.epochs, Run.id, Run.val_loss, place.label("place")).where(
        ours, finished, Run.val_loss.is_not(None)
    )
    best = ranked.subquery()
    found = select(best.c.model, best.c.epochs, best.c.val_loss, best.c.id).where(best.c.place == 1)
    lowest = {(model, epochs): (loss, run) for model, epochs, loss, run in session.execute(found)}
    rows = session.execute(counts.group_by(Run.model, Run.epochs).order_by(*order))
    return [GridCell(model, epochs, runs, done, *lowest.get((model, epochs), (None, None))) for model, epochs, runs, done in rows]


def troubled(session: Session, experiment: str, statuses: Iterable[RunStatus]) -> list[dict[str, Any]]:
    """List `id`, `status`, `reason` and `imported_from` of an experiment's runs with one of these statuses, the oldest first."""
    query = select(Run.id, Run.status, Run.reason, Run.imported_from).where(
        Run.id.in_(wanted_runs(experiment_id(session, experiment))), Run.status.in_(list(statuses))
    )
    rows = session.execute(query.order_by(Run.created_at, Run.id))
    return [{"id": run, "status": str(status), "reason": reason, "imported_from": origin} for run, status, reason, origin in rows]
