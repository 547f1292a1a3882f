"""Intervals of coefficients by profile: all values that, with the other coefficients as good as they can be, fit nearly as well.

The interval of a coefficient θ_j holds the values for which `2·(S(θ_j) − S)·ratio ≤ t²`. S(θ_j) is the least loss at that value. `ratio` is
v₀/v: v₀ is the variance that the curvature of S alone gives (in units of S), v the variance that θ_j is thought to have.

Where S is a parabola this is θ_j ± t·√v. Where it is not, as for a floor that the data hardly show, the interval is as lopsided as the data
(Bates and Watts 1988, Nonlinear regression analysis, 6.1). It ends at the face E = 0, and does not depend on whether A or its logarithm is
the coefficient.

Inputs are centred, so that a unit changes nothing. The coefficient A of a term is an exception, since A means the term at an input of 1:
for it, the inputs that its exponent is a power of are left as they are. So are those of a ratio. At each value that is tried, the other coefficients start where the
curvature at the optimum says that they go, the linear ones are solved anew, and all are polished.
"""

from __future__ import annotations

import numpy as np

from analysis.fitting.estimate import Sample
from analysis.fitting.non_negative import non_negative
from analysis.fitting.objective import Objective
from analysis.fitting.point import from_theta, same_in_any_unit, to_solver
from analysis.fitting.polish import Problem, polish, search_bounds
from analysis.laws.law import Law

__all__ = ["profile_intervals"]

_ROUNDS = 40
_FAR = 60.0
"""Distances beyond so many times the first guess are not searched: the data do not end the interval there."""
_ALIKE = 1e-6  # of columns of norm 1: the part of one that the others do not have, below which they are solved for with more care


