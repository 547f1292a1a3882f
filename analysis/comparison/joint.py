"""The difference of two sides whose cells do not line up: one smooth shape for both, shifted between them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from analysis.comparison.by_side import least_squares_by_side, seeds_differ
from analysis.comparison.read_off import Reach, Reading
from analysis.comparison.shapes import SIDE_A, SIDE_B, Axes, Fitted, Shapes, bends_shown, least_degree
from analysis.comparison.twins import least_squares_with_twins, twin_cells
from analysis.response_surface import polynomial, polynomial_degree
from scaling.errors import TooFewPoints

__all__ = ["LEAST_CELLS", "has_surface", "joint_difference", "near_shared", "shared_range"]

LEAST_CELLS = 4
_PLANE = 3  # coefficients of a shift that changes with compute and with the second coordinate
_CELLS_FOR_CURVATURE = 48  # of both sides, on a surface: with more, the shift bends too
_LEAST_NEAR = 6
_HIGHEST = 4
_BEYOND = 0.5  # share of the shared range by which cells outside it still tell of the shape within it


def joint_difference(a: pd.DataFrame, b: pd.DataFrame, shared: tuple[float, float], second: bool) -> Reading:
    """Fit `log metric = g(u, w) ± ½·s(u, w)` to the cells of both sides, where u is log compute and w the log of the second coordinate.

    g and s are polynomials in u and w, or in u alone. They have the degree that the number of cells allows, and a higher one where the
    residuals show it. Cells of the two at the same epochs and rank of size may share noise: see `analysis.comparison.twins`.

    Args: tables of cells that count (`near_shared`), with `log_x`, `log_metric` and, with `second`, `log_w`. shared: log compute that both
        sides cover.
    Raises: TooFewPoints, when the sides share no range of compute, or have too few cells.
    """
    _require(len(a), len(b), shared)
    reaches = [Reach.of(table["log_x"].to_numpy(), table["log_w"].to_numpy() if second else None) for table in (a, b)]
    u = np.concatenate([a["log_x"], b["log_x"]])
    w = np.concatenate([a["log_w"], b["log_w"]]) if second else None
    y = np.concatenate([a["log_metric"], b["log_metric"]])
    side = np.repeat([[SIDE_A], [SIDE_B]], [len(a), len(b)], axis=0)
    axes = Axes.around(u, w)

    def design(common: int, shift: int) -> np.ndarray:
        return np.concatenate([axes.powers(u, w, common), side * axes.powers(u, w, shift)], axis=-1)

    common, shift = _degrees(design, y, len(a), len(b), second)
    twins = twin_cells(a, b) + np.array([0, len(a)])
    shifts = polynomial(u[:1], None if w is None else w[:1], shift).shape[1]
    shared_noise = least_squares_with_twins(design(common, shift), y, twins, shifts)
    found = shared_noise.fitted
    if not shared_noise.correlation and seeds_differ(a, b):
        columns = design(common, shift)
        found = least_squares_by_side(columns, y, len(a), columns.shape[1] - shifts)
    fitted = Fitted(Shapes(axes, common, shift), found.theta, found.covariance, found.degrees_of_freedom, found.residual_std)
    return Reading(fitted, (reaches[0], reaches[1]), shared, "joint", u)


def shared_range(a: pd.DataFrame, b: pd.DataFrame) -> tuple[float, float]:
    """Return the log compute that the cells of both cover, (low, high); the ends are in the wrong order where they share none."""
    return max(float(a["log_x"].min()), float(b["log_x"].min())), min(float(a["log_x"].max()), float(b["log_x"].max()))


def has_surface(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Say whether there are cells enough for a surface that curves."""
    return polynomial_degree(len(a) + len(b), 2, extra=_PLANE) >= 2


def near_shared(a: pd.DataFrame, b: pd.DataFrame, shared: tuple[float, float], second: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cells in and near the shared range, where they are enough; else all.

    A shape fitted to cells far away would be drawn to those.
    """
    low, high = shared
    if low >= high:
        return a, b
    margin = _BEYOND * (high - low)
    near = []
    for table in (a, b):
        u = table["log_x"]
        # The next cell beyond either end always counts, so that nothing is read off where a side has no cell.
        first, last = min(low - margin, u[u <= low].max()), max(high + margin, u[u >= high].min())
        near.append(table[u.between(first, last)].reset_index(drop=True))
    enough = min(map(len, near)) >= _LEAST_NEAR and (not second or has_surface(*near))
    return (near[0], near[1]) if enough else (a, b)


def _degrees(design: Callable[[int, int], np.ndarray], y: np.ndarray, of_a: int, of_b: int, second: bool) -> tuple[int, int]:
    if second:
        common = polynomial_degree(of_a + of_b, 2, extra=_PLANE, most=_HIGHEST)
        shift = 2 if of_a + of_b >= _CELLS_FOR_CURVATURE else 1
    else:
        shift = least_degree(min(of_a, of_b))
        common = max(shift, polynomial_degree(of_a + of_b, 1, extra=2, most=2))

    def bent_by(shift: int) -> Callable[[int], np.ndarray]:
        return lambda common: design(common, shift)

    for _ in range(2):  # what one of them cannot bend to looks like noise to the other
        common = bends_shown(bent_by(shift), y, range(common, _HIGHEST + 1))
        shift = bends_shown(partial(design, common), y, range(shift, common + 1))
    return common, shift


def _require(cells_a: int, cells_b: int, shared: tuple[float, float]) -> None:
    if shared[1] <= shared[0]:
        raise TooFewPoints(
            "the two sides share no range of compute: nothing can be compared at equal compute",
            have=0,
            need=2,
            hint="train each side at budgets that the other has too",
        )
    have = min(cells_a, cells_b)
    if have < LEAST_CELLS:
        more = LEAST_CELLS - have
        raise TooFewPoints(
            f"the sides share fewer than 4 budgets, and have {cells_a} and {cells_b} cells that count: {more} more "
            f"{'is' if more == 1 else 'are'} needed",
            have=have,
            need=LEAST_CELLS,
            hint="train both sides at the same epoch budgets and sizes: pairs need the fewest runs",
        )
