"""Point estimates of any law by any objective: a grid finds the basins, a bounded Levenberg–Marquardt polishes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.basin import basins
from analysis.fitting.objective import Objective, objective_named
from analysis.fitting.polish import Problem, polish, search_bounds, with_repeats_merged
from analysis.fitting.remembered import remembered
from analysis.laws.law import Law

__all__ = ["Points", "fit_point", "from_theta", "same_in_any_unit", "to_solver"]

_STARTS, _FINALISTS = 12, 3
_GLANCE_STEPS, _GLANCE_TOLERANCE = 25, 1e-5
_DECIMALS = 11


@dataclass(frozen=True, eq=False)
class Points:
    """Holds the optima of one law for many weightings of the same runs.

    theta: (draws, p), see `Law`. loss: (draws,), `Σ w·ρ(r)` with ρ = r²/2 for squares. converged: (draws,).
    at_zero: (draws, p), which linear coefficients are exactly zero: there is no such term (theta is 0 for the floor, −∞ for others).
    at_bound: (draws, p), which shape coefficients stopped at the bound of the search. A pinned coefficient is neither.
    """

    law: Law
    theta: np.ndarray
    loss: np.ndarray
    converged: np.ndarray
    at_zero: np.ndarray
    at_bound: np.ndarray

    @property
    def values(self) -> dict[str, np.ndarray]:
        """Return the coefficients by their letters, (draws,) each."""
        return self.law.values(self.theta)


def fit_point(
    law: Law,
    inputs: np.ndarray,
    y: np.ndarray,
    *,
    objective: str | Objective = "log",
    weights: np.ndarray | None = None,
    start: np.ndarray | None = None,
    steps: int = 300,
    tolerance: float = 1e-12,
) -> Points:
    """Find the best coefficients for each row of weights (or of y), without their uncertainty.

    Args:
        law: what to fit.
        inputs: (k, n), positive, one row for each of `law.axes`; (n,) will do for a law of one.
        y: (n,), positive; or (draws, n), to fit one law to many outcomes of the same runs.
        objective: a name of `OBJECTIVES`, or an `Objective`.
        weights: (n,) or (draws, n), not negative; None counts every run once.
        start: theta (p,) or (draws, p) to begin at, instead of searching: for draws that lie near a known optimum.
        steps, tolerance: of the polish; fewer and looser where percents of a residual will do.
    """
    objective = objective_named(objective) if isinstance(objective, str) else objective
    logs = np.log(np.atleast_2d(np.asarray(inputs, dtype=float)))
    y = np.atleast_2d(np.asarray(y, dtype=float))
    weights = np.ones((1, logs.shape[1])) if weights is None else np.atleast_2d(np.asarray(weights, dtype=float))
    start = None if start is None else np.asarray(start, dtype=float)
    return _best(law, logs, y, objective, weights, start, steps, tolerance)


@remembered
def _best(
    law: Law,
    logs: np.ndarray,
    y: np.ndarray,
    objective: Objective,
    weights: np.ndarray,
    start: np.ndarray | None,
    steps: int,
    tolerance: float,
) -> Points:
    draws = max(len(y), len(weights))
    centre, unit = law.centre(logs), float(np.exp(np.log(y).mean()))
    centred = same_in_any_unit(logs - centre[:, None])
    low, high = search_bounds(law, centred, unit)
    problem = Problem(law, objective, centred, np.exp(same_in_any_unit(np.log(y / unit))), weights, low, high)

    held = np.where(low[0] == high[0], low[0], np.nan)
    merged = with_repeats_merged(problem)
    if start is not None:
        begin = np.broadcast_to(
            same_in_any_unit(to_solver(law, start, from_theta(law, centre), unit)), (draws, len(law.coefficients))
        )
    elif draws > 1:
        begin = basins(law, problem.logs, problem.y, weights, relative=objective.relative, starts=1, held=held)[:, 0]
    else:  # of one draw several basins are tried, side by side; those that look best at a glance to the end
        begin = basins(law, problem.logs, problem.y, weights, relative=objective.relative, starts=_STARTS, held=held)[0]
        glance, loss, _ = polish(merged, begin, steps=min(steps, _GLANCE_STEPS), tolerance=_GLANCE_TOLERANCE)
        begin = glance[loss.argsort()[:_FINALISTS]]
    solved, losses, converged = polish(merged, begin, steps=steps, tolerance=tolerance)
    if draws == 1:
        best = [int(losses.argmin())]
        solved, losses, converged = solved[best], losses[best], converged[best]

    tie = 1e-9 * np.where(np.isfinite(high), high - low, 0.0)
    stopped = ((solved <= low + tie) | (solved >= high - tie)) & np.isnan(held)
    m, order = len(law.linear), np.argsort([*law.linear_at, *law.shape_at])
    linear = np.arange(solved.shape[1]) < m
    loss = losses * (1.0 if objective.relative else unit**2)
    theta = _from_solver(law, solved, centre, unit)
    return Points(law, theta, loss, converged, (stopped & linear)[:, order], (stopped & ~linear)[:, order])


def same_in_any_unit(values: np.ndarray) -> np.ndarray:
    """Round numbers of order one to 11 decimals, since a table in another unit differs in the later ones.

    A search with several basins would turn a difference of 1e-15 into another answer. What is lost is 1e-11 of an input.
    """
    return np.round(values, _DECIMALS)


def _from_solver(law: Law, solved: np.ndarray, centre: np.ndarray, unit: float) -> np.ndarray:
    """Turn the solver's coefficients, linear ones then shapes, centred, into theta in the units of the inputs and of y, (draws, p)."""
    m = len(law.linear)
    theta = np.empty_like(solved)
    theta[:, law.linear_at], theta[:, law.shape_at] = solved[:, :m] * unit, solved[:, m:]
    with np.errstate(divide="ignore"):
        for place in law.linear_at[1 if law.floor else 0 :]:
            theta[:, place] = np.log(theta[:, place])
    matrix, offset = law.uncentring(centre)
    return _affine(theta, matrix, offset)


def from_theta(law: Law, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix (p, p) and offset (p,) that take theta to inputs divided by exp(centre).

    Theta for those inputs = matrix @ (theta for inputs in their unit − offset).
    """
    matrix, offset = law.uncentring(centre)
    return np.linalg.inv(matrix), offset


def to_solver(law: Law, theta: np.ndarray, into: tuple[np.ndarray, np.ndarray], unit: float) -> np.ndarray:
    """Turn theta, (p,) or (draws, p), into the solver's coefficients: linear ones, then shapes, (draws, p).

    into: the change that `from_theta` returns, or one for each draw. unit: what y is divided by.
    """
    matrix, offset = into
    centred = _affine(np.atleast_2d(theta) - offset, matrix, np.zeros(offset.shape[-1]))
    linear = centred[:, law.linear_at]
    with np.errstate(over="ignore"):
        linear[:, 1 if law.floor else 0 :] = np.exp(linear[:, 1 if law.floor else 0 :])
    return np.concatenate([linear / unit, centred[:, law.shape_at]], axis=1)


def _affine(theta: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    # A term that is not there has a logarithm of −∞, which a matrix product would turn into NaN elsewhere.
    finite = np.where(np.isneginf(theta), 0.0, theta)
    moved = finite @ matrix.T if matrix.ndim == 2 else np.einsum("dij,dj->di", matrix, finite)
    return np.where(np.isneginf(theta), -np.inf, moved + offset)
