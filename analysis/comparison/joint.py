"""The difference of two sides whose cells do not line up: one smooth shape for both, shifted between them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from analysis.comparison.difference import Difference, Linear
from analysis.comparison.frontier_slope import best_second
from analysis.comparison.twins import least_squares_with_twins, twin_cells
from analysis.response_surface import Covered, polynomial, polynomial_degree
from scaling.errors import TooFewPoints

__all__ = ["joint_difference"]

_GRID = 25
_SHIFTS = 3  # a shift, and its change with compute and with epochs
_CELLS_FOR_CURVATURE = 48  # of both sides: with more, the shift may bend too


def joint_difference(a: pd.DataFrame, b: pd.DataFrame, second: bool) -> Difference:
    """`log metric = g(u, w) + side·s(u, w)` with one polynomial g in u = log compute and w = log epochs, and a shift s of the first degree; of
    the second where there are many cells.

    At each compute either side is read off at its own best w within the region that its cells cover; the difference of the two is
    averaged over the range of compute that both cover. Cells of the two at the same epochs and rank of size may share noise: see
    `analysis.comparison.twins`. Where there is no w, only the cells on either side's frontier count, and g is
    a polynomial in u.

    Args: tables of cells with `log_x`, `log_metric`, `on_frontier` and, with `second`, `log_w`.
    Raises: TooFewPoints, when both sides cover no range of compute, or have too few cells.
    """
    degree = polynomial_degree(len(a) + len(b), 2, extra=_SHIFTS, most=4) if second else 0
    if degree < 2:
        second = False
        a, b = a[a["on_frontier"]], b[b["on_frontier"]]
        degree = min(2, polynomial_degree(len(a) + len(b), 1, extra=2))
    low, high = (end for end in (max(a["log_x"].min(), b["log_x"].min()), min(a["log_x"].max(), b["log_x"].max())))
    _require(len(a), len(b), degree, low, high)

    bend = 2 if second and len(a) + len(b) >= _CELLS_FOR_CURVATURE else 1
    u0 = (low + high) / 2
    w0 = float(np.mean([*a["log_w"], *b["log_w"]])) if second else 0.0

    def design(u: np.ndarray, w: np.ndarray | None, side: float) -> np.ndarray:
        u, w = u - u0, (w - w0 if w is not None else None)
        return np.concatenate([polynomial(u, w, degree), side * polynomial(u, w, bend)], axis=-1)

    def of(table: pd.DataFrame, side: float) -> np.ndarray:
        return design(table["log_x"].to_numpy(), table["log_w"].to_numpy() if second else None, side)

    grid = np.linspace(low, high, _GRID)
    y = np.concatenate([a["log_metric"], b["log_metric"]])
    twins = twin_cells(a, b) + np.array([0, len(a)])
    fitted = least_squares_with_twins(
        np.concatenate([of(a, 0.5), of(b, -0.5)]), y, twins, polynomial(grid[:1], grid[:1] if second else None, bend).shape[1]
    ).fitted

    def height(u: np.ndarray, w: np.ndarray, *, side: float) -> np.ndarray:
        return design(u, w, side) @ fitted.theta

    rows = {}
    for name, table, side in (("a", a, 0.5), ("b", b, -0.5)):
        best = None
        if second:
            region = Covered(table["log_x"].to_numpy(), table["log_w"].to_numpy())
            best = best_second(region, grid, partial(height, side=side))
        rows[name] = design(grid, best, side)
    apart, middle = rows["a"] - rows["b"], (rows["a"] + rows["b"]) / 2

    def linear(weights: np.ndarray) -> Linear:
        return Linear.of(weights, fitted.theta, fitted.covariance)

    half = _GRID // 2
    return Difference(
        design="joint",
        mean=linear(apart.mean(0)),
        on_frontier=linear(apart.mean(0)),
        at_largest=linear(apart[-1]),
        trend=linear((apart[-1] - apart[0]) / (high - low)),
        slope=linear(-(middle[-1] - middle[0]) / (high - low)),
        slope_at_largest=linear(-(middle[-1] - middle[half]) / (grid[-1] - grid[half])),
        pairs=len(y),
        degrees_of_freedom=fitted.degrees_of_freedom,
        noise_std=fitted.residual_std,
        shared=(float(np.exp(low)), float(np.exp(high))),
    )


def _require(cells_a: int, cells_b: int, degree: int, low: float, high: float) -> None:
    if high <= low:
        raise TooFewPoints(
            "the two sides share no range of compute: nothing can be compared at equal compute",
            have=0,
            need=2,
            hint="train each side at budgets that the other has too",
        )
    need = 4
    have = min(cells_a, cells_b)
    if have < need or degree < 1:
        more = max(1, need - have)
        raise TooFewPoints(
            f"the sides share fewer than 4 budgets, and have {cells_a} and {cells_b} cells on their frontiers: {more} more "
            f"{'is' if more == 1 else 'are'} needed",
            have=have,
            need=max(need, have + 1),
            hint="train both sides at the same epoch budgets and sizes: pairs need the fewest runs",
        )
