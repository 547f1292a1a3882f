"""Core-hours of runs that train for seconds: the total of all short runs of a model on a device, shared out among them by their steps.

A short run is timed badly. Two equal runs of 75 steps differ by a factor of two, because the process of one was warm, or another process
compiled beside it; a law of loss against core-hours would bend with it. The sum over such runs is measured well, and is kept: the ledger
adds up as before, and a run's own seconds are in its attempts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, func, select
from sqlalchemy.orm import Session

from orchestrator.store.models import Run
from scaling.accelerators import core_hours
from scaling.outcomes import RunStatus

__all__ = ["SHORT_SECONDS", "shared_core_hours", "shown_core_hours"]

SHORT_SECONDS = 60.0
"""Training seconds below which a finished run shares its pace. Start-up, other processes and the clock of the CPU move a minute by a few
per cent."""

_ALIKE: Any = (Run.shape, Run.family, Run.model, Run.accelerator, Run.cores)
"""Runs with these in common take the same steps on the same kind of device."""
_SHORT: Any = and_(
    Run.status == RunStatus.FINISHED,
    Run.imported_from.is_(None),
    Run.inherited_core_hours == 0.0,
    Run.core_hours > 0.0,
    Run.core_hours < Run.cores * core_hours(1, SHORT_SECONDS),
    Run.step > 0,
)
"""`_is_short` in SQL."""


def shared_core_hours(session: Session, runs: Iterable[Run | Row[Any]]) -> dict[str, float]:
    """Map the id of each short run of `runs` to useful core-hours: its steps at the mean pace of all short runs like it."""
    short = [run for run in runs if _is_short(run)]
    if not short:
        return {}
    query = (
        select(*_ALIKE, func.sum(Run.core_hours), func.sum(Run.step))
        .where(_SHORT, Run.shape.in_({run.shape for run in short}))
        .group_by(*_ALIKE)
    )
    pace = {tuple(alike): float(hours) / int(steps) for *alike, hours, steps in session.execute(query)}
    found = {run.id: (run.step, pace.get((run.shape, run.family, run.model, run.accelerator, run.cores))) for run in short}
    return {run: step * hours for run, (step, hours) in found.items() if hours is not None}  # None: it was taken up again just now


def shown_core_hours() -> ColumnElement[float | None]:
    """Write the core-hours of a run as they are shown, in SQL: those of `shared_core_hours`, else its own; NULL where none are known."""
    alike = [column.label(f"alike_{place}") for place, column in enumerate(_ALIKE)]
    paces = (
        select(*alike, (func.sum(Run.core_hours) / func.sum(Run.step)).label("hours")).where(_SHORT).group_by(*_ALIKE).cte("paces")
    )
    pace = select(paces.c.hours).where(
        *(column.is_not_distinct_from(paces.c[label.name]) for column, label in zip(_ALIKE, alike, strict=True))
    )
    own = func.nullif(Run.core_hours, 0)
    return case((_SHORT, func.coalesce(Run.step * pace.correlate(Run).scalar_subquery(), own)), else_=own)


def _is_short(run: Run | Row[Any]) -> bool:
    """Say whether a finished run trained for less than `SHORT_SECONDS`, all steps its own: those of another's trunk were paid for there."""
    return (
        run.status is RunStatus.FINISHED
        and run.imported_from is None
        and not run.inherited_core_hours
        and run.cores is not None
        and run.step > 0
        and 0.0 < run.core_hours < core_hours(run.cores, SHORT_SECONDS)
    )
