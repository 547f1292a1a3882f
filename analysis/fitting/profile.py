"""Intervals of coefficients by profile: all values that, with the other coefficients as good as they can be, fit nearly as well.

The interval of a coefficient θ_j holds the values for which `2·(S(θ_j) − S)·v₀/v ≤ t²`, where S(θ_j) is the least loss at that value, v₀
the variance that the curvature of S alone gives (in units of S) and v the variance that θ_j is thought to have. Where S is a parabola
this is θ_j ± t·√v; where it is not, as for a floor that the data hardly show, the interval is as lopsided as the data (Bates and Watts
1988, Nonlinear regression analysis, 6.1), ends at the face E = 0, and does not depend on whether A or its logarithm is the coefficient.
"""

from __future__ import annotations

import numpy as np

from analysis.fitting.estimate import Sample
from analysis.fitting.objective import Objective
from analysis.fitting.polish import Problem, polish, search_bounds
from analysis.laws.law import Law

__all__ = ["profile_intervals"]

_ROUNDS = 14
_FAR = 60.0
"""Distances beyond so many times `t·√v` are not searched: the data do not end the interval there."""


def profile_intervals(
    law: Law, sample: Sample, objective: Objective, theta: np.ndarray, *, curvature: np.ndarray, variance: np.ndarray, t: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends for every entry of theta, (p,) each.

    Args:
        theta: (p,), the optimum. curvature: (p,), v₀. variance: (p,), v; NaN or 0 for what is not to be profiled.
        t: the quantile.

    An end is infinite where the loss stays low up to the bound of the search, or nothing was profiled; the lower end of E is then 0.
    """
    lower, upper = np.where(np.array(law.coefficients) == "E", 0.0, -np.inf), np.full(len(theta), np.inf)
    asked = np.flatnonzero((np.nan_to_num(variance) > 0) & np.isfinite(theta))
    if not len(asked):
        return lower, upper
    line = _Lines(law, sample, objective, theta, np.repeat(asked, 2), np.tile([-1.0, 1.0], len(asked)))
    width = t * np.sqrt(variance[line.at])
    height = 2.0 * (curvature / np.where(variance > 0, variance, 1.0))[line.at] / t**2
    reach = np.minimum(line.reach(), _FAR * width)

    inside, outside = np.zeros(len(width)), np.full(len(width), np.inf)  # distances known to lie in the interval, and beyond it
    distance, at_end = np.minimum(width, reach), np.zeros(len(width), dtype=bool)
    for _ in range(_ROUNDS):
        score = np.sqrt(
            np.maximum(0.0, line.rise(distance) * height)
        )  # 1 at the end that is sought, nearly straight in the distance
        within = score < 1
        at_end = within & (distance >= reach * (1 - 1e-12))
        inside, outside = (
            np.where(within, np.maximum(inside, distance), inside),
            np.where(within, outside, np.minimum(outside, distance)),
        )
        done = at_end | (np.abs(score - 1) < 2e-3)
        if done.all():
            break
        proposal = distance / np.maximum(score, 0.1)
        middle = np.where(np.isfinite(outside), 0.5 * (inside + outside), 3 * distance)
        proposal = np.where((proposal > inside) & (proposal < outside), proposal, middle)
        distance = np.where(done, distance, np.minimum(proposal, reach))

    for place, side, end, open_ended in zip(line.at, line.side, line.value(distance), at_end, strict=True):
        if not open_ended:
            (lower if side < 0 else upper)[place] = end
    return lower, upper


class _Lines:
    """From the optimum along one coefficient after another, the others following: one line for each (coefficient, side)."""

    def __init__(self, law: Law, sample: Sample, objective: Objective, theta: np.ndarray, at: np.ndarray, side: np.ndarray) -> None:
        self.at, self.side, self.theta = at, side, theta
        # Inputs are not centred here, so that each coefficient of the formula is one of the solver's.
        self.unit, logs = float(np.exp(np.log(sample.y).mean())), np.log(sample.inputs)
        self.place = np.argsort([*law.linear_at, *law.shape_at])[at]  # where the solver has it
        self.is_linear = self.place < len(law.linear)
        self.is_floor = self.is_linear & (np.array(law.coefficients)[at] == "E")
        low, high = search_bounds(law, logs)
        self.low, self.high = np.repeat(low, len(at), 0), np.repeat(high, len(at), 0)
        self.problem = Problem(law, objective, logs, sample.y[None] / self.unit, sample.weights[None], self.low, self.high)
        linear = theta[law.linear_at].copy()
        first = 1 if law.floor else 0
        linear[first:] = np.exp(linear[first:])
        start = np.concatenate([linear / self.unit, theta[law.shape_at]])
        self.least = float(self.problem.loss(start[None])[0])
        # A term that is not there must be able to come back when the floor is held at zero, where without it nothing is left.
        start[first : len(law.linear)] = np.maximum(start[first : len(law.linear)], 1e-6)
        self.warm = np.repeat(start[None], len(at), 0)
        self.in_units_of_y = 1.0 if objective.relative else self.unit**2

    def reach(self) -> np.ndarray:
        """How far each line goes before it meets the floor of zero or the bound of the search."""
        rows = np.arange(len(self.at))
        low = np.where(self.is_floor, 0.0, np.where(self.is_linear, -np.inf, self.low[rows, self.place]))
        high = np.where(self.is_linear, np.inf, self.high[rows, self.place])
        centre = self.theta[self.at]
        return np.maximum(0.0, np.where(self.side < 0, centre - low, high - centre))

    def value(self, distance: np.ndarray) -> np.ndarray:
        """The coefficient, as theta has it, so far along each line."""
        return self.theta[self.at] + self.side * distance

    def rise(self, distance: np.ndarray) -> np.ndarray:
        """By how much the least loss there is higher than at the optimum."""
        value = self.value(distance)
        natural = np.where(self.is_linear & ~self.is_floor, np.exp(np.clip(value, -600.0, 600.0)), value)
        held = np.where(self.is_linear, natural / self.unit, natural)
        low, high, rows = self.low.copy(), self.high.copy(), np.arange(len(self.at))
        low[rows, self.place] = high[rows, self.place] = held
        p = self.problem
        problem = Problem(p.law, p.objective, p.logs, p.y, p.weights, low, high)
        self.warm, loss, _ = polish(problem, self.warm, steps=60, tolerance=1e-7)
        return (loss - self.least) * self.in_units_of_y
