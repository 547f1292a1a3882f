"""The log of a metric over (log compute, log epochs) as a polynomial: what neighbouring cells say about each other, whatever the law.

No law is assumed, so this serves where only smoothness is: to compare two families whose cells do not line up, and to measure how far
cells scatter. It says nothing outside the region that the cells cover.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

__all__ = ["Covered", "LeastSquares", "least_squares", "polynomial", "polynomial_degree"]

_CELLS_PER_COEFFICIENT = 2


def polynomial_degree(cells: int, variables: int, *, extra: int = 0, most: int = 3) -> int:
    """Return the highest degree that leaves two cells a coefficient; 0 when there are too few even for a plane.

    variables: 1 (compute alone) or 2. extra: coefficients besides the polynomial's.
    """
    for degree in range(most, 0, -1):
        coefficients = (degree + 1) if variables == 1 else (degree + 1) * (degree + 2) // 2
        if cells >= _CELLS_PER_COEFFICIENT * (coefficients + extra):
            return degree
    return 0


def polynomial(u: np.ndarray, w: np.ndarray | None, degree: int) -> np.ndarray:
    """Compute the columns u^i·w^j with i + j ≤ degree, (n, coefficients). w None: powers of u."""
    of_u = [u**i for i in range(degree + 1)]
    if w is None:
        return np.stack(of_u, axis=-1)
    of_w = [w**j for j in range(degree + 1)]  # each once: third powers and higher take long
    return np.stack([of_u[i] * of_w[j] for i in range(degree + 1) for j in range(degree + 1 - i)], axis=-1)


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """Holds a least-squares fit.

    theta: (p,). covariance: (p, p), at the residual variance. residual_std: NaN without degrees of freedom.
    """

    theta: np.ndarray
    covariance: np.ndarray
    residual_std: float
    degrees_of_freedom: int


def least_squares(design: np.ndarray, y: np.ndarray) -> LeastSquares:
    """Fit y (n,) to a design (n, p), n > p, by ordinary least squares."""
    theta, _, rank, _ = linalg.lstsq(design, y)
    left = len(y) - int(rank)
    residual = y - design @ theta
    variance = float(residual @ residual) / left if left > 0 else float("nan")
    return LeastSquares(np.asarray(theta), variance * linalg.pinvh(design.T @ design), float(np.sqrt(variance)), left)


class Covered:
    """Bounds the convex region that cells cover in (u, w): predictions are read off inside it alone."""

    def __init__(self, u: np.ndarray, w: np.ndarray) -> None:
        self._lower, self._upper = _lower_hull(u, w), _lower_hull(u, -w) * [1, -1]

    def between(self, u: float) -> tuple[float, float]:
        """Return the smallest and largest w covered at u, which must lie within the range of u."""
        low = float(np.interp(u, self._lower[:, 0], self._lower[:, 1]))
        high = float(np.interp(u, self._upper[:, 0], self._upper[:, 1]))
        return min(low, high), max(low, high)


def _lower_hull(u: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Find the lower convex hull by Andrew's monotone chain, one point a u."""
    points = np.column_stack([u, w])[np.lexsort((w, u))]
    hull: list[np.ndarray] = []
    for point in points:
        if hull and point[0] == hull[-1][0]:
            continue
        while len(hull) >= 2 and _turn(hull[-2], hull[-1], point) <= 0:
            hull.pop()
        hull.append(point)
    return np.array(hull)


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
