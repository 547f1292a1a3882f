"""What both ways to a difference return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from analysis.fitting.ratio import fieller_interval
from analysis.interval import Interval

__all__ = ["Difference", "Linear"]


@dataclass(frozen=True)
class Linear:
    """A linear combination of normal coefficients: its value and standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, weights: np.ndarray, theta: np.ndarray, covariance: np.ndarray) -> Linear:
        """`weights · theta`."""
        return cls(float(weights @ theta), float(np.sqrt(max(0.0, float(weights @ covariance @ weights)))))


@dataclass(frozen=True)
class Difference:
    """log(metric of a) − log(metric of b) at equal compute: positive where a is worse.

    design: `paired`: from cells that share a budget, in whose differences shared noise cancels; `joint`: from one smooth surface for all
    cells, shifted between the sides, where they share too few.
    mean: over the shared budgets. on_frontier: over compute, each side at its best epochs (the same, in a joint design). at_largest: at the largest shared compute. trend: change per e-fold of compute.
    slope: −d log metric / d log compute along the frontier, the mean over the shared range; slope_at_largest: over its upper half.
    pairs: budgets (paired) or cells (joint) behind it. noise_std: residual standard deviation of one of them, in log units.
    """

    design: Literal["paired", "joint"]
    mean: Linear
    on_frontier: Linear
    at_largest: Linear
    trend: Linear
    slope: Linear
    slope_at_largest: Linear
    pairs: int
    degrees_of_freedom: int
    noise_std: float
    shared: tuple[float, float]

    def interval(self, of: Linear, level: float) -> Interval:
        return Interval.around(of.value, self._t(level) * of.error)

    def p_value(self, of: Linear) -> float:
        """Two-sided, of the hypothesis that it is zero."""
        if of.error == 0:
            return 0.0 if of.value else 1.0
        return float(2 * stats.t.sf(abs(of.value / of.error), self.degrees_of_freedom))

    def log_speed_up(self, difference: Linear, slope: Linear, level: float) -> Interval:
        """How much more compute a needs to equal b: difference / slope, with Fieller's interval; unbounded when the slope may be zero."""
        variances = difference.error**2, slope.error**2
        ends = fieller_interval(difference.value, slope.value, variances, 0.0, self._t(level))
        return Interval(difference.value / slope.value if slope.value else float("nan"), *ends)

    def _t(self, level: float) -> float:
        return float(stats.t.ppf(0.5 + level / 2, self.degrees_of_freedom))
