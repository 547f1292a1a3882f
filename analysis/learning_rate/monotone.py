"""A test whether the runs contradict that the best learning rate falls with epochs and with size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from analysis.fitting.shared_parabola import Curves

__all__ = ["MOST_CELLS", "CellMinima", "cell_minima", "monotonicity_p_value", "scatter_about_law"]

_DRAWS = 1000
_MANY_CELLS, _ENOUGH = 100, 100
"""A draw takes 10 ms and longer with more than `_MANY_CELLS` cells: draws then end after `_ENOUGH` that are as far off as what was seen."""
MOST_CELLS = 500
"""Nothing is tested of more cells: a draw takes time with the cube of their number, minutes for 2,000."""
_STEPS = 16
_FLAT = 1e-12


@dataclass(frozen=True, eq=False)
class CellMinima:
    """Holds each cell's own minimum, with κ shared by all and no law between them.

    curvature: κ. scaled: κ·u* of each cell, which least squares gives directly. covariance: of (κ, κ·u* …), were the errors independent.
    degrees_left: points less coefficients.
    """

    curvature: float
    scaled: np.ndarray
    covariance: np.ndarray
    degrees_left: int


def cell_minima(curves: Curves) -> CellMinima | None:
    """Fit each cell's own minimum; return None where no degree of freedom is left, or κ does not open upwards.

    Least squares in closed form, since a cell's slope and constant are its own: of 2,000 cells the design would take gigabytes.
    """
    left = len(curves.u) - 2 * curves.cells - 1
    if left < 1:
        return None
    square, u, y = curves.without_means(np.column_stack([curves.u**2, curves.u, curves.y])).T
    spread, tilt, fall = (np.bincount(curves.cell, u * column, minlength=curves.cells) for column in (u, square, y))
    if (spread <= _FLAT).any():
        return None
    slope = tilt / spread  # of u² over u in each cell; what it leaves is bent, and tells κ
    bent, rest = square - u * slope[curves.cell], y - u * (fall / spread)[curves.cell]
    bend = float(bent @ bent)
    if bend <= _FLAT * float(square @ square):
        return None
    curvature = float(bent @ rest) / bend
    if curvature <= 0:
        return None
    scaled = (curvature * slope - fall / spread) / 2
    residual = rest - curvature * bent
    shared = np.concatenate([[1.0], slope / 2])
    covariance = np.outer(shared, shared) / bend + np.diag(np.concatenate([[0.0], 1 / (4 * spread)]))
    return CellMinima(curvature, scaled, float(residual @ residual) / left * covariance, left)


def monotonicity_p_value(minima: CellMinima, below: np.ndarray, *, seed: int = 0) -> float:
    """Return the p-value of "no cell has a higher minimum than one below it" against "some have", both without a law.

    NaN where no cell lies below another, and of more than 500 cells. The statistic is how much worse the best monotone minima explain the cells' own:
    χ̄² = min (m − m₀)ᵀ V⁻¹ (m − m₀) over monotone m₀. Where it is hardest to tell, all minima are equal. The distribution of the statistic
    there, by draws, gives the p-value (Robertson, Wright and Dykstra 1988). Of many cells the draws end early where p is not small (Besag and
    Clifford 1991).

    Args:
        below: (cells, cells), bool: whether the row's cell is below the column's (no more epochs, no larger model), so that its
            minimum may not be lower.
    """
    if len(minima.scaled) > MOST_CELLS:
        return float("nan")
    smaller, larger = np.nonzero(below & ~(below.astype(int) @ below.astype(int) > 0))  # what lies between says the rest
    if len(smaller) == 0:
        return float("nan")
    cells = len(minima.scaled)
    order = np.zeros((len(smaller), cells))
    order[np.arange(len(smaller)), smaller], order[np.arange(len(smaller)), larger] = 1.0, -1.0  # order @ m ≥ 0
    from scipy.optimize import nnls  # here: it takes .15 s to import, and of one grid nothing is tested

    scale = float(np.abs(minima.scaled).max()) or 1.0
    root = np.linalg.cholesky(minima.covariance[1:, 1:] / scale**2 + 1e-18 * np.eye(cells))
    cone = (order @ root).T
    observed = nnls(cone, -linalg.solve_triangular(root, minima.scaled / scale, lower=True))
    misfit = _squared(cone @ observed[0])
    if misfit < 1e-9:
        return 1.0
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal((_DRAWS, cells)) / np.sqrt(rng.chisquare(minima.degrees_left, (_DRAWS, 1)) / minima.degrees_left)
    as_far = 0
    for first in range(0, _DRAWS, _ENOUGH):
        some = draws[first : first + _ENOUGH]
        for number, (draw, least) in enumerate(zip(some, _least_misfits(cone, some), strict=True), start=first + 1):
            as_far += least >= misfit or _squared(cone @ nnls(cone, draw)[0]) >= misfit
            if cells > _MANY_CELLS and as_far == _ENOUGH:
                return as_far / number
    return (1 + as_far) / (1 + _DRAWS)


def _least_misfits(cone: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return a lower bound of each draw's statistic, (draws,): that of a solve takes 15 ms of 200 cells, and most draws are far beyond.

    The statistic is the squared length of a draw d projected onto the cone, max (dᵀ C z)² / |C z|² over z ≥ 0. So any z gives a lower bound;
    these are of accelerated projected gradient steps (Beck and Teboulle 2009), for all draws at once: of 200 cells 16 steps leave one solve of 32.
    """
    gram, towards = cone.T @ cone, draws @ cone
    step = 1 / np.abs(gram).sum(1).max()
    found = at = np.maximum(towards, 0.0) * step
    for number in range(_STEPS):
        further = np.maximum(at + (towards - at @ gram) * step, 0.0)
        at = further + number / (number + 3) * (further - found)
        found = further
    along, length = np.einsum("dn,dn->d", towards, found), np.einsum("dn,dn->d", found @ gram, found)
    return np.where(length > 0, along**2 / np.maximum(length, 1e-300) * (1 - 1e-9), 0.0)


def scatter_about_law(minima: CellMinima, law: np.ndarray, coefficients: int) -> float:
    """Return the standard deviation τ of the cells' true minima about the law, in log units.

    It is that of the method of moments of DerSimonian and Laird 1986.

    law: (cells,): u* by the law. coefficients: how many it was fitted with.
    """
    off = minima.scaled / minima.curvature - law
    # var(κu* − u*·κ) / κ², the variance of the ratio to first order
    at, covariance = minima.scaled / minima.curvature, minima.covariance
    variance = np.diag(covariance)[1:] - 2 * at * covariance[0, 1:] + at**2 * covariance[0, 0]
    variance = np.maximum(variance / minima.curvature**2, 1e-18)
    precision = 1 / variance
    excess = float(np.sum(off**2 * precision)) - max(0, len(law) - coefficients)
    spread = float(precision.sum() - np.sum(precision**2) / precision.sum())
    return float(np.sqrt(max(0.0, excess / spread))) if spread > 0 else 0.0


def _squared(vector: np.ndarray) -> float:
    return float(vector @ vector)
