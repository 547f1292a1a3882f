"""Sums over the runs of an experiment, by what its row tells apart: one pass over the runs, of which 100,000 take 0.4 s."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from orchestrator.store.models import IS_FINETUNED, Run
from scaling.outcomes import NO_BETTER_THAN_GUESSING, RunStatus

__all__ = ["RunSums", "counts_shown", "run_sums", "total"]


@dataclass(frozen=True)
class RunSums:
    """Sums up the runs that share a status, an accelerator, a stage, and whether they are rehearsals.

    guesses: how many of them have learnt nothing. `estimated_core_hours`, `val_loss` (the least) and `val_top1` (the most) are None where no
    run has one.
    """

    status: RunStatus
    accelerator: str | None
    rehearsal: bool
    finetuned: bool
    runs: int
    core_hours: float
    inherited_core_hours: float
    allocated_core_hours: float
    estimated_core_hours: float | None
    val_loss: float | None
    val_top1: float | None
    guesses: int


def run_sums(session: Session, ids: Any) -> list[RunSums]:
    """Sum up the runs of a query for ids."""
    apart: tuple[Any, ...] = (Run.status, Run.accelerator, Run.rehearsal, IS_FINETUNED)
    query: Any = select(
        *apart,
        func.count(),
        func.sum(Run.core_hours),
        func.sum(Run.inherited_core_hours),
        func.sum(Run.allocated_core_hours),
        func.sum(Run.estimated_core_hours),
        func.min(Run.val_loss),
        func.max(Run.val_top1),
        func.sum(case((Run.reason.startswith(NO_BETTER_THAN_GUESSING), 1), else_=0)),
    )
    return [RunSums(*row) for row in session.execute(query.where(Run.id.in_(ids)).group_by(*apart))]


def counts_shown(found: Iterable[tuple[RunStatus, int]], *, gone: bool) -> dict[str, int]:
    """Add up counts by status, in the order of the statuses; only those that occur.

    gone: the last scheduler died, see `queries.is_gone`: then the runs that it left running are pending.
    """
    counts: dict[RunStatus, int] = {}
    for status, runs in found:
        shown = RunStatus.PENDING if gone and status is RunStatus.RUNNING else status
        counts[shown] = counts.get(shown, 0) + runs
    return {str(status): counts[status] for status in RunStatus if status in counts}


def total(values: Iterable[float | None]) -> float | None:
    """Sum up the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return fsum(known) if known else None
