"""Slices of equal compute: the loss of every size at one compute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.optimum.budgets import LEAST_SIZES, budgets_shared
from analysis.optimum.cells import GridCells
from analysis.optimum.noise import slopes

__all__ = ["Slice", "slices_at_equal_compute"]

_SLICES = 12
_SAME_BUDGET = 0.02  # of log compute: nearer cells of a model are one


@dataclass(frozen=True, eq=False)
class Slice:
    """Holds the losses of several sizes at one compute.

    at: log compute. size: (m,), log sizes, ascending. data, model: (m,), what each was trained on, in logarithms, and its name.
    loss: (draws, m), logarithms.
    """

    at: float
    size: np.ndarray
    data: np.ndarray
    model: np.ndarray
    loss: np.ndarray


def slices_at_equal_compute(cells: GridCells, loss: np.ndarray) -> tuple[list[Slice], bool]:
    """Make the slices, ascending in compute, and say whether they are interpolated.

    Cells of several sizes at a common budget are a slice as they are. Each loss is carried over the few per cent between its compute
    and the budget's by the slope of losses about it. Where cells share no budgets, each model's loss is interpolated between its epoch
    budgets at twelve computes; a model counts at computes between its own smallest and largest.

    loss: (draws, n), of the cells.
    """
    budgets = budgets_shared(cells.x, cells.group)
    if budgets:
        slope = slopes(cells)
        return [_as_it_is(cells, at, loss, slope) for at in budgets], False
    return _interpolated(cells, loss), True


def _as_it_is(cells: GridCells, at: np.ndarray, loss: np.ndarray, slope: np.ndarray) -> Slice:
    own = at[np.argsort(cells.size[at], kind="stable")]
    centre = float(cells.x[own].mean())
    moved = loss[:, own] - slope[own] * (cells.x[own] - centre)
    return Slice(centre, cells.size[own], cells.data[own], cells.model[own], moved)


def _interpolated(cells: GridCells, loss: np.ndarray) -> list[Slice]:
    curves = []
    for size in cells.sizes:
        at = np.flatnonzero(cells.size == size)
        at = at[np.argsort(cells.x[at], kind="stable")]
        u, group = _merged(cells.x[at])
        mean = np.stack([loss[:, at[group == number]].mean(1) for number in range(len(u))])
        data = np.array([cells.data[at[group == number]].mean() for number in range(len(u))])
        curves.append((u, mean, data, cells.model[at[0]]))
    reach = np.array([[u[0], u[-1]] for u, *_ in curves if len(u) >= 2])
    if len(reach) < LEAST_SIZES:
        return []
    low, high = np.sort(reach[:, 0])[LEAST_SIZES - 1], np.sort(reach[:, 1])[-LEAST_SIZES]
    grid = np.linspace(low, high, _SLICES) if high > low else np.array([])
    from scipy.interpolate import CubicSpline  # here: it takes .2 s to import, and a fit asks for none

    splines = {number: CubicSpline(u, mean) for number, (u, mean, *_) in enumerate(curves) if len(u) >= 2} if len(grid) else {}
    found = []
    for budget in grid:
        there = [number for number, (u, *_) in enumerate(curves) if len(u) >= 2 and u[0] - 1e-9 <= budget <= u[-1] + 1e-9]
        if len(there) < LEAST_SIZES:
            continue
        values = np.stack([splines[number](budget) for number in there], axis=-1)
        data = np.array([np.interp(budget, curves[number][0], curves[number][2]) for number in there])
        found.append(Slice(float(budget), cells.sizes[there], data, np.array([curves[number][3] for number in there]), values))
    return found


def _merged(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of groups of values nearer than `_SAME_BUDGET`, and the group of each; u is ascending."""
    group = np.concatenate([[0], np.cumsum(np.diff(u) > _SAME_BUDGET)])
    return np.bincount(group, u) / np.bincount(group), group
