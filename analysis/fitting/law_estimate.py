"""The estimate of one law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.fitting.discrepancy import Discrepancy
from analysis.fitting.estimate import Estimate, Precision
from analysis.fitting.tangent import Tangent
from analysis.laws.law import Law

__all__ = ["LawEstimate"]


@dataclass(frozen=True, eq=False)
class LawEstimate(Estimate):
    """Holds the estimate of one law.

    theta: (p,), see `Law`. covariance: (p, p), of theta, without lack of fit; rows of what cannot vary are zero.
    draw: makes the bootstrap's draws of theta, (bootstrap, p), when they are first asked for.
    by_draws: whether intervals are percentiles of the draws; otherwise they are t intervals with `covariance`.
    spread: the factor by which log means of draws are spread about that of theta.
    new_run_variances: of a run about the law, in parts with their degrees of freedom: ((variance, degrees of freedom), …).
    noise_grows_with: the power of the mean curve to which noise in log metric is proportional: −1 for plain squares, else 0.
    """

    law: Law
    theta: np.ndarray
    covariance: np.ndarray
    tangent: Tangent
    discrepancy: Discrepancy
    draw: Callable[[], np.ndarray]
    by_draws: bool
    spread: float
    new_run_variances: tuple[tuple[float, float], ...]
    noise_grows_with: float
    precision: Precision

    @cached_property
    def draws(self) -> np.ndarray:
        """Return the bootstrap's draws of theta, (bootstrap, p), not yet spread."""
        return self.draw()

    def log_mean(self, inputs: np.ndarray) -> np.ndarray:
        return self.law.log_curve(inputs, self.theta[None])[0]

    def log_mean_jacobian(self, inputs: np.ndarray) -> np.ndarray:
        """Return the derivatives of the log mean by theta, (m, p); zero for what cannot vary."""
        return np.where(self.tangent.kept, self.law.log_curve_jacobian(inputs, self.theta), 0.0)

    def log_mean_draws(self, inputs: np.ndarray) -> np.ndarray:
        mean = self.log_mean(inputs)
        return mean + self.spread * (self.law.log_curve(inputs, self.draws) - mean)

    def log_band(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._interval(inputs, ())

    def log_new_run(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._interval(inputs, self.new_run_variances)

    def _interval(self, inputs: np.ndarray, scatter: tuple[tuple[float, float], ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return the interval of the log metric, (m,) each end; `scatter`: what a run adds to the mean, as `new_run_variances`."""
        mean, jacobian = self.log_mean(inputs), self.log_mean_jacobian(inputs)
        trend = (self.discrepancy.variance_at(inputs, jacobian), self.discrepancy.degrees_of_freedom)
        noise = np.exp(2 * self.noise_grows_with * mean)
        parts = [(variance * noise, freedom) for variance, freedom in scatter]
        if self.by_draws:
            low, high = _percentiles(self.log_mean_draws(inputs), mean, self.precision.level)
            half = _half_width([trend, *parts], self.precision)
            return mean - np.hypot(mean - low, half), mean + np.hypot(high - mean, half)
        of_mean = np.einsum("ni,ij,nj->n", jacobian, self.covariance, jacobian)
        half = _half_width([(of_mean, self.degrees_of_freedom), trend], self.precision)
        if parts:
            # The scatter of cells is what the covariance was made from: one estimate, so one share of the doubt.
            (of_cells, freedom), *others = parts
            with_run = _half_width([(of_mean + of_cells, freedom), trend, *others], self.precision)
            half = np.maximum(
                half, with_run
            )  # t may be smaller where more is known of the variance, but a run is no surer than the mean
        return mean - half, mean + half


def _half_width(parts: list[tuple[np.ndarray, float]], precision: Precision) -> np.ndarray:
    """Return t times the root of a sum of variances, each known with its own degrees of freedom (Satterthwaite 1946)."""
    total = np.maximum(sum(variance for variance, _ in parts), 1e-300)
    doubt = sum((variance / total) ** 2 / df for variance, df in parts)
    return precision.t(1 / np.maximum(doubt, 1e-9)) * np.sqrt(np.maximum(total, 0.0))


def _percentiles(draws: np.ndarray, point: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of each column of the draws, stretched to the point where bootstrap bias puts it outside."""
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return np.minimum(low, point), np.maximum(high, point)
