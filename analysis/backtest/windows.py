"""Expanding windows: the runs up to some compute are fitted, those beyond it are forecast (the *rollout* of time series).

Windows end at every distinct compute from the least on that the largest law can be fitted to; of many, a dozen are kept, spread evenly
in the log of compute. A surface's runs are ordered by the product of its inputs N and D, which compute is proportional to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.fitting.estimate import Sample

__all__ = ["HORIZON", "Cells", "Windows", "cells_in_order", "windows"]

HORIZON = 4.0
"""A forecast counts while it is of at most this many times the compute that the window ends at: about as far as people extrapolate."""

_MOST_WINDOWS = 12
_MOST_CELLS = 240


@dataclass(frozen=True, eq=False)
class Cells:
    """Holds a sample with the runs of a cell put together, in order of compute.

    inputs: (k, n), geometric means over the cell's runs. y: (n,), likewise. weights: (n,), summed. order: (n,), log compute.
    """

    inputs: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    order: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        """Return the distinct values of `order`, rising."""
        return np.unique(self.order)


@dataclass(frozen=True, eq=False)
class Windows:
    """Says which cells each window of a back-test is fitted to, and which its forecasts are scored on.

    inside: (windows, n), which cells each window is fitted to. end: (windows,), log compute of its largest. ahead: (windows, n), by
    how much log compute a cell lies beyond the window's end. held_out: (windows, n), which cells its forecasts are scored on.
    """

    inside: np.ndarray
    end: np.ndarray
    ahead: np.ndarray
    held_out: np.ndarray

    def __len__(self) -> int:
        return len(self.end)


def cells_in_order(sample: Sample, order: np.ndarray) -> Cells:
    """Put the runs of each cell together, by `order` (runs,), log compute. Of more than 240 cells, neighbours are put together."""
    order_of_cell = np.bincount(sample.cell, order) / np.bincount(sample.cell)
    rank = np.empty(sample.cells, dtype=int)
    rank[np.argsort(order_of_cell, kind="stable")] = np.arange(sample.cells)
    group = rank[sample.cell] // -(-sample.cells // _MOST_CELLS)
    total = np.bincount(group, sample.weights)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, sample.weights * values) / total

    return Cells(
        inputs=np.exp(np.stack([mean(row) for row in np.log(sample.inputs)])),
        y=np.exp(mean(np.log(sample.y))),
        weights=total,
        order=np.round(mean(order), 9),  # cells of one compute may differ by rounding
    )


def windows(cells: Cells, *, can_be_fitted: Callable[[np.ndarray], bool], horizon: float = HORIZON) -> Windows:
    """Lay out the windows of a back-test; none when nothing is left to hold out.

    Args:
        cells: in order.
        can_be_fitted: whether the cells inside, (n,) of booleans, are enough for every law that takes part. With more cells they stay enough.
        horizon: see `HORIZON`; the next compute after a window always counts, however far it is.
    """
    positions = cells.positions
    ends = positions[bisect_left(positions[:-1], True, key=lambda end: can_be_fitted(cells.order <= end)) : -1]
    end = ends[_spread(ends)] if len(ends) else np.empty(0)
    inside = cells.order[None, :] <= end[:, None]
    ahead = cells.order[None, :] - end[:, None]
    following = positions[np.searchsorted(positions, end, side="right")] - end if len(end) else end
    reach = np.maximum(np.log(horizon), following) + 1e-6
    return Windows(inside, end, ahead, ~inside & (ahead <= reach[:, None]))


def _spread(ends: np.ndarray) -> np.ndarray:
    """Return the indices of at most a dozen of them, nearest to an even spread."""
    if len(ends) <= _MOST_WINDOWS:
        return np.arange(len(ends))
    targets = np.linspace(ends[0], ends[-1], _MOST_WINDOWS)
    return np.unique(np.abs(ends[None, :] - targets[:, None]).argmin(1))
