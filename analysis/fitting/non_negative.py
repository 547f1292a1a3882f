"""Least squares whose coefficients may not be negative, of few columns.

`scipy.optimize.nnls` takes any number of them, but `scipy.optimize` takes .15 s to import, for which each `scaling fit` would wait.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

__all__ = ["non_negative"]


def non_negative(columns: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the c ≥ 0, (m,), that brings `columns @ c` closest to y.

    Args:
        columns: (n, m), of norm about 1; the work grows as 2^m. y: (n,).

    The least squares of all columns are the answer where none is negative; else the best of those of fewer columns that are not.
    """
    m = columns.shape[1]
    scale = float(np.abs(y).max(initial=0.0)) or 1.0
    y = y / scale  # so that no square overflows
    best, least = np.zeros(m), float(y @ y)
    for size in range(m, 0, -1):
        for face in map(list, combinations(range(m), size)):
            solved = np.linalg.lstsq(columns[:, face], y, rcond=None)[0]
            if (solved < 0).any():
                continue
            if size == m:
                return solved * scale
            residual = y - columns[:, face] @ solved
            if residual @ residual < least:
                best, least = np.zeros(m), float(residual @ residual)
                best[face] = solved
    return best * scale
