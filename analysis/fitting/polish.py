"""Levenberg–Marquardt within bounds, from a start to the optimum, for many weightings or many y at once.

Second derivatives are those of Gauss and Newton with the curvature ρ″ of the objective. Where the objective is robust and most runs
lie beyond its linear part, that alone is nearly singular. The damping then falls back to iteratively reweighted least squares, whose
steps never increase the loss by much. A coefficient at its bound, with the loss falling beyond it, is held there exactly: the faces
E = 0 and A = 0 are found as such.

The damping follows the ratio of what a step gained to what the quadratic model promised (Nielsen 1999, Damping parameter in Marquardt's
method): it rises too after a step that gained little. A rule by the sign of the gain alone has every second step refused in the curved
valleys of laws whose coefficients trade off.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from analysis.fitting.objective import Objective
from analysis.laws.law import Law

__all__ = ["Problem", "polish", "search_bounds", "with_repeats_merged"]

_ENTRIES_AT_ONCE = 400_000
_MERGED_FROM = 0.7  # of fewer repeats the sorting takes longer than it saves


@dataclass(frozen=True, eq=False)
class Problem:
    """Holds a law, an objective and the runs in the solver's units.

    logs: (k, n), or (k, draws, n) where each draw has its own. y, weights: (1 or draws, n).
    low, high: (1 or draws, p), bounds of (linear coefficients, shape coefficients), equal where a coefficient is held.
    apart: (1 or draws,), a part of the loss that no coefficient changes.
    """

    law: Law
    objective: Objective
    logs: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray
    apart: np.ndarray = field(default_factory=lambda: np.zeros(1))

    def of(self, draws: np.ndarray) -> Problem:
        """Return the same problem for some of the draws."""
        parts = (self.y, self.weights, self.low, self.high, self.apart)
        y, weights, low, high, apart = (some if len(some) == 1 else some[draws] for some in parts)
        logs = self.logs if self.logs.ndim == 2 else self.logs[:, draws]
        return Problem(self.law, self.objective, logs, y, weights, low, high, apart)

    def loss(self, theta: np.ndarray) -> np.ndarray:
        """Return the loss at theta (draws, p), as the solver orders it, (draws,); infinite where it is not finite."""
        m = len(self.law.linear)
        log_terms, _ = self.law.log_terms(self.logs, theta[:, m:])
        f = theta[:, :1] if self.law.floor else np.zeros((1, 1))
        for c, log_term in zip(theta[:, m - len(log_terms) : m].T, log_terms, strict=True):
            f = f + c[:, None] * np.exp(np.minimum(log_term, 300.0))
        if f.shape != (shape := (len(theta), self.logs.shape[-1])):
            f = np.broadcast_to(f, shape)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            r, _ = self.objective.residual(f, self.y)
            loss = _sum(self.weights, self.objective.loss(r)) + self.apart
        return np.where(np.isfinite(loss), loss, np.inf)

    def residual_and_jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return r (draws, n) and −dr/dtheta (draws, p, n)."""
        m, n = len(self.law.linear), self.logs.shape[-1]
        log_terms, slopes = self.law.log_terms(self.logs, theta[:, m:])
        jacobian = np.zeros((len(theta), theta.shape[1], n))
        first = m - len(log_terms)
        if self.law.floor:
            jacobian[:, 0] = 1.0
        for place, log_term in enumerate(log_terms):
            jacobian[:, first + place] = np.exp(np.minimum(log_term, 300.0))
        f = np.einsum("dm,dmn->dn", theta[:, :m], jacobian[:, :m])
        for term, shape, slope in slopes:
            jacobian[:, m + shape] += theta[:, first + term, None] * jacobian[:, first + term] * slope
        r, sensitivity = self.objective.residual(f, self.y)
        jacobian *= sensitivity[:, None, :]
        return r, jacobian


