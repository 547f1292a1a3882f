"""Core-hours of runs that train for seconds: the total of all short runs of a model on a device, shared out among them by their steps.

A short run is timed badly. Two equal runs of 75 steps differ by a factor of two, because the process of one was warm, or another process
compiled beside it; a law of loss against core-hours would bend with it. The sum over such runs is measured well, and is kept: the ledger
adds up as before, and a run's own seconds are in its attempts.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, func, select
from sqlalchemy.orm import Session

from orchestrator.store.models import Run
from scaling.accelerators import core_hours
from scaling.outcomes import RunStatus

__all__ = ["IS_SHORT", "SHORT_SECONDS", "shared_core_hours", "shown_core_hours"]

SHORT_SECONDS = 60.0
"""Training seconds below which a finished run shares its pace. Start-up, other processes and the clock of the CPU move a minute by a few
per cent."""

_ALIKE: Any = (Run.shape, Run.family, Run.model, Run.accelerator, Run.cores)
"""Runs with these in common take the same steps on the same kind of device."""
_SHORT: Any = and_(
    Run.status == bindparam(None, RunStatus.FINISHED, literal_execute=True),  # the index `runs_by_pace` is of this status alone
    Run.imported_from.is_(None),
    Run.inherited_core_hours == 0.0,  # steps of another's trunk were paid for there
    Run.core_hours > 0.0,
    Run.core_hours < Run.cores * core_hours(1, SHORT_SECONDS),
    Run.step > 0,
)
IS_SHORT: Any = func.coalesce(_SHORT, False).label("is_short")
"""Says of a row of `runs` whether the run is short: it has finished, and trained for less than `SHORT_SECONDS`."""


def shared_core_hours(session: Session, runs: Collection[Row[Any]]) -> dict[str, float]:
    """Map the id of each short run of `runs` to useful core-hours: its steps at the mean pace of all short runs like it.

    runs: rows of the columns of `runs`, and of `IS_SHORT`.
    """
    short = [run for run in runs if run.is_short]
    if not short:
        return {}
    like_them = [column.in_({getattr(run, column.key) for run in short}) for column in (Run.family, Run.model, Run.shape)]
    query = select(*_ALIKE, func.sum(Run.core_hours), func.sum(Run.step)).where(_SHORT, *like_them).group_by(*_ALIKE)
    pace = {tuple(alike): float(hours) / int(steps) for *alike, hours, steps in session.execute(query)}
    return {run.id: run.step * pace[run.shape, run.family, run.model, run.accelerator, run.cores] for run in short}


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
