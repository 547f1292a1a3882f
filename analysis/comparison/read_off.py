"""Both sides read off at equal compute, each at its best cell: what every design estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.comparison.difference import ROUNDING, Along, Difference, Linear
from analysis.comparison.shapes import SIDE_A, SIDE_B, Fitted
from analysis.distributions import f_above
from analysis.response_surface import Covered

__all__ = ["Reach", "Reading"]

_GRID = 101
_STEPS, _ZOOMS = 17, 4
_SIDES = (SIDE_A, SIDE_B)
_ROUNDED = 1e-9
_NOTHING = 1e-9  # of the largest variance: below, a combination of coefficients is not there


@dataclass(frozen=True, eq=False)
class Reach:
    """Says what the cells of a side cover: a range of log compute, and at each compute one of the second coordinate, where there is one."""

    low: float
    high: float
    region: Covered | None

    @classmethod
    def of(cls, u: np.ndarray, w: np.ndarray | None) -> Reach:
        return cls(float(np.min(u)), float(np.max(u)), None if w is None else Covered(u, w))


@dataclass(frozen=True, eq=False)
class Reading:
    """Holds what a fit says of both sides, ready to be read off over any part of the `shared` compute (logs).

    sides: what the cells of a and of b cover. pairs: u of each budget (paired) or cell (joint), (n,).
    mean: takes a mask (n,) of the pairs and returns their mean difference; without it the mean over log compute is used.
    """

    fitted: Fitted
    sides: tuple[Reach, Reach]
    shared: tuple[float, float]
    design: Literal["paired", "joint"]
    pairs: np.ndarray
    mean: Callable[[np.ndarray], Linear] | None = None

    def over(self, shared: tuple[float, float]) -> Difference:
        """Read off the difference along this compute (logs), each side at the best cell that it covers with at most that compute."""
        fitted = self.fitted
        grid = np.linspace(*shared, _GRID)
        a, b = (_best_rows(fitted, reach, grid, side) for reach, side in zip(self.sides, _SIDES, strict=True))
        apart, middle = a - b, (a + b) / 2
        half, span = _GRID // 2, shared[1] - shared[0]
        inside = (self.pairs >= shared[0] - _ROUNDED) & (self.pairs <= shared[1] + _ROUNDED)

        def linear(weights: np.ndarray) -> Linear:
            return Linear.of(weights, fitted.theta, fitted.covariance)

        def change(rows: np.ndarray, start: int, sign: int) -> Linear:
            width = grid[-1] - grid[start]
            return linear(sign * (rows[-1] - rows[start]) / width) if span > 0 else Linear(0.0, float("inf"))

        along = [linear(row) for row in apart]
        slopes = [_slope(middle, row, span, linear) for row in range(_GRID)]
        of_pairs = self.mean is not None and inside.any()
        return Difference(
            design=self.design,
            mean=self.mean(inside) if self.mean is not None and of_pairs else linear(apart.mean(0)),
            on_frontier=linear(apart.mean(0)),
            at_largest=along[-1],
            trend=change(apart, 0, 1),
            slope=change(middle, 0, -1),
            slope_at_largest=change(middle, half, -1),
            p_constant=_p_constant(apart, fitted),
            along=Along(
                grid,
                *(np.array([getattr(each, name) for each in found]) for found in (along, slopes) for name in ("value", "error")),
            ),
            pairs=int(inside.sum()) if of_pairs else len(self.pairs),
            degrees_of_freedom=fitted.degrees_of_freedom,
            noise_std=fitted.noise_std,
            shared=(float(np.exp(shared[0])), float(np.exp(shared[1]))),
        )

    def covered(self, side: int, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and the largest second coordinate that a side (0, 1) covers at each u, (n,) and (n,)."""
        return _ends(self._region(side), self._within(side, u))

    def best_second(self, side: int, u: np.ndarray) -> np.ndarray:
        """Return the second coordinate at which a side is lowest at each u, of what it covers, (n,)."""
        within = self._within(side, u)
        return _best_second(self._region(side), within, lambda u, w: self.height(side, u, w))

    def height(self, side: int, u: np.ndarray, w: np.ndarray | None) -> np.ndarray:
        """Return the log metric of a side at (u, w), (n,)."""
        return self.fitted.shapes.rows(u, w, _SIDES[side]) @ self.fitted.theta

    def difference(self, u: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> Linear:
        """Return log(metric of a / metric of b) at one compute u (1,), each side at its own second coordinate (1,)."""
        within = [self._within(side, u) for side in (0, 1)]
        rows = [self.fitted.shapes.rows(within[side], w, _SIDES[side])[0] for side, w in ((0, of_a), (1, of_b))]
        return Linear.of(rows[0] - rows[1], self.fitted.theta, self.fitted.covariance)

    def _region(self, side: int) -> Covered:
        region = self.sides[side].region
        assert region is not None, "a curve has no second coordinate"
        return region

    def _within(self, side: int, u: np.ndarray) -> np.ndarray:
        return np.clip(u, self.sides[side].low, self.sides[side].high)


def _slope(middle: np.ndarray, row: int, span: float, linear: Callable[[np.ndarray], Linear]) -> Linear:
    """Return −d log metric / d log compute about a row of the grid: over the half of it that is nearest, as `slope_at_largest` is of the last."""
    half = _GRID // 2
    start = min(max(row - half // 2, 0), _GRID - 1 - half)
    return linear((middle[start] - middle[start + half]) / (span / 2)) if span > 0 else Linear(0.0, float("inf"))


def _p_constant(apart: np.ndarray, fitted: Fitted) -> float:
    """Return the p-value of the hypothesis that the difference is the same at every compute (Wald's F test at five of them)."""
    contrasts = np.diff(apart[:: (_GRID - 1) // 4], axis=0)
    value, covariance = contrasts @ fitted.theta, contrasts @ fitted.covariance @ contrasts.T
    size, axes = np.linalg.eigh(covariance)
    kept = size > max(_NOTHING * size.max(), ROUNDING**2)
    if not kept.any():
        return 0.0 if np.abs(value).max() > ROUNDING else 1.0
    ratio = float(np.mean((axes.T @ value)[kept] ** 2 / size[kept]))
    return f_above(ratio, int(kept.sum()), fitted.degrees_of_freedom)


def _best_rows(fitted: Fitted, reach: Reach, grid: np.ndarray, side: float) -> np.ndarray:
    """Return the rows of `Shapes` at which the side is lowest with at most each compute of the grid, (grid, coefficients)."""

    def height(u: np.ndarray, w: np.ndarray | None) -> np.ndarray:
        return fitted.shapes.rows(u, w, side) @ fitted.theta

    u = np.clip(grid, reach.low, reach.high)
    w = None if reach.region is None else _best_second(reach.region, u, height)
    lowest = height(u, w)
    # A budget need not be spent: where a side gets worse with more compute, its best cell is an earlier one.
    best = np.maximum.accumulate(np.where(lowest <= np.minimum.accumulate(lowest), np.arange(len(grid)), 0))
    return fitted.shapes.rows(u[best], None if w is None else w[best], side)


def _best_second(region: Covered, u: np.ndarray, height: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Find for each u (n,) the w within the covered region at which `height(u, w)`, (k,) and (k,) → (k,), is lowest."""
    low, high = _ends(region, u)
    repeated = np.repeat(u, _STEPS)
    best = low
    for _ in range(_ZOOMS):
        w = np.linspace(low, high, _STEPS, axis=-1)
        lowest = height(repeated, w.ravel()).reshape(w.shape).argmin(axis=-1)
        rows, step = np.arange(len(u)), (high - low) / (_STEPS - 1)
        best = w[rows, lowest]
        low, high = np.maximum(low, best - step), np.minimum(high, best + step)
    return best


def _ends(region: Covered, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array([region.between(float(at)) for at in u]).T
    return low, high
