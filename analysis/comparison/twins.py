"""Noise that the two sides of a comparison share though their budgets differ: the same data order, the same seeds, the same odd cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.response_surface import LeastSquares, least_squares

__all__ = ["SharedNoise", "least_squares_with_twins", "twin_cells"]

_LEAST_TWINS = 8
_SAME_COST = 1e-6  # in logs
_CORRELATED = 2.0
"""Standard errors (1/√n) by which twins' residuals must correlate before it is used: weights made of noise only cost."""


@dataclass(frozen=True, eq=False)
class SharedNoise:
    """Holds a fit that allows for the noise of twins.

    fitted: generalised least squares. freedom: degrees of freedom of what tells the sides apart. correlation: of twins' residuals; 0 where
    it was not used.
    """

    fitted: LeastSquares
    freedom: int
    correlation: float


def twin_cells(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
    """Find the twins: rows (i, j) of cells at the same epochs and the same rank of size, (pairs, 2).

    There are none, (0, 2), unless both sides have as many sizes.
    """
    if not all({"model", "epochs"} <= set(table) for table in (a, b)):
        return np.zeros((0, 2), dtype=int)
    ranks = [_size_ranks(table) for table in (a, b)]
    if ranks[0] is None or ranks[1] is None or ranks[0].max() != ranks[1].max():
        return np.zeros((0, 2), dtype=int)
    left, right = (
        pd.DataFrame({"epochs": table["epochs"].to_numpy(), "rank": rank, "row": np.arange(len(table))})
        for table, rank in zip((a, b), ranks, strict=True)
    )
    return left.merge(right, on=["epochs", "rank"])[["row_x", "row_y"]].to_numpy(int)


def _size_ranks(table: pd.DataFrame) -> np.ndarray | None:
    """Rank each cell's model by its compute an epoch, from 0; None where two models cost the same, or epochs are not known."""
    epochs = table["epochs"].to_numpy(float)
    if not (epochs > 0).all():
        return None
    cost = (table["log_x"] - np.log(epochs)).groupby(table["model"].to_numpy()).median().sort_values()
    if (np.diff(cost) < _SAME_COST).any():
        return None
    return cost.rank().reindex(table["model"]).to_numpy(int) - 1


def least_squares_with_twins(design: np.ndarray, y: np.ndarray, twins: np.ndarray, shifts: int) -> SharedNoise:
    """Fit least squares that weigh the sums and the differences of twins by their own variances, where their residuals correlate.

    What twins share cancels in their difference, which then says more about the gap between the sides than two cells apart would; their
    sum says more about the common shape.

    Args:
        design (n, p), y (n,); twins: (pairs, 2), rows of them, each used once. shifts: how many coefficients tell the sides apart.
    """
    fitted = least_squares(design, y)
    plain = SharedNoise(fitted, fitted.degrees_of_freedom, 0.0)
    if len(twins) < max(_LEAST_TWINS, design.shape[1] + 2):
        return plain
    i, j = twins.T
    residual = y - design @ fitted.theta
    correlation = float(np.corrcoef(residual[i], residual[j])[0, 1])
    if correlation < _CORRELATED / np.sqrt(len(twins)):
        return plain
    freedom = len(twins) - shifts
    for _ in range(2):  # the second round's variances are of residuals that the first has weighed rightly
        total, apart = residual[i] + residual[j], residual[i] - residual[j]
        std_total = np.sqrt(total @ total / max(1, len(twins) - design.shape[1] + shifts))
        std_apart = np.sqrt(apart @ apart / freedom)
        alone = np.setdiff1d(np.arange(len(y)), twins)
        std_alone = np.sqrt(std_total**2 + std_apart**2) / 2

        def rotated(values: np.ndarray, weights: tuple[float, float, float], alone: np.ndarray = alone) -> np.ndarray:
            return np.concatenate(
                [(values[i] + values[j]) / weights[0], (values[i] - values[j]) / weights[1], values[alone] / weights[2]]
            )

        weights = float(std_total), float(std_apart), float(std_alone)
        fitted = least_squares(rotated(design, weights), rotated(y, weights))
        residual = y - design @ fitted.theta
    return SharedNoise(LeastSquares(fitted.theta, fitted.covariance, float(std_apart / np.sqrt(2)), freedom), freedom, correlation)
