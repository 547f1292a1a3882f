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
_MOST = 400


def pair_cells(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
    """Rows (i, j), (pairs, 2): cell i of a beside cell j of b, each used once, so that the sum of distances is least.

    Cells pair when their compute differs by less than `CALIPER` and, where both tables have epochs, their epoch budgets are equal. Among
    several candidates the one with the nearer compute, then the nearer size wins (Hungarian method).

    Args: tables of cells with `log_x`, and `epochs` and `params` where known. More cells than `_MOST` a side are paired in stretches of
    compute, so that 1e5 of them take seconds.
    """
    if max(len(a), len(b)) > _MOST:
        return _in_stretches(a, b)
    gap = _gaps(a["log_x"].to_numpy(float), b["log_x"].to_numpy(float)) / np.log(CALIPER)
    cost = np.where(gap < 1, gap, _IMPOSSIBLE)
    for name, tolerance in (("epochs", _SAME_EPOCHS), ("params", None)):
        if all(name in table and (table[name] > 0).all() for table in (a, b)):
            apart = _gaps(np.log(a[name].to_numpy(float)), np.log(b[name].to_numpy(float)))
            if tolerance is not None:
                cost = np.where(apart < np.log(tolerance), cost, _IMPOSSIBLE)
            else:
                cost = cost + 1e-3 * np.minimum(apart, 10.0)
    rows, columns = optimize.linear_sum_assignment(cost)
    real = cost[rows, columns] < _IMPOSSIBLE
    return np.column_stack([rows[real], columns[real]])


def _in_stretches(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
    """The same for stretches of compute with at most `_MOST` cells of a side; pairs across their borders are lost."""
    merged = np.sort(np.concatenate([a["log_x"].to_numpy(float), b["log_x"].to_numpy(float)]))
    edges = merged[_MOST::_MOST]
    places = [np.searchsorted(edges, table["log_x"].to_numpy(float), side="right") for table in (a, b)]
    pairs = []
    for stretch in range(len(edges) + 1):
        rows = [np.flatnonzero(place == stretch) for place in places]
        if max(map(len, rows)) <= _MOST and min(map(len, rows)):  # more: as many cells of one compute, which nothing tells apart
            found = pair_cells(a.iloc[rows[0]], b.iloc[rows[1]])
            pairs.append(np.column_stack([rows[0][found[:, 0]], rows[1][found[:, 1]]]))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=int)


def _gaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a[:, None] - b[None, :])