def profile_intervals(
    law: Law,
    sample: Sample,
    objective: Objective,
    theta: np.ndarray,
    *,
    bread: np.ndarray,
    ratio: np.ndarray,
    width: np.ndarray,
    t: float,
    exact: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper ends of the intervals of every entry of theta, (p,) each.

    Args:
        theta: (p,), the optimum. bread: (p, p), inverse of the second derivatives of S there. ratio: (p,), v₀/v.
        width: (p,), a first guess of the distance to an end; NaN or 0 for what is not to be profiled.
        t: the quantile. exact: how far the score at an end may be from 1; larger where it matters only whether there is an end.

    An end is infinite where the loss stays low up to the bound of the search, or nothing was profiled; the lower end of E is then 0.
    """
    lower, upper = np.where(np.array(law.coefficients) == "E", 0.0, -np.inf), np.full(len(theta), np.inf)
    asked = np.flatnonzero((np.nan_to_num(width) > 0) & np.isfinite(theta))
    if not len(asked):
        return lower, upper
    line = _Lines(law, sample, objective, theta, bread, np.repeat(asked, 2), np.tile([-1.0, 1.0], len(asked)))
    guess, height = width[line.at], 2.0 * ratio[line.at] / t**2
    reach = np.minimum(line.reach(), _FAR * guess)
    distance, at_end = _ends(
        lambda some, at: np.sqrt(np.maximum(0.0, line.rise(some, at) * height[some])), np.minimum(guess, reach), reach, exact
    )
    for place, side, end, open_ended in zip(line.at, line.side, line.value(distance), at_end, strict=True):
        if not open_ended:
            (lower if side < 0 else upper)[place] = end
    return lower, upper


def _ends(score, distance: np.ndarray, reach: np.ndarray, exact: float) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN001
    """Find the distance at which each score is 1 within `exact`, and say whether it stays below 1 up to `reach`.

    score: `(rows, distances) -> scores`, 0 at distance 0 and rising nearly in proportion. The search is by false position with the Illinois
    rule, which halves the weight of an end that stays.
    """
    low, high = np.zeros(len(distance)), np.full(len(distance), np.inf)
    of_low, of_high = np.full(len(distance), -1.0), np.full(len(distance), np.inf)  # score − 1
    kept_side = np.zeros(len(distance))
    at_end, active = reach <= 0, np.flatnonzero(reach > 0)
    for _ in range(_ROUNDS):
        if not len(active):
            break
        here = distance[active]
        off = score(active, here) - 1.0
        below = off < 0
        at_end[active] = below & (here >= reach[active] * (1 - 1e-12))
        of_high[active] = np.where(below & (kept_side[active] < 0), of_high[active] / 2, np.where(below, of_high[active], off))
        of_low[active] = np.where(~below & (kept_side[active] > 0), of_low[active] / 2, np.where(below, off, of_low[active]))
        low[active], high[active] = np.where(below, here, low[active]), np.where(below, high[active], here)
        kept_side[active] = np.where(below, -1.0, 1.0)
        done = (
            at_end[active]
            | (np.abs(off) < exact)
            | (np.isfinite(high[active]) & (high[active] - low[active] <= 1e-12 * high[active]))
        )
        active = active[~done]
        bounded = np.isfinite(high[active])
        with np.errstate(invalid="ignore"):
            inner = low[active] - of_low[active] * (high[active] - low[active]) / (of_high[active] - of_low[active])
        outer = distance[active] / np.clip(1.0 + of_low[active], 1 / 3, 0.95)
        distance[active] = np.where(bounded, inner, np.minimum(outer, reach[active]))
    return distance, at_end


class _Lines:
    """Follows lines from the optimum along one coefficient each, the other coefficients as good as they can be.

    There is one line for each (coefficient, side).
    """

    def __init__(
        self, law: Law, sample: Sample, objective: Objective, theta: np.ndarray, bread: np.ndarray, at: np.ndarray, side: np.ndarray
    ) -> None:
        self.law, self.at, self.side, self.theta = law, at, side, theta
        self.unit, logs = float(np.exp(np.log(sample.y).mean())), np.log(sample.inputs)
        self.place = np.argsort([*law.linear_at, *law.shape_at])[at]  # where the solver has it
        self.is_linear = self.place < len(law.linear)
        self.is_floor = self.is_linear & (np.array(law.coefficients)[at] == "E")
        self.centre = np.stack([_centre(law, logs, law.coefficients[place]) for place in at])
        self.offset = np.array([law.uncentring(centre)[1][place] for centre, place in zip(self.centre, at, strict=True)])
        centred = same_in_any_unit(logs[:, None, :] - self.centre.T[:, :, None])  # (k, lines, n)
        bounds = [search_bounds(law, centred[:, number], self.unit) for number in range(len(at))]
        self.low, self.high = (np.concatenate([ends[which] for ends in bounds]) for which in (0, 1))
        shape = (len(at), sample.runs)
        y, weights = (
            np.broadcast_to(np.exp(same_in_any_unit(np.log(sample.y / self.unit))), shape),
            np.broadcast_to(sample.weights, shape),
        )
        self.problem = Problem(law, objective, centred, y, weights, self.low, self.high)
        matrices, offsets = zip(*(from_theta(law, centre) for centre in self.centre), strict=True)
        self.into = np.stack(matrices), np.stack(offsets)
        start = to_solver(law, np.tile(theta, (len(at), 1)), self.into, self.unit)
        self.least = float(self.problem.loss(start).min())
        self.in_units_of_y = 1.0 if objective.relative else self.unit**2
        # To first order the others follow a coefficient that is held as they vary with it.
        with np.errstate(divide="ignore", invalid="ignore"):
            self.following = np.nan_to_num(bread[:, at] / bread[at, at], posinf=0.0, neginf=0.0).T
        self.following[np.arange(len(at)), at] = 1.0
        self.last = start

    def reach(self) -> np.ndarray:
        """Return how far each line goes before it meets the floor of zero or the bound of the search, (lines,)."""
        rows = np.arange(len(self.at))
        low = np.where(self.is_floor, 0.0, np.where(self.is_linear, -np.inf, self.low[rows, self.place] + self.offset))
        high = np.where(self.is_linear, np.inf, self.high[rows, self.place] + self.offset)
        here = self.theta[self.at]
        return np.maximum(0.0, np.where(self.side < 0, here - low, high - here))

    def value(self, distance: np.ndarray) -> np.ndarray:
        """Return the coefficient, as theta has it, so far along each line, (lines,)."""
        return self.theta[self.at] + self.side * distance

    def rise(self, some: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Return by how much the least loss at these distances along some of the lines exceeds that at the optimum."""
        step = self.side[some] * distance
        value, rows, place = self.theta[self.at[some]] + step, np.arange(len(some)), self.place[some]
        logged = self.is_linear[some] & ~self.is_floor[some]
        natural = np.where(logged, np.exp(np.clip(value, -600.0, 600.0)), value - self.offset[some])
        held = np.where(self.is_linear[some], natural / self.unit, natural)
        problem = self.problem.of(some)
        low, high = problem.low.copy(), problem.high.copy()
        low[rows, place] = high[rows, place] = held
        problem = Problem(problem.law, problem.objective, problem.logs, problem.y, problem.weights, low, high)
        moved = np.where(np.isfinite(self.theta), self.theta, -50.0) + step[:, None] * self.following[some]
        matrices, offsets = self.into
        starts = [to_solver(self.law, moved, (matrices[some], offsets[some]), self.unit), self.last[some]]
        starts = [_with_linear_solved(problem, np.clip(start, low, high), place) for start in starts]
        losses = np.stack([problem.loss(start) for start in starts])
        best = np.where((losses[0] <= losses[1])[:, None], starts[0], starts[1])
        solved, loss, _ = polish(problem, best, steps=100, tolerance=1e-13)
        self.last[some] = solved
        return (loss - self.least) * self.in_units_of_y


def _centre(law: Law, logs: np.ndarray, coefficient: str) -> np.ndarray:
    """Return by how much log inputs are moved, (k,), for the line of a coefficient."""
    centre = law.centre(logs).copy()
    shared = law.shares_unit_with or tuple(range(len(centre)))
    for name, part in law.parts.items():
        if name == coefficient:
            own = {shared[axis] for axis in (*part.exponents.values(), *part.rises.values())}
            centre[[axis for axis in range(len(centre)) if shared[axis] in own]] = 0.0
    return centre


def _with_linear_solved(problem: Problem, start: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Solve the linear coefficients of each row anew for its shapes, by non-negative least squares; `held` (rows,): what stays."""
    law, solved = problem.law, start.copy()
    m = len(law.linear)
    log_terms, _ = law.log_terms(problem.logs, start[:, m:])
    terms = [np.exp(np.minimum(log_term, 300.0)) for log_term in log_terms]
    basis = np.stack([*([np.ones_like(problem.y)] if law.floor else []), *terms], axis=1)  # (rows, m, n)
    columns = basis * (np.sqrt(problem.weights) / (problem.y if problem.objective.relative else 1.0))[:, None, :]
    target = np.sqrt(problem.weights) * (1.0 if problem.objective.relative else problem.y)
    # A linear coefficient that is held takes its part off the target; in its place stands a row of its own, whose answer is 0.
    rows, n = np.flatnonzero(held < m), columns.shape[2]
    columns, target = np.pad(columns, ((0, 0), (0, 0), (0, 1))), np.pad(target, ((0, 0), (0, 1)))
    target[rows] -= start[rows, held[rows], None] * columns[rows, held[rows]]
    columns[rows, held[rows]] = np.arange(n + 1) == n
    norm = np.linalg.norm(columns, axis=2)
    ok = (np.isfinite(norm) & (norm > 0)).all(axis=1)
    unit = columns[ok] / norm[ok][:, :, None]
    q, r = np.linalg.qr(unit.transpose(0, 2, 1))
    alike = np.abs(np.einsum("dii->di", r)).min(axis=1, initial=1.0) < _ALIKE
    r[alike] = np.eye(m)
    best = np.linalg.solve(r, q.transpose(0, 2, 1) @ target[ok][:, :, None])[:, :, 0]
    for row in np.flatnonzero(alike | (best < 0).any(axis=1)):
        best[row] = non_negative(unit[row].T, target[ok][row])
    solved[ok, :m] = best / norm[ok]
    solved[rows, held[rows]] = start[rows, held[rows]]
    return solved
