"""Cells of two sides that share a budget, and whether those stand for both sides."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["CALIPER", "pair_cells", "stand_for_both"]

CALIPER = 1.08
"""Two cells share a budget when their computes differ by less than this factor: measured core-hours of one budget differ by some per
cent. What is left of the difference is corrected with the local slope of the loss."""

_SAME_EPOCHS = 1.05
_SAME_SIZE = 1.5
_LEAST_SHARE, _LEAST_OF_CHOSEN = 0.9, 0.5
_SHORT = 2.0  # calipers by which pairs may end before the shared range does
_IMPOSSIBLE = 1e6
_MOST = 400


def pair_cells(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
    """Pair cells of a with cells of b, each used once, so that the sum of squared distances is least. Returns rows (i, j), (pairs, 2).

    Cells pair when their compute differs by less than `CALIPER` and their epoch budgets, or else the examples that they saw, are equal
    where both tables have them. Where they have `log_w`, that differs by less than a factor of 1.5. Among several candidates the one with
    the nearer compute, then the nearer size wins (Hungarian method). Squares, since plain distances of cells on a line have many least
    sums, among which the order of rows would decide.

    Args: tables of cells with `log_x`, and `epochs`, `examples_seen` and `params` where known. More cells than `_MOST` a side are paired in
        stretches of compute, so that 1e5 of them take seconds.
    """
    if max(len(a), len(b)) > _MOST:
        return _in_stretches(a, b)
    gap = _gaps(a["log_x"].to_numpy(float), b["log_x"].to_numpy(float)) / np.log(CALIPER)
    cost = np.where(gap < 1, gap**2, _IMPOSSIBLE)
    known = [
        name for name in ("epochs", "examples_seen", "params") if all(name in table and (table[name] > 0).all() for table in (a, b))
    ]
    for name in known:
        apart = _gaps(np.log(a[name].to_numpy(float)), np.log(b[name].to_numpy(float)))
        if name == "params":
            cost = cost + 1e-3 * np.minimum(apart, 10.0) ** 2
        elif name == known[0]:
            cost = np.where(apart < np.log(_SAME_EPOCHS), cost, _IMPOSSIBLE)
    if all("log_w" in table for table in (a, b)):
        apart = _gaps(a["log_w"].to_numpy(float), b["log_w"].to_numpy(float))
        cost = np.where(apart < np.log(_SAME_SIZE), cost + 1e-3 * apart**2, _IMPOSSIBLE)
    from scipy.optimize import linear_sum_assignment  # here: it takes .15 s to import, and a fit compares nothing

    rows, columns = linear_sum_assignment(cost)
    real = cost[rows, columns] < _IMPOSSIBLE
    return np.column_stack([rows[real], columns[real]])


def stand_for_both(
    a: pd.DataFrame, b: pd.DataFrame, pairs: np.ndarray, shared: tuple[float, float], *, chosen: bool = False
) -> bool:
    """Say whether the pairs tell what both sides reach.

    They do where they span the shared range of compute, and 90 % of either side's cells there are in one. Otherwise a side's best cells may
    have no partner (a grid of sizes against one size), and the pairs compare cells that are not its best.
    chosen: the cells are each side's best alone; noise has a part in which those are, so that half of them suffices.
    """
    if not len(pairs):
        return False
    low, high = shared
    u = (a["log_x"].to_numpy()[pairs[:, 0]] + b["log_x"].to_numpy()[pairs[:, 1]]) / 2
    spare = _SHORT * np.log(CALIPER)
    if u.min() > low + spare or u.max() < high - spare:
        return False
    for table, paired in ((a, pairs[:, 0]), (b, pairs[:, 1])):
        inside = np.flatnonzero(table["log_x"].between(low - spare, high + spare))
        if np.isin(inside, paired).sum() < (_LEAST_OF_CHOSEN if chosen else _LEAST_SHARE) * len(inside):
            return False
    return True


def _in_stretches(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
    """Pair cells within stretches of compute with at most `_MOST` cells of a side; pairs across their borders are lost."""
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