def _sum(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    weights, values = np.broadcast_arrays(weights, values)
    return np.einsum("dn,dn->d", weights, values)


def with_repeats_merged(problem: Problem) -> Problem:
    """Return the same problem with one run for all that repeat the same inputs, where squares of logs make that exact.

    `Σ w·(log y − log f)²/2` over runs of equal f is `W·(m − log f)²/2` with W = Σ w and m the mean of log y by weight, and a rest that no
    coefficient changes (`apart`). Ten seeds of a cell then take a tenth of the time.
    """
    if not problem.objective.is_least_squares_of_logs or problem.logs.ndim != 2:
        return problem
    order = np.lexsort(problem.logs)
    ordered = problem.logs[:, order]
    first = np.flatnonzero(np.concatenate([[True], (ordered[:, 1:] != ordered[:, :-1]).any(0)]))
    if len(first) > _MERGED_FROM * len(order):
        return problem
    weights, logs_of_y = problem.weights[:, order], np.log(problem.y[:, order])
    together = np.add.reduceat(weights, first, axis=1)
    mean = np.add.reduceat(weights * logs_of_y, first, axis=1) / np.where(together > 0, together, 1.0)
    off = logs_of_y - np.repeat(mean, np.diff([*first, len(order)]), axis=1)
    return replace(
        problem, logs=ordered[:, first], y=np.exp(mean), weights=together, apart=problem.apart + 0.5 * _sum(weights, off * off)
    )


def search_bounds(law: Law, logs: np.ndarray, unit: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest of (linear coefficients, shape coefficients), (1, p) each; equal where one is pinned.

    logs: (k, n), without the centre of `law`. unit: what y is divided by.
    """
    ranges = [shape.range(logs) for shape in law.shapes]
    m = len(law.linear)
    low, high = np.array([0.0] * m + [low for low, _ in ranges]), np.array([np.inf] * m + [high for _, high in ranges])
    for place, name in enumerate([*law.linear, *(shape.name for shape in law.shapes)]):
        if name in law.pinned:
            number = law.pinned[name]
            is_logged = place >= m and law.shapes[place - m].is_logged
            low[place] = high[place] = number / unit if place < m else np.log(number) if is_logged else number
    return low[None], high[None]


def polish(
    problem: Problem, start: np.ndarray, *, steps: int = 200, tolerance: float = 1e-12
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the local optimum from each start (draws, p).

    Returns:
        theta (draws, p), its loss (draws,), and whether it converged (draws,): the last accepted step gained less than `tolerance` of
        the loss, or no step gains anything.
    """
    size = max(1, _ENTRIES_AT_ONCE // problem.logs.shape[-1])
    parts = []
    for first in range(0, len(start), size):
        some = np.arange(first, min(first + size, len(start)))
        parts.append(_polish(problem.of(some), start[some], steps, tolerance))
    theta, loss, converged = zip(*parts, strict=True)
    return np.concatenate(theta), np.concatenate(loss), np.concatenate(converged)


def _polish(problem: Problem, start: np.ndarray, steps: int, tolerance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    theta = np.clip(start, problem.low, problem.high)
    loss = problem.loss(theta)
    converged = np.zeros(len(theta), dtype=bool)
    active, here, now, at = np.arange(len(theta)), problem, theta, loss  # `at`: the loss where each active row is now
    damping, raise_by, quiet = np.full(len(theta), 1e-3), np.full(len(theta), 2.0), np.zeros(len(theta), dtype=int)
    for _ in range(steps):
        gradient, hessian, metric = _derivatives(here, now)
        candidate = _bounded_step(now, gradient, hessian, metric, damping, here.low, here.high)
        new_loss = here.loss(candidate)
        gain = at - new_loss
        better = gain > 0
        # A step that should gain less than rounding and gains nothing is the end; damping it further only takes time. One that a bound has
        # turned uphill, which promises a loss, is none: a shorter one may gain.
        step = candidate - now
        promised = np.einsum("di,di->d", step, gradient)
        model = promised - 0.5 * np.einsum("di,dij,dj->d", step, hessian, step)
        damping = np.where(better, np.maximum(damping * _damped_by(gain, model), 1e-12), damping * raise_by)
        raise_by = np.where(better, 2.0, 2.0 * raise_by)
        now, at = np.where(better[:, None], candidate, now), np.where(better, new_loss, at)
        small = tolerance * at
        quiet = np.where(better, np.where(gain <= small, quiet + 1, 0), quiet)
        done = (~better & (np.abs(promised) <= small)) | (quiet >= 2) | (damping > 1e10) | (at < 1e-28)
        if done.any():
            theta[active], loss[active], converged[active] = now, at, done
            left = ~done
            active = active[left]
            if not len(active):
                return theta, loss, converged
            here, now, at = problem.of(active), now[left], at[left]
            damping, raise_by, quiet = damping[left], raise_by[left], quiet[left]
    theta[active], loss[active] = now, at
    return theta, loss, converged


def _damped_by(gain: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Return the factor of the damping after a step that gained something: from 1/3, where it gained what the model promised, to 2."""
    ratio = np.divide(gain, model, out=np.ones_like(gain), where=(model > 0) & np.isfinite(gain))
    return np.maximum(1 / 3, 1 - (2 * np.clip(ratio, 0.0, 2.0) - 1) ** 3)


def _derivatives(problem: Problem, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the descent direction (draws, p), second derivatives (draws, p, p), and those of iteratively reweighted least squares."""
    r, jacobian = problem.residual_and_jacobian(theta)
    if problem.objective.is_least_squares:  # ψ = r, and ρ″ = ψ/r = 1
        gradient = np.einsum("dpn,dn->dp", jacobian, problem.weights * r)
        hessian = (jacobian * problem.weights[:, None, :]) @ jacobian.transpose(0, 2, 1)
        return gradient, hessian, hessian
    psi, curvature, weight = problem.objective.influence(r)
    gradient = np.einsum("dpn,dn->dp", jacobian, problem.weights * psi)
    hessian = (jacobian * (problem.weights * curvature)[:, None, :]) @ jacobian.transpose(0, 2, 1)
    return gradient, hessian, (jacobian * (problem.weights * weight)[:, None, :]) @ jacobian.transpose(0, 2, 1)


def _bounded_step(
    theta: np.ndarray,
    gradient: np.ndarray,
    hessian: np.ndarray,
    metric: np.ndarray,
    damping: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    diagonal = np.einsum("dii->di", metric)
    ridge = 1e-12 * diagonal.max(1, keepdims=True) + 1e-300
    added = damping[:, None, None] * metric
    np.einsum("dii->di", added)[:] = damping[:, None] * (diagonal + diagonal)
    damped = hessian + added
    np.einsum("dii->di", damped)[:] += ridge
    held = ((theta <= low) & (gradient < 0)) | ((theta >= high) & (gradient > 0))
    step = _solve_rest(damped, gradient, held)
    moved = theta + step
    beyond = ~held & ((moved < low) | (moved > high))
    if beyond.any():  # the others take the best step given that these stop at their bound
        to_bound = np.where(beyond, np.clip(moved, low, high) - theta, 0.0)
        again = beyond.any(1)
        moved[again] = theta[again] + _solve_rest(damped[again], gradient[again], (held | beyond)[again], to_bound[again])
    return np.minimum(np.maximum(moved, low), high)


def _solve_rest(hessian: np.ndarray, gradient: np.ndarray, held: np.ndarray, fixed: np.ndarray | None = None) -> np.ndarray:
    """Return the Newton step whose entries `held` are equal to `fixed`, or zero, (draws, p)."""
    matrix, right = hessian, gradient
    if held.any():
        free = ~held
        right = np.where(free, gradient, 0.0)
        if fixed is not None:
            right = np.where(free, gradient - np.einsum("dij,dj->di", hessian, fixed), fixed)
        matrix = np.where(free[:, :, None] & free[:, None, :], hessian, 0.0)
        np.einsum("dii->di", matrix)[held] = 1.0
    # Scaled to a unit diagonal: coefficients differ by orders of magnitude.
    scale = 1 / np.sqrt(np.einsum("dii->di", matrix))
    solved = np.linalg.solve(matrix * scale[:, :, None] * scale[:, None, :], (right * scale)[:, :, None])[:, :, 0]
    return solved * scale
