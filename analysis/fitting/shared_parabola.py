"""Parabolas of several cells with one curvature, and one linear law for where their minima lie, by a single linear least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, special

from analysis.fitting.cluster import ClusterCovariance, cluster_covariance
from analysis.fitting.estimate import Precision
from analysis.fitting.ratio import fieller_interval

__all__ = ["Curves", "SharedParabola", "is_identified", "shared_parabola"]

LEAST_CLUSTERS = 8
"""The runs of a cell are taken to err together where there are so many cells or more: of fewer, their covariance has hardly a degree of freedom."""

_FLAT = 1e-9


@dataclass(frozen=True, eq=False)
class Curves:
    """Holds the points of several curves: `u` (n,) and `y` (n,), abscissa and ordinate; `cell` (n,), the number of the curve, 0 …"""

    u: np.ndarray
    y: np.ndarray
    cell: np.ndarray

    @property
    def cells(self) -> int:
        return int(self.cell.max()) + 1

    def without_means(self, columns: np.ndarray) -> np.ndarray:
        """Return `columns` (n, …) less their mean over each curve: as good as a constant for each, which then needs no coefficient."""
        sums = np.zeros((self.cells, *columns.shape[1:]))
        np.add.at(sums, self.cell, columns)
        counts = np.bincount(self.cell, minlength=self.cells).reshape(-1, *[1] * (columns.ndim - 1))
        return columns - (sums / counts)[self.cell]

    def design(self, law: np.ndarray) -> np.ndarray:
        """Return what κ and κ·γ multiply, (n, 1 + k), with `law` (cells, k) the columns of the law that γ belongs to."""
        return self.without_means(np.column_stack([self.u**2, -2 * self.u[:, None] * law[self.cell]]))


@dataclass(frozen=True, eq=False)
class SharedParabola:
    """Holds the fit of `y = L*(cell) + κ·(u − u*(cell))²` with `u*(cell) = law(cell) · γ`.

    coefficients: κ, then κ·γ. covariance: theirs, with cells as clusters where `clusters` is not None, else of independent errors.
    degrees_left: points less coefficients and constants. residual_std: of y.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    clusters: ClusterCovariance | None
    degrees_left: float
    residual_std: float
    precision: Precision

    @property
    def curvature(self) -> float:
        """Return κ."""
        return float(self.coefficients[0])

    def minimum_at(self, row: np.ndarray) -> tuple[float, float, float]:
        """Return `row · γ`, low, high: u* of a cell whose columns of the law are `row`, or one of γ by a row of the identity."""
        weights = np.concatenate([[0.0], row])
        numerator, denominator = float(weights @ self.coefficients), self.curvature
        t = self.precision.t(self._degrees_of_freedom(weights - numerator / denominator * np.eye(len(weights))[0]))
        variances = float(weights @ self.covariance @ weights), float(self.covariance[0, 0])
        covariance = float(weights @ self.covariance[:, 0])
        return numerator / denominator, *fieller_interval(numerator, denominator, variances, covariance, t)

    def p_value(self, row: np.ndarray) -> float:
        """Return the two-sided p-value of `row · γ = 0`; κ is taken to be above 0."""
        weights = np.concatenate([[0.0], row])
        error = float(np.sqrt(weights @ self.covariance @ weights))
        if error == 0:
            return 0.0
        return float(2 * special.stdtr(self._degrees_of_freedom(weights), -abs(float(weights @ self.coefficients)) / error))

    def _degrees_of_freedom(self, contrast: np.ndarray) -> float:
        return self.degrees_left if self.clusters is None else self.clusters.degrees_of_freedom(contrast)


def is_identified(curves: Curves, law: np.ndarray) -> bool:
    """Say whether the points determine κ and all of γ, and leave at least one degree of freedom over."""
    design = curves.design(law)
    if len(curves.u) - curves.cells - design.shape[1] < 1:
        return False
    scale = np.linalg.norm(design, axis=0)
    return bool((scale > _FLAT).all() and np.linalg.matrix_rank(design / scale, tol=1e-6) == design.shape[1])


def shared_parabola(curves: Curves, law: np.ndarray, *, precision: Precision) -> SharedParabola:
    """Fit the parabolas by least squares; the optimum is global, since multiplied out the model is linear.

    Multiplied out, `y = κ·u² − 2u·law·(κγ) + constant(cell)`: what the square leaves without u is absorbed by the constant.

    Args:
        law: (cells, k): the columns of the law for where the minima lie. `is_identified` must hold.
        precision: `level` is used.

    Of `LEAST_CLUSTERS` cells or more the errors are clustered by cell, of fewer they are taken as independent.
    """
    design, y = curves.design(law), curves.without_means(curves.y)
    coefficients, _, _, _ = linalg.lstsq(design, y)
    residual = y - design @ coefficients
    left = len(y) - curves.cells - design.shape[1]
    variance = float(residual @ residual) / left
    clusters = cluster_covariance(design, residual, curves.cell) if curves.cells >= LEAST_CLUSTERS else None
    covariance = variance * linalg.pinvh(design.T @ design) if clusters is None else clusters.covariance
    return SharedParabola(coefficients, covariance, clusters, left, float(np.sqrt(variance)), precision)
