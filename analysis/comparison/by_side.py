"""Least squares where the two sides have noise of their own: cells of five seeds scatter less about a law than cells of one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import linalg

from analysis.response_surface import LeastSquares, least_squares

__all__ = ["least_squares_by_side", "seeds_differ"]

_ALIKE = 1.25
_LEAST_SHARE = 1e-4
"""The smaller side's variance is taken to be at least this share of the larger side's: a few residuals may be small by chance."""


def seeds_differ(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Say whether the sides' mean numbers of runs a cell differ by more than a quarter."""
    ratio = float(a["seeds"].mean() / b["seeds"].mean())
    return max(ratio, 1 / ratio) > _ALIKE


def least_squares_by_side(design: np.ndarray, y: np.ndarray, of_a: int, shift: int) -> LeastSquares:
    """Fit least squares weighted by each side's own residual variance; the shift has the degrees of freedom of Welch and Satterthwaite.

    A variance pooled over the sides would be too small for the shift where the side with fewer cells is the noisier one.

    Args:
        design (n, p), y (n,): side a's `of_a` rows first. shift: the column of the constant shift between the sides.
    """
    fitted = least_squares(design, y)
    sides = np.arange(len(y)) < of_a, np.arange(len(y)) >= of_a
    variances, hat = np.ones(2), _hat(design)
    left = np.ones(2)
    for _ in range(3):  # the later rounds' residuals are of a fit that was weighted rightly
        residual = y - design @ fitted.theta
        left = np.array([side.sum() - hat[side].sum() for side in sides])
        if left.min() < 1 or not residual.any():
            return least_squares(design, y)
        variances = np.array([residual[side] @ residual[side] for side in sides]) / left
        variances = np.maximum(variances, _LEAST_SHARE * variances.max())
        weights = 1 / np.sqrt(np.where(sides[0], *variances))
        weighted = design * weights[:, None]
        fitted, hat = least_squares(weighted, y * weights), _hat(weighted)
    covariance = linalg.pinvh(weighted.T @ weighted)
    shares = np.array([((weighted[side] @ covariance[:, shift]) ** 2).sum() for side in sides]) / covariance[shift, shift]
    freedom = int(1 / (shares**2 / left).sum())
    return LeastSquares(fitted.theta, covariance, float(np.sqrt(variances @ left / left.sum())), max(1, freedom))


def _hat(design: np.ndarray) -> np.ndarray:
    """Return the leverage of each row, (n,)."""
    left, size, _ = np.linalg.svd(design, full_matrices=False)
    return np.asarray((left[:, size > 1e-12 * size.max()] ** 2).sum(1))
