"""The difference of two sides from cells that share a budget."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.comparison.difference import Difference, Linear
from analysis.comparison.frontier_slope import frontier_slopes
from analysis.response_surface import least_squares, polynomial

__all__ = ["LEAST_PAIRS", "paired_difference"]

LEAST_PAIRS = 4
_GRID = 25
_PAIRS_FOR_A_PLANE, _PAIRS_FOR_CURVATURE = 10, 24


def paired_difference(a: pd.DataFrame, b: pd.DataFrame, second: bool) -> Difference:
    """What is common to a pair cancels in its difference: the shape of the law, and the noise that the two runs share.

    The differences are smoothed by a low polynomial in log compute (and log epochs), so that a gap that changes with compute is not
    taken for noise. The mean over the pairs does not depend on that smoothing; its variance is that of what the smoothing leaves,
    over the number of pairs. A pair is one observation however many seeds it has: what makes a cell lie off its law is shared by its
    seeds.

    Args:
        a, b: rows in pairs, with `log_x`, `log_metric` and, with `second`, `log_w`. At least `LEAST_PAIRS`.
    """
    u = (a["log_x"].to_numpy() + b["log_x"].to_numpy()) / 2
    w = (a["log_w"].to_numpy() + b["log_w"].to_numpy()) / 2 if second else None
    slopes = frontier_slopes(u, w, (a["log_metric"].to_numpy() + b["log_metric"].to_numpy()) / 2)
    # Where a had a little more compute than b, it had a little too good a loss.
    difference = a["log_metric"].to_numpy() - b["log_metric"].to_numpy()
    difference = difference + slopes.at(u, w) * (a["log_x"].to_numpy() - b["log_x"].to_numpy())

    pairs = len(u)
    u0, w0 = u.mean(), (w.mean() if w is not None else 0.0)
    degree = 2 if pairs >= _PAIRS_FOR_CURVATURE else 1
    use_w = w is not None and pairs >= _PAIRS_FOR_A_PLANE

    def design(u: np.ndarray, w: np.ndarray | None) -> np.ndarray:
        return polynomial(u - u0, w - w0 if use_w and w is not None else None, degree)

    columns = design(u, w)
    fitted = least_squares(columns, difference)
    grid = np.linspace(u.min(), u.max(), _GRID)
    along = design(grid, slopes.best_w(grid) if w is not None else None)
    return Difference(
        design="paired",
        mean=Linear.of(columns.mean(0), fitted.theta, fitted.covariance),
        on_frontier=Linear.of(along.mean(0), fitted.theta, fitted.covariance),
        at_largest=Linear.of(along[-1], fitted.theta, fitted.covariance),
        trend=Linear.of((along[-1] - along[0]) / np.ptp(grid), fitted.theta, fitted.covariance)
        if np.ptp(grid) > 0
        else Linear(0.0, float("inf")),
        slope=slopes.mean,
        slope_at_largest=slopes.at_largest,
        pairs=pairs,
        degrees_of_freedom=fitted.degrees_of_freedom,
        noise_std=fitted.residual_std,
        shared=(float(np.exp(grid[0])), float(np.exp(grid[-1]))),
    )
