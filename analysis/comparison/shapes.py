"""Two sides as one smooth shape of log metric and a shift between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.distributions import f_above
from analysis.response_surface import LeastSquares, least_squares, polynomial

__all__ = ["SIDE_A", "SIDE_B", "Axes", "Fitted", "Shapes", "bends_shown", "least_degree"]

SIDE_A, SIDE_B = 0.5, -0.5
"""The share of the shift that either side has: side a lies half of it above the common shape."""

_FOR_A_BEND, _FOR_A_CUBIC = 6, 10

_SHOWN = 0.01
"""The p-value below which the residuals show a bend. Strict, so that a bend made of noise hardly ever changes a test's size."""

_EXACT = 1e-9
"""A residual standard deviation, in log units, below which only rounding is left to explain."""


@dataclass(frozen=True)
class Axes:
    """Centres and scales log compute u and a second coordinate w, so that powers of them stay apart. second: whether there is a w."""

    u0: float
    u_scale: float
    w0: float = 0.0
    w_scale: float = 1.0
    second: bool = False

    @classmethod
    def around(cls, u: np.ndarray, w: np.ndarray | None) -> Axes:
        """Make axes that scale these to −1 … 1."""
        u0, half = _middle(u)
        return cls(u0, half) if w is None else cls(u0, half, *_middle(w), second=True)

    def powers(self, u: np.ndarray, w: np.ndarray | None, degree: int) -> np.ndarray:
        """Return the polynomial's columns, (n, coefficients)."""
        scaled = (w - self.w0) / self.w_scale if self.second and w is not None else None
        return polynomial((u - self.u0) / self.u_scale, scaled, degree)


def _middle(values: np.ndarray) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    return (low + high) / 2, max((high - low) / 2, 1e-6)


@dataclass(frozen=True)
class Shapes:
    """Describes `log metric = g(u, w) ± ½·s(u, w)`, + for side a: polynomials of degree `common` (the shape) and `shift`."""

    axes: Axes
    common: int
    shift: int

    def rows(self, u: np.ndarray, w: np.ndarray | None, side: float) -> np.ndarray:
        """Return what the coefficients of g and s are multiplied with, (n, coefficients). side: `SIDE_A` or `SIDE_B`."""
        return np.concatenate([self.axes.powers(u, w, self.common), side * self.axes.powers(u, w, self.shift)], axis=-1)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Holds estimated `shapes`: theta (p,), covariance (p, p).

    noise_std: the residual standard deviation of one pair's difference (paired) or one cell (joint), in log units.
    """

    shapes: Shapes
    theta: np.ndarray
    covariance: np.ndarray
    degrees_of_freedom: int
    noise_std: float


def least_degree(cells: int) -> int:
    """Return the least degree of a difference along a curve, by the cells that either side has.

    A straight line would take a bend, such as two floors make, for noise. A cubic costs a fifth of the width at the ends where there are
    ten cells; with fewer it costs more.
    """
    return 3 if cells >= _FOR_A_CUBIC else 2 if cells >= _FOR_A_BEND else 1


def bends_shown(fit: Callable[[int], np.ndarray], y: np.ndarray, degrees: Sequence[int]) -> int:
    """Choose the degree, of `degrees` in ascending order, above which the residuals show no further bend (F test).

    fit: degree → design (n, p). The first degree is the least; a degree needs two observations a coefficient.
    """
    chosen = degrees[0]
    held = least_squares(fit(chosen), y)
    for degree in degrees[1:]:
        design = fit(degree)
        if len(y) < 2 * design.shape[1] or held.degrees_of_freedom < 2 or held.residual_std < _EXACT:
            break
        tried = least_squares(design, y)
        if not _better(held, tried):
            break
        chosen, held = degree, tried
    return chosen


def _better(held: LeastSquares, tried: LeastSquares) -> bool:
    gained = held.degrees_of_freedom - tried.degrees_of_freedom
    if gained < 1 or tried.degrees_of_freedom < 1:
        return False
    before, after = (each.residual_std**2 * each.degrees_of_freedom for each in (held, tried))
    ratio = (before - after) / gained / max(tried.residual_std, _EXACT) ** 2
    return f_above(ratio, gained, tried.degrees_of_freedom) < _SHOWN
