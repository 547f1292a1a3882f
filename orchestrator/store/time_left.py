"""How long the rest of the runs will take, by what those that are over took.

Core-hours that are ahead: of each run its work that is left at the rate of finished runs of its shape, else of its family, else by its
estimate; and for a run that is to be begun, what a finished one was held for besides its training (start-up, evaluation, checkpoints). The
estimates of the store are no measure here: a run that is begun gets one by measured speeds, and those that wait keep the plan's.

They are worked off as fast as core-hours were since the scheduler at work began the first of these runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy import Row, case, func, literal_column, select
from sqlalchemy.orm import Session

from orchestrator.store.estimates import Rates
from orchestrator.store.models import IS_FINETUNED, Attempt, Run
from scaling.accelerators import core_hours, estimate_core_hours
from scaling.outcomes import RunStatus

__all__ = ["seconds_left"]

_LEAST_SHARE = 0.02
"""Share of the work that has to be done before the rest is forecast."""

_FINAL = tuple(status for status in RunStatus if status.is_final)
_WORK = case((Run.train_flops > 0, Run.train_flops), else_=Run.epochs)
_FINISHED = (Run.status == RunStatus.FINISHED) & (Run.core_hours > 0) & Run.imported_from.is_(None)


def seconds_left(session: Session, ids: Any, *, began: datetime, seconds: float, to_be_chosen: float) -> float | None:
    """Return the seconds until all of these runs are over; None where nothing is left, or before 2 % of it is done.

    Args:
        ids: a query for the ids of the runs. began: when the first of them was begun under the scheduler at work, `seconds` ago.
        to_be_chosen: core-hours of runs to come that are not among them yet, by the plan's estimate.
    """
    rows = session.execute(_by_shape(ids)).all()
    rates = Rates.of((row.shape, row.alike, "", row.took, row.done) for row in rows if row.finished)
    besides = _besides(session, ids)

    def cost(row: Row[Any], work: float, estimate: float) -> float:
        return estimate_core_hours(work, rates.by_shape.get((row.shape, "")), rates.by_family.get((row.alike, ""))) or estimate

    ahead = sum(cost(row, row.ahead, row.estimated) for row in rows)
    estimated = sum(row.estimated for row in rows)
    ahead += to_be_chosen * (ahead / estimated if estimated > 0 else 1.0) + besides * sum(row.to_begin for row in rows)
    under_way = _under_way(session, ids)
    done = _spent(session, ids, began) + sum(besides + cost(row, row.under_way, row.estimate_under_way) for row in under_way)
    return seconds * ahead / done if ahead > 0 and done > _LEAST_SHARE * (ahead + done) else None


def _by_shape(ids: Any) -> Any:
    """Return a query for a row a shape: the work and the estimate that are left, how many wait, and what finished runs did and took."""
    left = case((Run.status.in_(_FINAL), 0.0), else_=1.0 - func.coalesce(Run.step * 1.0 / func.nullif(Run.steps, 0), 0.0))
    return (
        select(
            Run.shape,
            _alike().label("alike"),
            func.sum(_WORK * left).label("ahead"),
            func.sum(func.coalesce(Run.estimated_core_hours, 0.0) * left).label("estimated"),
            func.sum(case((Run.status.in_((*_FINAL, RunStatus.RUNNING)), 0), else_=1)).label("to_begin"),
            func.sum(case((_FINISHED, 1), else_=0)).label("finished"),
            func.sum(case((_FINISHED, _WORK), else_=0.0)).label("done"),
            func.sum(case((_FINISHED, Run.core_hours), else_=0.0)).label("took"),
            func.sum(case((_FINISHED, Run.allocated_core_hours - Run.core_hours + Run.inherited_core_hours), else_=0.0)).label(
                "besides"
            ),
        )
        .where(Run.id.in_(ids))
        .group_by(Run.shape, literal_column("alike"))  # by its name: PostgreSQL takes two expressions with parameters for different
    )


def _alike() -> Any:
    """Return the family of runs whose FLOPs compare: fine-tuning has other images, and passes that FLOPs do not count."""
    return case(((Run.train_flops > 0) & ~IS_FINETUNED, Run.family))


def _besides(session: Session, ids: Any) -> float:
    """Return the core-hours that a run is held for besides its training; 0 while none has finished.

    It is the median of the last hundred: the first run of a shape compiles for all others.
    """
    held = (Run.allocated_core_hours - Run.core_hours + Run.inherited_core_hours).label("held")
    query = select(held).where(_FINISHED, Run.id.in_(ids)).order_by(Run.ended_at.desc()).limit(100)
    return max(0.0, median(session.scalars(query).all() or [0.0]))


def _spent(session: Session, ids: Any, began: datetime) -> float:
    """Sum up the core-hours of attempts that were begun since then and are over, whatever became of them."""
    charged = (
        Attempt.useful_seconds,
        Attempt.redone_seconds,
        Attempt.startup_seconds,
        Attempt.evaluation_seconds,
        Attempt.checkpoint_seconds,
    )
    query = select(func.sum(Attempt.cores * sum(charged[1:], charged[0])))
    held = session.scalar(query.where(Attempt.started_at >= began, Attempt.ended_at.is_not(None), Attempt.run_id.in_(ids)))
    return core_hours(1, float(held or 0.0))


def _under_way(session: Session, ids: Any) -> Sequence[Row[Any]]:
    """Return a row a run in training: the work and the estimate of the steps of this attempt."""
    share = (Run.step - Attempt.first_step) * 1.0 / func.nullif(Run.steps, 0)
    query = select(
        Run.shape,
        _alike().label("alike"),
        func.coalesce(_WORK * share, 0.0).label("under_way"),
        func.coalesce(Run.estimated_core_hours * share, 0.0).label("estimate_under_way"),
    )
    return session.execute(
        query.join(Attempt, Attempt.token == Run.token).where(Run.status == RunStatus.RUNNING, Run.id.in_(ids))
    ).all()
