"""Computes at which one side's best lies at the edge of the sizes that it tried, while the other gains by sizes beyond it.

There the difference tells which sizes were tried, not which side is better. Such computes are left out of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from analysis.comparison.difference import Difference, Edge, Linear
from analysis.comparison.read_off import Reading

__all__ = ["edges_of_cells", "edges_of_surface", "fair_difference"]

BEYOND = float(np.log(2))
"""Sizes (or epochs at equal compute) count as others when they lie further apart than this, in logs: families have no equal sizes."""

_AT = 0.05
"""Nearer than this to the end of what was tried, in logs, a best lies at the edge."""

_OF_ERROR = 0.25
"""An edge matters when it moves the difference by more than this share of its standard error: less changes a test's size by 1 %."""
_LEAST_GAIN = 1e-4
_LEAST_SHARE = 0.1
"""This share of the shared range, in log compute, must be left: less is what noise leaves."""

Wants = Literal["larger", "smaller"]


def fair_difference(reading: Reading, edges: Callable[[Difference], dict[tuple[int, Wants], np.ndarray]]) -> Difference:
    """Return the difference over the longest stretch of shared compute in which no side's best lies at an edge that the other went beyond.

    Where no stretch is left the difference is that of all shared compute, with its `edges` and `narrowed` False.

    Args: edges: takes a difference and marks, for each side and direction, where along its compute that is so, (n,).
    """
    whole = reading.over(reading.shared)
    masks = {key: mask for key, mask in edges(whole).items() if mask.any()}
    if not masks:
        return whole
    u = whole.along.u
    found = tuple(
        Edge(side, wants, float(np.exp(u[mask][0])), float(np.exp(u[mask][-1]))) for (side, wants), mask in sorted(masks.items())
    )
    first, last = _longest(~np.any(list(masks.values()), axis=0))
    if u[last] - u[first] < _LEAST_SHARE * (u[-1] - u[0]):
        return replace(whole, edges=found, at_near_sizes=_at_near_sizes(reading, whole))
    return replace(reading.over((float(u[first]), float(u[last]))), edges=found, narrowed=True)


def edges_of_surface(reading: Reading, larger: int) -> Callable[[Difference], dict[tuple[int, Wants], np.ndarray]]:
    """Return the function that reads edges off the fitted surface.

    What a side gains beyond the other's edge is read where it has cells itself.

    Args: larger: 1 where a larger second coordinate is a larger model at equal compute, −1 where it is a smaller one.
    """

    def edges(whole: Difference) -> dict[tuple[int, Wants], np.ndarray]:
        u = whole.along.u
        ranges = [reading.covered(side, u) for side in (0, 1)]
        best = [reading.best_second(side, u) for side in (0, 1)]
        least = np.maximum(_LEAST_GAIN, _OF_ERROR * whole.along.error)
        found: dict[tuple[int, Wants], np.ndarray] = {}
        for side, other in ((0, 1), (1, 0)):
            near = np.clip(np.clip(best[other], *ranges[side]), *ranges[other])
            gains = reading.height(other, u, near) - reading.height(other, u, best[other]) > least
            for sign, edge, end in zip((-1, 1), ranges[side], ranges[other], strict=True):
                at_edge = sign * (edge - best[side]) <= _AT
                beyond = (sign * (end - edge) > BEYOND) & (sign * (best[other] - edge) > 0)
                apart = sign * (near - edge) > BEYOND  # the other tried nothing but what lies beyond
                found[side, _word(sign * larger)] = at_edge & beyond & (gains | apart)
        return found

    return edges


def edges_of_cells(a: pd.DataFrame, b: pd.DataFrame) -> Callable[[Difference], dict[tuple[int, Wants], np.ndarray]]:
    """Return the function that finds edges among cells too few for a surface.

    At an edge a side's best cell is of its largest (smallest) size, and the other's is of a larger (smaller) one.

    Args: tables of all cells that were tried, with `log_x`, `log_metric` and `log_size`.
    """

    def edges(whole: Difference) -> dict[tuple[int, Wants], np.ndarray]:
        u = whole.along.u
        best = [_best_size(table, u) for table in (a, b)]
        found: dict[tuple[int, Wants], np.ndarray] = {}
        for side, other, table in ((0, 1, a), (1, 0, b)):
            sizes = table["log_size"]
            for sign, edge in ((-1, float(sizes.min())), (1, float(sizes.max()))):
                found[side, _word(sign)] = (sign * (edge - best[side]) <= 2 * _AT) & (sign * (best[other] - edge) > BEYOND)
        return found

    return edges


def _at_near_sizes(reading: Reading, whole: Difference) -> Linear | None:
    """Return the difference at the largest compute with the better side at its size nearest to the best of the other.

    That size may be the worse for it. None without a surface, and where the better side tried no size that is near.
    """
    if reading.sides[0].region is None:
        return None
    u = whole.along.u[-1:]
    w = [reading.best_second(side, u) for side in (0, 1)]
    ahead = 1 if whole.at_largest.value > 0 else 0
    w[ahead] = np.clip(w[1 - ahead], *reading.covered(ahead, u))
    if abs(w[0] - w[1])[0] > BEYOND:
        return None  # it tried none that is near
    return reading.difference(u, w[0], w[1])


def _best_size(table: pd.DataFrame, u: np.ndarray) -> np.ndarray:
    """Return the log size of the lowest cell with at most each compute of u, (n,)."""
    ordered = table.sort_values(["log_x", "log_metric", "log_size"], kind="stable")
    metric = ordered["log_metric"].to_numpy()
    rows = np.maximum.accumulate(np.where(metric <= np.minimum.accumulate(metric), np.arange(len(metric)), 0))
    last = np.searchsorted(ordered["log_x"].to_numpy(), u + 1e-9, side="right") - 1
    return np.asarray(ordered["log_size"].to_numpy()[rows[np.maximum(last, 0)]])


def _word(sign: int) -> Wants:
    return "larger" if sign > 0 else "smaller"


def _longest(kept: np.ndarray) -> tuple[int, int]:
    """Return first and last index of the longest run of True, of equal ones the last; (0, 0) without any."""
    ends = np.flatnonzero(np.diff(np.concatenate(([False], kept, [False])).astype(int)))
    starts, stops = ends[::2], ends[1::2] - 1
    if not len(starts):
        return 0, 0
    longest = len(starts) - 1 - int(np.argmax((stops - starts)[::-1]))
    return int(starts[longest]), int(stops[longest])
