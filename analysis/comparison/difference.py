"""The difference between two sides, which every design of a comparison returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.distributions import median_unbiased, t_noncentrality, t_quantile, t_two_sided
from analysis.fitting.ratio import fieller_interval
from analysis.interval import Interval

__all__ = ["POWER", "ROUNDING", "Along", "Difference", "Edge", "Linear"]

ROUNDING = 1e-12
"""Standard error, in log units, below which a difference is made of rounding."""

POWER = 0.8
"""Probability with which a difference that "would have shown" is found: the usual one in the design of experiments (Cohen 1988)."""


@dataclass(frozen=True)
class Linear:
    """Holds a linear combination of normal coefficients: its value and standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, weights: np.ndarray, theta: np.ndarray, covariance: np.ndarray) -> Linear:
        """Combine the coefficients: `weights · theta`, with its standard error."""
        variance = float(weights @ covariance @ weights)
        return cls(float(weights @ theta), float(np.sqrt(max(ROUNDING**2, variance))))


@dataclass(frozen=True)
class Edge:
    """Says that side 0 (a) or 1 (b) is best at the edge of what it tried, from compute `low` to `high`.

    wants: whether the other side gains by larger or by smaller models.
    """

    side: int
    wants: Literal["larger", "smaller"]
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Along:
    """Holds the difference along log compute u (n,), ascending over the shared range: value (n,) and standard error (n,).

    slope (n,), slope_error (n,): −d log metric / d log compute along the frontier about each u, the mean over half of the shared range.
    """

    u: np.ndarray
    value: np.ndarray
    error: np.ndarray
    slope: np.ndarray
    slope_error: np.ndarray


@dataclass(frozen=True, eq=False)
class Difference:
    """Holds log(metric of a) − log(metric of b) at equal compute, each side at its best cell: positive where a is worse.

    design: `paired`: from cells that share a budget, in whose differences shared noise cancels; `joint`: from one smooth shape for all
    cells, shifted between the sides, where they share too few.
    at_largest: at the largest shared compute. on_frontier: its mean over log compute. mean: over the shared budgets, good and bad, of a
    paired design; of a joint one the same as on_frontier. along: at each shared compute. trend: change per e-fold of compute.
    p_constant: of the hypothesis that the difference is the same at every shared compute.
    slope: −d log metric / d log compute along the frontier, the mean over the shared range; slope_at_largest: over its upper half.
    pairs: budgets (paired) or cells (joint) behind it. noise_std: residual standard deviation of one of them, in log units.
    shared: the range of compute, in its own unit. edges: where a side is best at the edge of the sizes that it tried, and the other gains
    by sizes beyond it. narrowed: whether `shared` was narrowed to where there is no such edge. at_near_sizes: where it was not,
    `at_largest` with the better side at its size nearest to the best of the other.
    """

    design: Literal["paired", "joint"]
    mean: Linear
    on_frontier: Linear
    at_largest: Linear
    trend: Linear
    p_constant: float
    slope: Linear
    slope_at_largest: Linear
    along: Along
    pairs: int
    degrees_of_freedom: int
    noise_std: float
    shared: tuple[float, float]
    edges: tuple[Edge, ...] = ()
    narrowed: bool = False
    at_near_sizes: Linear | None = None

    def interval(self, of: Linear, level: float) -> Interval:
        return Interval.around(of.value, self.quantile(level) * of.error)

    def p_value(self, of: Linear) -> float:
        """Return the two-sided p-value of the hypothesis that `of` is zero."""
        return t_two_sided(of.value / of.error, self.degrees_of_freedom)

    def log_speed_up(self, difference: Linear, slope: Linear, level: float) -> Interval:
        """Return the log of how much more compute a needs to equal b: difference / slope, with Fieller's interval.

        The interval is unbounded when the slope may be zero.
        """
        variances = difference.error**2, slope.error**2
        ends = fieller_interval(difference.value, slope.value, variances, 0.0, self.quantile(level))
        return Interval(difference.value / slope.value if slope.value else float("nan"), *ends)

    def log_speed_up_along(self, row: int, level: float) -> Interval:
        """Return `log_speed_up` at one compute: row of `along`."""
        along = self.along
        return self.log_speed_up(
            Linear(along.value[row], along.error[row]), Linear(along.slope[row], along.slope_error[row]), level
        )

    def detectable(self, of: Linear, level: float, power: float = POWER) -> float:
        """Return the least true difference, in log units, that a test at this level finds with this probability.

        With standard error σ and ν degrees of freedom it is σ·δ, where Student's t of noncentrality δ is above the quantile of the test
        with probability `power` (Cohen 1988; about 2.8 σ at 95 % and 80 %). It hangs on the design and its noise, not on what was found.
        For σ stands the estimated standard error, times what makes it as often too large as too small: of few degrees of freedom it is
        too small more often than not.
        """
        error = of.error * median_unbiased(self.degrees_of_freedom)
        return error * t_noncentrality(self.quantile(level), power, self.degrees_of_freedom)

    def quantile(self, level: float) -> float:
        """Return the quantile of t: half the width of an interval, in standard errors."""
        return t_quantile(0.5 + level / 2, self.degrees_of_freedom)
