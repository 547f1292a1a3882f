"""Parabolas of several cells with one curvature, and one law for where their minima lie, by a single linear least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from analysis.fitting.estimate import Precision
from analysis.fitting.ratio import fieller_interval

__all__ = ["SharedParabola", "shared_parabola"]


@dataclass(frozen=True, eq=False)
class SharedParabola:
    """`y = L*(cell) + κ·(u − u*(cell))²` with `u*(cell) = b(line) − s·v(cell)`.

    coefficients: κ, 2κs, −2κ·b of each line, and a constant for each cell. covariance: theirs. t: the quantile for intervals.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    t: float
    residual_std: float

    @property
    def curvature(self) -> float:
        """κ."""
        return float(self.coefficients[0])

    def slope(self) -> tuple[float, float, float]:
        """s, low, high."""
        weights = np.zeros(len(self.coefficients))
        weights[1] = 1.0
        return self._over_twice_curvature(weights)

    def minimum_at(self, line: int, v: float) -> tuple[float, float, float]:
        """u* of a line at v, low, high."""
        weights = np.zeros(len(self.coefficients))
        weights[1], weights[2 + line] = -v, -1.0
        return self._over_twice_curvature(weights)

    def _over_twice_curvature(self, weights: np.ndarray) -> tuple[float, float, float]:
        numerator, denominator = float(weights @ self.coefficients), 2 * self.curvature
        variances = float(weights @ self.covariance @ weights), 4 * float(self.covariance[0, 0])
        covariance = 2 * float(weights @ self.covariance[:, 0])
        return numerator / denominator, *fieller_interval(numerator, denominator, variances, covariance, self.t)


def shared_parabola(
    u: np.ndarray, y: np.ndarray, cell: np.ndarray, *, v: np.ndarray, line: np.ndarray, precision: Precision
) -> SharedParabola:
    """Least squares; the global optimum, since multiplied out the model is linear.

    Multiplied out, `y = κ·u² + 2κs·u·v − 2κb·u + constant(cell)`: what the square leaves without u is absorbed by the constant.

    Args:
        u, y, cell: (n,): abscissa, ordinate, number of the cell.
        v, line: (cells,): what the minimum depends on, and the number of the line that the cell's minimum lies on.
        precision: `level` is used.
    """
    of_cell = np.eye(len(v))[cell]
    of_line = np.eye(int(line.max()) + 1)[line[cell]]
    design = np.column_stack([u**2, u * v[cell], u[:, None] * of_line, of_cell])
    coefficients, _, _, _ = linalg.lstsq(design, y)
    left = len(y) - design.shape[1]
    residual = y - design @ coefficients
    variance = float(residual @ residual) / left
    covariance = variance * linalg.pinvh(design.T @ design)
    return SharedParabola(coefficients, covariance, precision.t(left), float(np.sqrt(variance)))
