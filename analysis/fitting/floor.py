"""Power law with a floor: point estimate by variable projection, intervals by bootstrap over cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from analysis.fitting.bootstrap import cell_weights, small_sample_factor
from analysis.fitting.estimate import Estimate, Precision, Sample, exponent_status
from analysis.fitting.log_least_squares import log_least_squares
from analysis.fitting.score_bootstrap import CellScores
from analysis.fitting.variable_projection import EXPONENT_TIMES_SPAN, minimise
from scaling.outcomes import FitStatus

__all__ = ["FloorEstimate", "floor_on_log_residuals"]

_COEFFICIENTS = 3
_REFIT_UP_TO = 1_500_000  # runs × draws that are refitted in full, about 3 s; beyond, one step from the point estimate


@dataclass(frozen=True, eq=False)
class FloorEstimate(Estimate):
    """`theta`: the point (E, log A at the centre, a); `draws`: (bootstrap, 3), the same of each draw; `spread`: the small-sample
    factor by which draws are spread about the point."""

    centre: float
    theta: np.ndarray
    draws: np.ndarray
    spread: float
    level: float

    def log_band(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_x = np.log(x) - self.centre
        mean = _log_curve(self.theta[None, :], log_x)[0]
        low, high = _quantiles(_log_curve(self.draws, log_x), self.level)
        # Quantiles of one side may lie beyond the point estimate by bootstrap bias; the band never leaves the curve it belongs to.
        return mean + self.spread * np.minimum(low - mean, 0.0), mean + self.spread * np.maximum(high - mean, 0.0)


def floor_on_log_residuals(sample: Sample, precision: Precision) -> FloorEstimate:
    """Least squares of `log y − log(E + A·x^-a)` with E ≥ 0 and a > 0; scipy polishes the point estimate.

    Intervals: percentiles of a bootstrap over cells (`analysis.fitting.bootstrap`), spread about the point estimate by the
    small-sample factor; E's is cut at zero. At a nominal 95 % they covered the truth in 88–95 % of simulations with 5–24 cells, and
    a law without a floor was given one in 2–4 %. The status says when the best E *is* zero (`no-floor`), when E's interval
    reaches zero (`floor-not-identified`), and when the exponent's does or its bound was hit (`exponent-not-identified`). This curve
    cannot rise, so that the metric does (`rises`) is read off the straight line on log–log axes.
    """
    log_x = np.log(sample.x)
    centre = float(log_x.mean())
    log_x = log_x - centre
    theta, converged = _polished(minimise(log_x, sample.y, np.ones((1, len(log_x))))[0], log_x, sample.y)
    draws = np.concatenate(list(_draws(theta, log_x, sample, precision)))
    spread = small_sample_factor(sample.cells, _COEFFICIENTS, precision)

    to_origin = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, centre], [0.0, 0.0, 1.0]])  # log A at x = 1 is log A + a·centre
    point, spread_draws = to_origin @ theta, draws @ to_origin.T
    quantiles = _quantiles(spread_draws, precision.level)
    low = point + spread * np.minimum(quantiles[0] - point, 0.0)
    high = point + spread * np.maximum(quantiles[1] - point, 0.0)
    low[0] = max(0.0, low[0])

    span = float(np.ptp(log_x))
    a_at_bound = not 1.001 * EXPONENT_TIMES_SPAN[0] < theta[2] * span < 0.999 * EXPONENT_TIMES_SPAN[1]
    exponent = FitStatus.EXPONENT_NOT_IDENTIFIED if a_at_bound else exponent_status(low[2], high[2])
    rises = log_least_squares(sample, precision).status == FitStatus.RISES
    with np.errstate(over="ignore"):  # an infinite end of an interval is an answer
        low[1], high[1] = np.exp(low[1]), np.exp(high[1])
        return FloorEstimate(
            values={"E": float(theta[0]), "A": float(np.exp(point[1])), "a": float(theta[2])},
            low=dict(zip("EAa", low.tolist(), strict=True)),
            high=dict(zip("EAa", high.tolist(), strict=True)),
            status=FitStatus.RISES if rises else _status(converged, theta[0], low[0], exponent),
            degrees_of_freedom=sample.cells - _COEFFICIENTS,
            centre=centre,
            theta=theta,
            draws=draws,
            spread=spread,
            level=precision.level,
        )


def _draws(theta: np.ndarray, log_x: np.ndarray, sample: Sample, precision: Precision) -> Iterator[np.ndarray]:
    if len(log_x) * precision.bootstrap > _REFIT_UP_TO:
        scores = CellScores(theta, log_x, sample.y, sample.cell)
        yield from (scores.draws(weights) for weights in cell_weights(sample.cells, precision))
    else:
        yield from (minimise(log_x, sample.y, weights[:, sample.cell]) for weights in cell_weights(sample.cells, precision))


def _polished(start: np.ndarray, log_x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, bool]:
    """The start, or what scipy makes of it when that is better, and whether scipy agrees that this is a minimum."""
    log_y = np.log(y)
    if start[0] == 0.0:  # the face without a floor is a closed form
        return start, True

    def residuals(theta: np.ndarray) -> np.ndarray:
        return _log_curve(theta[None, :], log_x)[0] - log_y

    bounds = np.array(EXPONENT_TIMES_SPAN) / np.ptp(log_x)
    inside = np.array([start[0], start[1], np.clip(start[2], *bounds)])
    box = ([0.0, -np.inf, bounds[0] * (1 - 1e-9)], [np.inf, np.inf, bounds[1] * (1 + 1e-9)])
    found = optimize.least_squares(residuals, inside, bounds=box, x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12)
    better = 2 * found.cost < np.sum(residuals(start) ** 2)
    return (found.x if better else start), bool(found.status > 0)


def _log_curve(theta: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """(draws, 3) and (n,) → (draws, n): log(E + A·x^-a)."""
    with np.errstate(divide="ignore"):  # log 0 = −∞ is what logaddexp needs for a draw without a floor
        return np.logaddexp(np.log(theta[:, :1]), theta[:, 1:2] - theta[:, 2:] * log_x)


def _quantiles(draws: np.ndarray, level: float) -> np.ndarray:
    return np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0)


def _status(converged: bool, E: float, E_low: float, exponent: FitStatus) -> FitStatus:
    if not converged:
        return FitStatus.NOT_CONVERGED
    if exponent != FitStatus.OK:
        return exponent
    if E == 0:
        return FitStatus.NO_FLOOR
    return FitStatus.FLOOR_NOT_IDENTIFIED if E_low <= 0 else FitStatus.OK
