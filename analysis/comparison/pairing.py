"""Which cells of two sides share a budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import optimize

__all__ = ["CALIPER", "pair_cells"]

CALIPER = 1.08
"""Two cells share a budget when their computes differ by less than this factor: measured core-hours of one budget differ by some per
cent. What is left of the difference is corrected with the local slope of the loss."""

_SAME_EPOCHS = 1.05
_IMPOSSIBLE = 1e6


def pair_cells(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
    """Rows (i, j), (pairs, 2): cell i of a beside cell j of b, each used once, so that the sum of distances is least.

    Cells pair when their compute differs by less than `CALIPER` and, where both tables have epochs, their epoch budgets are equal. Among
    several candidates the one with the nearer compute, then the nearer size wins (Hungarian method).

    Args: tables of cells with `log_x`, and `epochs` and `params` where known.
    """
    gap = _gaps(a["log_x"].to_numpy(float), b["log_x"].to_numpy(float)) / np.log(CALIPER)
    cost = np.where(gap < 1, gap, _IMPOSSIBLE)
    for name, tolerance in (("epochs", _SAME_EPOCHS), ("params", None)):
        if name in a and name in b and a[name].notna().all() and b[name].notna().all():
            apart = _gaps(np.log(a[name].to_numpy(float)), np.log(b[name].to_numpy(float)))
            if tolerance is not None:
                cost = np.where(apart < np.log(tolerance), cost, _IMPOSSIBLE)
            else:
                cost = cost + 1e-3 * np.minimum(apart, 10.0)
    rows, columns = optimize.linear_sum_assignment(cost)
    real = cost[rows, columns] < _IMPOSSIBLE
    return np.column_stack([rows[real], columns[real]])


def _gaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a[:, None] - b[None, :])
