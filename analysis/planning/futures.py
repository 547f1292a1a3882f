"""What the curve of the runs may be beyond them, as draws: the weighed laws together, and that it may bend.

A future is a curve with the noise of runs on it. Each follows one member of the forecast: a law by its weight, or one of the 40 exponents of
the recent runs by its own (`analysis.backtest.recent`). So what the members disagree about is uncertainty.
The members alone are narrower than the forecast's interval, which also holds what such forecasts were off by. That rest is a bend: from
a place between the runs and the target on, drawn evenly, the curve leaves its member in proportion to log compute. Its scale is such that
the futures are spread at the target as the interval says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.backtest.forecast import ForecastEstimate
from scaling.errors import UsageError

__all__ = ["DRAWS", "Futures", "futures_of"]

DRAWS = 48
"""How many futures are drawn: 24 curves, each with its noise and with the opposite noise, so that the noise of a few is not mistaken for
what a run tells."""


@dataclass(frozen=True, eq=False)
class Futures:
    """Holds draws of the curve, beside what two neighbouring draws have in common.

    logs: (draws, places), log of the true mean at each place, the last of which is the target. noise: (draws, places − 1), of a run there
    with a standard deviation of one.
    """

    logs: np.ndarray
    noise: np.ndarray

    @property
    def at_target(self) -> np.ndarray:
        return self.logs[:, -1]


def futures_of(
    estimate: ForecastEstimate, log_x: np.ndarray, log_target: float, seed: int, rank: np.ndarray | None = None
) -> Futures:
    """Draw futures of a forecast.

    Args:
        log_x: (places,), log compute of what could be run. log_target: of the target.
        rank: (places,), their places in an order that does not depend on how they are listed; None for that order itself.

    Raises: UsageError where the forecast has no number at the target.
    """
    rng = np.random.default_rng([seed, 5])
    at = np.append(log_x, log_target)
    curves, weights = _members(estimate, at)
    if not np.isfinite(curves[weights > 0]).all():
        raise UsageError("the forecast has no number at the target", hint="aim nearer to the compute of the runs")
    half = DRAWS // 2
    order = np.argsort(curves[:, -1], kind="stable")
    place = np.searchsorted(np.cumsum(weights[order]), (np.arange(half) + 0.5) / half * weights.sum(), side="left")
    drawn = curves[order[np.minimum(place, len(order) - 1)]]
    low, high = estimate.log_band(np.exp(np.array([[log_target]])))
    stated = (float(high[0] - low[0]) / 2 / estimate.precision.t(1e9)) ** 2
    rest = max(0.0, stated - float(np.var(drawn[:, -1])))
    logs = drawn + np.sqrt(rest) * _bends(at, float(estimate.recent.edge[0]), float(estimate.recent.range[0]), half, rng)
    noise = rng.standard_normal((half, len(log_x)))
    noise = noise if rank is None else noise[:, rank]
    return Futures(np.repeat(logs, 2, axis=0), np.stack([noise, -noise], axis=1).reshape(DRAWS, -1))


def _members(estimate: ForecastEstimate, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log curves of the members at log compute (n,), (members, n), and their weights."""
    curves, weights = estimate.recent.curves(at)
    share = estimate.share
    if share == 0:
        return curves, weights
    average, inputs = estimate.laws.estimate, np.exp(at)[None]
    laws = [member.log_mean(inputs[list(rows)]) for member, rows in zip(average.members, average.rows, strict=True)]
    return np.vstack([curves, *laws]), np.concatenate([(1 - share) * weights, share * average.weights])


def _bends(at: np.ndarray, edge: float, span: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw by how much curves leave their member at log compute (n,), (draws, n), with a mean square of 1 at the last, the target.

    Among the runs there is no bend to come: there the whole curve is off near the target, over a tenth of the runs' range.
    """
    steps = (np.arange(draws) + 0.5) / draws
    size = rng.permutation(special.ndtri(steps))[:, None]
    ahead = at - edge
    if ahead[-1] <= 0:
        return size * np.exp(-np.abs(at - at[-1]) / (0.1 * span))
    begins = rng.permutation(steps)[:, None]
    bend = size * np.maximum(0.0, ahead / ahead[-1] - begins)
    return bend / np.sqrt(np.mean(bend[:, -1] ** 2))
