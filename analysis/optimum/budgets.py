"""Which cells were run at one budget of compute."""

from __future__ import annotations

import numpy as np

__all__ = ["LEAST_SIZES", "budget_of", "budgets_shared", "nearly_equal_as_one", "spread_in_budgets"]

LEAST_SIZES = 3
"""The sizes at one compute that it takes to find a best size between them."""

_GAP = 0.05  # of log compute: a wider one parts two budgets
_WIDEST = 0.2  # a run of cells without a gap that spans more is no budget, but compute in all amounts
_SHARE = 0.5
_ROUNDING = 1e-4


def budget_of(log_x: np.ndarray) -> np.ndarray:
    """Number the budget of each cell, (n,), ascending in compute; cells with no gap of 5 % between them share one."""
    order = np.argsort(log_x, kind="stable")
    number = np.empty(len(log_x), dtype=int)
    number[order] = np.concatenate([[0], np.cumsum(np.diff(log_x[order]) > _GAP)])
    return number


def budgets_shared(log_x: np.ndarray, group: np.ndarray) -> list[np.ndarray]:
    """Find the cells of each budget that at least three sizes were run at, ascending in compute.

    Empty unless these are two budgets or more, and hold at least half of all cells.

    group: (n,), the size of each cell.
    """
    number = budget_of(log_x)
    found = []
    for budget in range(number.max() + 1):
        at = np.flatnonzero(number == budget)
        if np.ptp(log_x[at]) <= _WIDEST and len(np.unique(group[at])) >= LEAST_SIZES:
            found.append(at)
    enough = len(found) >= 2 and sum(len(at) for at in found) >= _SHARE * len(log_x)
    return found if enough else []


def nearly_equal_as_one(log_x: np.ndarray) -> np.ndarray:
    """Return log compute, (n,), with the cells of a budget at their mean.

    Where compute comes in all amounts, only cells that are equal but for rounding are merged.
    """
    number = budget_of(log_x)
    merged = log_x.copy()
    for budget in range(number.max() + 1):
        at = np.flatnonzero(number == budget)
        if np.ptp(log_x[at]) <= _WIDEST:
            merged[at] = log_x[at].mean()
            continue
        at = at[np.argsort(log_x[at], kind="stable")]
        fine = np.concatenate([[0], np.cumsum(np.diff(log_x[at]) > _ROUNDING)])
        merged[at] = (np.bincount(fine, log_x[at]) / np.bincount(fine))[fine]
    return merged


def spread_in_budgets(log_x: np.ndarray, group: np.ndarray) -> float:
    """Compute the root mean square of log compute about the mean of its budget; infinite where the cells share no budgets."""
    found = budgets_shared(log_x, group)
    return float(np.sqrt(np.concatenate([(log_x[at] - log_x[at].mean()) ** 2 for at in found]).mean())) if found else float("inf")
