"""Estimates of what a run will cost, from the cost of finished runs like it or from a probe of its shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from orchestrator.resources import Resources
from orchestrator.store.models import IS_FINETUNED, Probe, Run
from scaling.outcomes import RunStatus

__all__ = ["Rates", "estimate_error", "measured_rates"]


@dataclass(frozen=True)
class Rates:
    """Holds measured rates in useful core-hours per training FLOP: of each model shape on each accelerator, and of each family there.

    Where FLOPs are not known beforehand, as of a user's program, the rate of a shape is per epoch, and its family has none.

    A shape of which no run has finished has the rate of its newest probe, if there is one.
    """

    by_shape: dict[tuple[str, str], float] = field(default_factory=dict)
    by_family: dict[tuple[str, str], float] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]]) -> Rates:
        """Sum up finished runs, a row each: shape (None where it is not known), family (None likewise), accelerator, core-hours, work."""
        by_shape: dict[tuple[str, str], list[float]] = {}
        by_family: dict[tuple[str, str], list[float]] = {}
        for shape, family, accelerator, *spent in rows:
            for totals, name in ((by_shape, shape), (by_family, family)):
                if name is not None and accelerator is not None:
                    before = totals.get((name, accelerator), (0.0, 0.0))
                    totals[name, accelerator] = [sum(pair) for pair in zip(before, spent, strict=True)]
        by_shape_and_family = ({key: hours / flops for key, (hours, flops) in totals.items()} for totals in (by_shape, by_family))
        return cls(*by_shape_and_family)

    def nearest(self, shape: str, family: str, resources: Resources) -> tuple[float | None, float | None]:
        """Return the rates for a run, that of its shape and that of its family, as `scaling.accelerators.estimate_core_hours` takes them.

        Each is None where nothing was measured, and both are on chips that are only stated.
        """
        if resources.stated is not None:
            return None, None
        accelerator = resources.accelerator
        return self.by_shape.get((shape, accelerator)), self.by_family.get((family, accelerator))


def measured_rates(session: Session) -> Rates:
    """Compute the rates of all finished runs that this store trained, and of all probes that succeeded."""
    knows_flops = Run.train_flops > 0
    work, is_alike = (
        case((knows_flops, Run.train_flops), else_=Run.epochs),
        knows_flops & ~IS_FINETUNED,
    )
    family = case((is_alike, Run.family), else_=None)  # fine-tuning has other images, and passes that FLOPs do not count
    query = (
        select(Run.shape, family, Run.accelerator, func.sum(Run.core_hours), func.sum(work))
        .where(
            Run.status == RunStatus.FINISHED,
            Run.core_hours > 0,
            Run.accelerator.is_not(None),
            ~Run.rehearsal,
            Run.imported_from.is_(None),
        )
        .group_by(Run.shape, family, Run.accelerator)
    )
    rates = Rates.of(session.execute(query))
    probes = select(Probe.shape, Probe.accelerator, Probe.core_hours_per_flop).where(Probe.core_hours_per_flop.is_not(None))
    for shape, accelerator, rate in session.execute(probes.order_by(Probe.id.desc())):
        assert rate is not None  # by the query
        rates.by_shape.setdefault((shape, accelerator), rate)
    return rates


def estimate_error(session: Session, wanted: Any = None) -> float | None:
    """Return the median of |actual / estimated − 1| of useful core-hours over finished runs (0.1 is 10 %); None when there are none.

    A run's estimate is the one it was started with. wanted: a query for the ids of the runs that count; None for all.
    """
    query = select(func.abs(Run.core_hours / Run.estimated_core_hours - 1)).where(
        Run.status == RunStatus.FINISHED, Run.estimated_core_hours > 0, Run.core_hours > 0
    )
    errors = list(session.scalars(query if wanted is None else query.where(Run.id.in_(wanted))))
    return median(errors) if errors else None
