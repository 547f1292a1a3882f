"""What the data allowed a fit to say, and of which coefficients it says so."""

from __future__ import annotations

import numpy as np

from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.point import Points
from analysis.laws.law import Law
from scaling.outcomes import FitStatus

__all__ = ["exponent_status", "status_of"]


def status_of(
    law: Law, sample: Sample, point: Points, low: np.ndarray, high: np.ndarray, precision: Precision
) -> tuple[FitStatus, tuple[str, ...]]:
    """Return the gravest thing that can be said, and the letters it is about; low and high: (p,), the ends of the intervals of theta."""
    names, at_zero, at_bound = np.array(law.coefficients), point.at_zero[0], point.at_bound[0]

    def about(where: np.ndarray) -> tuple[str, ...]:
        return tuple(str(name) for name in names[where])

    is_free = ~law.is_pinned
    exponents = np.isin(names, [shape.name for shape in law.shapes if not shape.is_logged]) & is_free
    open_ended = (~np.isfinite(low) | ~np.isfinite(high)) & is_free
    is_floor = (names == "E") & is_free
    terms = {term.coefficient for term in law.terms if at_zero[law.coefficients.index(term.coefficient)]}
    gone = np.isin(names, [*terms, *law.hidden_without(terms)]) & is_free
    if not point.converged[0]:
        return FitStatus.NOT_CONVERGED, ()
    if not law.floor:
        if not exponents.any():  # it is pinned
            return FitStatus.OK, ()
        (place,) = np.flatnonzero(exponents)
        status = exponent_status(low[place], high[place])
        return status, () if status == FitStatus.OK else about(exponents)
    if not law.is_surface and _rises(sample, precision):
        return FitStatus.RISES, ()
    if gone.any():
        return FitStatus.TERM_VANISHES, about(gone)
    if (exponents & (at_bound | open_ended)).any():
        return FitStatus.EXPONENT_NOT_IDENTIFIED, about(exponents & (at_bound | open_ended))
    if at_bound.any():
        return FitStatus.AT_BOUND, about(at_bound)
    if (at_zero & is_floor).any():
        return FitStatus.NO_FLOOR, ("E",)
    if (is_floor & (low <= 0)).any():
        return FitStatus.FLOOR_NOT_IDENTIFIED, ("E",)
    if open_ended.any():
        return FitStatus.NOT_IDENTIFIED, about(open_ended)
    return FitStatus.OK, ()


def exponent_status(low: float, high: float) -> FitStatus:
    """Say what the interval of an exponent a of either sign allows; the metric falls where a is positive."""
    if high < 0:
        return FitStatus.RISES
    return FitStatus.EXPONENT_NOT_IDENTIFIED if low <= 0 else FitStatus.OK


def _rises(sample: Sample, precision: Precision) -> bool:
    """Say whether a straight line on log–log axes, through the means of cells, rises beyond chance: a curve with a floor cannot."""
    seeds = np.bincount(sample.cluster)
    x, y = (np.bincount(sample.cluster, np.log(values)) / seeds for values in (sample.inputs[0], sample.y))
    x, y = x - x.mean(), y - y.mean()
    slope = x @ y / (x @ x)
    error = np.sqrt(np.sum((y - slope * x) ** 2) / (x @ x) / max(1, sample.clusters - 2))
    return bool(slope - precision.t(sample.clusters - 2) * error > 1e-12)
