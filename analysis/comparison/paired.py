"""The difference of two sides from cells that share a budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import linalg

from analysis.comparison.difference import Linear
from analysis.comparison.read_off import Reach, Reading
from analysis.comparison.shapes import Axes, Fitted, Shapes, bends_shown, least_degree
from analysis.response_surface import Covered, least_squares, polynomial_degree

__all__ = ["LEAST_PAIRS", "PAIRS_FOR_A_SURFACE", "paired_difference"]

LEAST_PAIRS = 4
PAIRS_FOR_A_SURFACE = 12
_PAIRS_FOR_A_HEIGHT = 8
_PAIRS_FOR_CURVATURE = 15  # on a surface
_HIGHEST = 4
_STEP = 1e-4


def paired_difference(a: pd.DataFrame, b: pd.DataFrame, second: bool, *, chosen: bool = False) -> Reading:
    """Fit the difference of two sides to pairs of cells that share a budget.

    What is common to a pair cancels in its difference: the shape of the law, and the noise that the two runs share.

    The differences are smoothed by a low polynomial in log compute (and the second coordinate), so that a gap that changes with compute is
    not taken for noise. It has curvature where there are pairs enough for it, and higher terms where the residuals show them. The means of
    the pairs are smoothed likewise: they say where either side is best, which is where the difference is read off. The mean over the pairs
    does not depend on that smoothing; its variance is that of what the smoothing leaves, over the number of pairs. A pair is one
    observation however many seeds it has: what makes a cell lie off its law is shared by its seeds.

    Args:
        a, b: rows in pairs, with `log_x`, `log_metric` and, with `second`, `log_w`. At least `LEAST_PAIRS`, of a surface
            `PAIRS_FOR_A_SURFACE`.
        chosen: the cells were chosen as those that no other beats. A grid's lie above the frontier that runs between them by unequal
            amounts, and the sides' amounts differ in proportion. So differences are also regressed on the pairs' height above their lower
            convex hull, and read off where it is zero. (The noise of a mean and of a difference do not correlate.)
    """
    u = (a["log_x"].to_numpy() + b["log_x"].to_numpy()) / 2
    w = (a["log_w"].to_numpy() + b["log_w"].to_numpy()) / 2 if second else None
    middle = (a["log_metric"].to_numpy() + b["log_metric"].to_numpy()) / 2
    axes, pairs = Axes.around(u, w), len(u)

    least = max(1, polynomial_degree(pairs, 2) if second else polynomial_degree(pairs, 1, most=2))
    common = bends_shown(lambda degree: axes.powers(u, w, degree), middle, range(least, _HIGHEST + 1))
    shape = least_squares(axes.powers(u, w, common), middle)
    # Where a had a little more compute than b, it had a little too good a loss.
    slope = (axes.powers(u + _STEP, w, common) - axes.powers(u - _STEP, w, common)) @ shape.theta / (2 * _STEP)
    difference = a["log_metric"].to_numpy() - b["log_metric"].to_numpy() - slope * (a["log_x"].to_numpy() - b["log_x"].to_numpy())

    least = (2 if pairs >= _PAIRS_FOR_CURVATURE else 1) if second else least_degree(pairs)
    hull = Covered(u, middle)
    above = middle - np.array([hull.between(float(at))[0] for at in u]) if chosen and pairs >= _PAIRS_FOR_A_HEIGHT else None

    def design(degree: int) -> np.ndarray:
        powers = axes.powers(u, w, degree)
        return powers if above is None else np.column_stack([powers, above])

    shift = bends_shown(design, difference, range(least, _HIGHEST + 1))
    columns = design(shift)
    fitted = least_squares(columns, difference)
    kept = slice(0, axes.powers(u[:1], None if w is None else w[:1], shift).shape[1])
    reach = Reach.of(u, w)
    return Reading(
        Fitted(
            Shapes(axes, common, shift),
            np.concatenate([shape.theta, fitted.theta[kept]]),
            # Sums and differences of equal variances do not correlate.
            linalg.block_diag(shape.covariance, fitted.covariance[kept, kept]),
            fitted.degrees_of_freedom,
            fitted.residual_std,
        ),
        (reach, reach),
        (reach.low, reach.high),
        "paired",
        u,
        lambda inside: Linear.of(columns[inside].mean(0), fitted.theta, fitted.covariance),
    )
