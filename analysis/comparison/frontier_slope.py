"""How fast the best loss falls with compute, read off a smooth surface over cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.comparison.difference import Linear
from analysis.pareto import pareto_mask
from analysis.response_surface import Covered, least_squares, polynomial, polynomial_degree

__all__ = ["FrontierSlopes", "best_second", "frontier_slopes"]

_STEPS = 41
_STEP = 1e-3


@dataclass(frozen=True, eq=False)
class FrontierSlopes:
    """Of log metric against log compute, positive where it falls: the mean over the range, and over its upper half.

    u, w: where the best second coordinate was looked up; w is zero where there is none. at: (u, w) → the slope at fixed w of each cell.
    """

    mean: Linear
    at_largest: Linear
    u: np.ndarray
    w: np.ndarray
    at: Callable[[np.ndarray, np.ndarray | None], np.ndarray]

    def best_w(self, u: np.ndarray) -> np.ndarray:
        return np.interp(u, self.u, self.w)


def frontier_slopes(u: np.ndarray, w: np.ndarray | None, y: np.ndarray) -> FrontierSlopes:
    """Args: u, w: log compute and log epochs of n ≥ 4 cells; y: their log metric."""
    degree = polynomial_degree(len(u), 2) if w is not None else 0
    if w is None or degree < 2:  # too few cells for a surface: a line through those that no other beats
        w, kept = None, pareto_mask(np.exp(u), y)
        kept = kept if kept.sum() >= 3 else np.ones(len(u), dtype=bool)
        u, y, degree = u[kept], y[kept], 1
    u0, w0 = u.mean(), (w.mean() if w is not None else 0.0)
    second = w is not None
    fitted = least_squares(polynomial(u - u0, w - w0 if w is not None else None, degree), y)
    ends = np.array([u.min(), (u.min() + u.max()) / 2, u.max()])

    def rows_at(at: np.ndarray, w: np.ndarray) -> np.ndarray:
        return polynomial(at - u0, w - w0 if second else None, degree)

    def local(at: np.ndarray, w: np.ndarray | None) -> np.ndarray:
        w = np.zeros_like(at) if w is None else w
        return (rows_at(at - _STEP, w) - rows_at(at + _STEP, w)) @ fitted.theta / (2 * _STEP)

    best = best_second(Covered(u, w), ends, lambda at, w: rows_at(at, w) @ fitted.theta) if w is not None else np.zeros(3)
    rows = rows_at(ends, best)

    def slope(start: int, stop: int) -> Linear:
        if ends[start] == ends[stop]:  # all at one compute: nothing is known of a slope
            return Linear(0.0, float("inf"))
        return Linear.of(-(rows[stop] - rows[start]) / (ends[stop] - ends[start]), fitted.theta, fitted.covariance)

    return FrontierSlopes(mean=slope(0, 2), at_largest=slope(1, 2), u=ends, w=best, at=local)


def best_second(region: Covered, u: np.ndarray, curve: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """For each u (k,) the w within the covered region at which `curve(u, w)`, (n,) and (n,) → (n,), is lowest."""
    found = np.empty(len(u))
    for number, at in enumerate(u):
        w = np.linspace(*region.between(float(at)), _STEPS)
        found[number] = w[np.argmin(curve(np.full(_STEPS, at), w))]
    return found
