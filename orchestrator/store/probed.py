"""What core-hours of one accelerator are worth on another, by probes of the same model shape on both."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import permutations

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.store.models import Probe
from scaling.accelerators import HourConversion
from scaling.accelerators.hours import MEASURED
from scaling.rounding import significant

__all__ = ["measured_conversions"]


def measured_conversions(session: Session) -> list[HourConversion]:
    """List a factor for each ordered pair of accelerators on which one shape or several were probed.

    Of a shape it is the ratio of the core-hours that a FLOP took in the newest probe on either; of several shapes it is the geometric mean.
    The source names each model with its own factor, since factors of families differ.
    """
    query = select(Probe.shape, Probe.model, Probe.accelerator, Probe.core_hours_per_flop)
    query = query.where(Probe.core_hours_per_flop.is_not(None)).order_by(Probe.id)
    rates: dict[str, dict[str, float]] = {}
    models: dict[str, str] = {}
    for shape, model, accelerator, rate in session.execute(query):
        if rate:
            rates.setdefault(shape, {})[accelerator] = rate  # the newest counts
            models[shape] = model
    factors: dict[tuple[str, str], dict[str, float]] = {}
    for shape, of_shape in rates.items():
        for theirs, ours in permutations(of_shape, 2):
            factors.setdefault((theirs, ours), {})[shape] = of_shape[theirs] / of_shape[ours]
    return [
        HourConversion(
            MEASURED, theirs, ours, _mean(found.values()), _source({models[shape]: factor for shape, factor in found.items()})
        )
        for (theirs, ours), found in sorted(factors.items())
    ]


def _mean(factors: Iterable[float]) -> float:
    logs = [math.log(factor) for factor in factors]
    return math.exp(sum(logs) / len(logs))


def _source(factors: dict[str, float]) -> str:
    """Say which models were probed; with the factor of each, where there are several."""
    if len(factors) == 1:
        return f"measured by `scaling probe` of {next(iter(factors))} on both"
    each = ", ".join(f"{model} {significant(factor, 3)}" for model, factor in factors.items())
    return f"measured by `scaling probe` on both, the geometric mean of {each}"
