"""Point estimates of `E + A·x^-a` on log residuals, for many weightings of the runs at once.

The sum of squares `Σ w·(log y − log(E + A·x^-a))²` is minimised, never that of the log of the *excess* `y − E`, whose optimum
often collapses to a zero floor. For a given exponent, E and A enter linearly, so a grid of exponents with a 2 × 2 solve at each
(variable projection: Golub and Pereyra 1973) finds the basin of the optimum; Levenberg–Marquardt steps then polish it. The face
E = 0 is a straight line on log–log axes, has a closed form, and is taken when nothing inside beats it.
"""

from __future__ import annotations

import numpy as np

__all__ = ["EXPONENT_TIMES_SPAN", "minimise"]

EXPONENT_TIMES_SPAN = (0.02, 40.0)
"""Bounds of `a` times the range of log x, so that they do not depend on the unit of x. Below, the curve is straight in log x to
within noise; above, all but the first point lie on the floor."""

_GRID = 48
_STEPS = 60
_RUNS_TIMES_DRAWS = 400_000  # of one batch: 3 MB an array


def minimise(log_x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The best (E, log A, a) for each row of weights.

    Args:
        log_x: (n,), centred; `A` then is the height above the floor at the centre.
        y: (n,), positive.
        weights: (draws, n), not negative.

    Returns:
        (draws, 3). E is exactly 0 where the optimum lies on that face.
    """
    size = max(1, _RUNS_TIMES_DRAWS // len(y))
    batches = [weights[start : start + size] for start in range(0, len(weights), size)]
    return np.concatenate([_minimise_batch(log_x, y, batch) for batch in batches])


def _minimise_batch(log_x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    span = float(log_x.max() - log_x.min())
    bounds = (float(np.log(EXPONENT_TIMES_SPAN[0] / span)), float(np.log(EXPONENT_TIMES_SPAN[1] / span)))
    inside, inside_loss = _polish(_grid_start(log_x, y, weights, np.exp(np.linspace(*bounds, _GRID))), log_x, y, weights, bounds)
    face, face_loss = _no_floor(log_x, y, weights)
    negligible = inside[:, 0] < np.log(1e-6 * y.min())
    take_face = ((face_loss <= inside_loss) | negligible) & (face[:, 2] > 0)
    found = np.column_stack([np.exp(inside[:, 0]), inside[:, 1], np.exp(inside[:, 2])])
    return np.where(take_face[:, None], face, found)


def _grid_start(log_x: np.ndarray, y: np.ndarray, weights: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """(log E, log A, log a) minimising `Σ w·(1 − E/y − A·x^-a/y)²`, the relative residuals, over the grid of exponents.

    These are the log residuals to first order, and linear in E and A: the normal equations of all draws and exponents at once.
    """
    u = 1.0 / y  # (n,)
    v = np.exp(-exponents[:, None] * log_x) * u  # (exponents, n)
    total, s_u, s_uu = weights.sum(1)[:, None], (weights @ u)[:, None], (weights @ u**2)[:, None]
    s_v, s_uv, s_vv = weights @ v.T, weights @ (u * v).T, weights @ (v**2).T  # (draws, exponents)
    determinant = np.maximum(s_uu * s_vv - s_uv**2, 1e-300)
    E = (s_u * s_vv - s_v * s_uv) / determinant
    A = (s_uu * s_v - s_uv * s_u) / determinant
    E, A = np.where(A < 0, s_u / s_uu, E), np.maximum(A, 0.0)  # the face A = 0
    A, E = np.where(E < 0, s_v / s_vv, A), np.maximum(E, 0.0)  # the face E = 0
    loss = total - 2 * (E * s_u + A * s_v) + E**2 * s_uu + 2 * E * A * s_uv + A**2 * s_vv
    best = loss.argmin(1)
    draws = np.arange(len(weights))
    # A start on a face would stay there, since its logarithm is infinite: step inside by a hundredth of the smallest y.
    tiny = 0.01 * y.min()
    return np.log(np.column_stack([np.maximum(E[draws, best], tiny), np.maximum(A[draws, best], tiny), exponents[best]]))


def _polish(
    start: np.ndarray, log_x: np.ndarray, y: np.ndarray, weights: np.ndarray, log_exponent_bounds: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Levenberg–Marquardt on the log residuals in (log E, log A, log a), each draw with its own damping. Returns (theta, loss)."""
    log_y = np.log(y)
    theta = start.copy()
    loss = _loss(theta, log_x, log_y, weights)
    damping = np.full(len(theta), 1e-3)
    active = np.arange(len(theta))
    for _ in range(_STEPS):
        now, w = theta[active], weights[active]
        floor, power = np.exp(now[:, :1]), np.exp(now[:, 1:2] - np.exp(now[:, 2:]) * log_x)
        height = floor + power
        share = power / height
        jacobian = np.stack([1 - share, share, -share * np.exp(now[:, 2:]) * log_x])  # (3, draws, n): of log(height)
        weighted = jacobian * w
        gradient = np.einsum("idn,dn->di", weighted, log_y - np.log(height))
        hessian = np.einsum("idn,jdn->dij", weighted, jacobian)
        diagonal = np.einsum("dii->di", hessian)
        ridge = damping[active, None] * diagonal + 1e-12 * diagonal.max(1, keepdims=True) + 1e-300
        step = np.linalg.solve(hessian + ridge[:, :, None] * np.eye(3), gradient[:, :, None])[:, :, 0]
        candidate = now + np.clip(step, -2.0, 2.0)
        candidate[:, 2] = np.clip(candidate[:, 2], *log_exponent_bounds)
        candidate_loss = _loss(candidate, log_x, log_y, w)
        better = candidate_loss < loss[active]
        gain = loss[active] - candidate_loss
        converged = better & (gain <= 1e-10 * loss[active]) | (damping[active] > 1e8)
        theta[active[better]], loss[active[better]] = candidate[better], candidate_loss[better]
        damping[active] *= np.where(better, 0.2, 8.0)
        active = active[~converged]
        if not len(active):
            break
    return theta, loss


def _loss(theta: np.ndarray, log_x: np.ndarray, log_y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    height = np.exp(theta[:, :1]) + np.exp(theta[:, 1:2] - np.exp(theta[:, 2:]) * log_x)
    return np.einsum("dn,dn->d", weights, (log_y - np.log(height)) ** 2)


def _no_floor(log_x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weighted straight line on log–log axes, as (0, log A, a), and its loss."""
    log_y = np.log(y)
    share = weights / weights.sum(1, keepdims=True)
    mean_x, mean_y = share @ log_x, share @ log_y
    variance = share @ log_x**2 - mean_x**2
    slope = (share @ (log_x * log_y) - mean_x * mean_y) / np.maximum(variance, 1e-300)
    intercept = mean_y - slope * mean_x
    residual = log_y - intercept[:, None] - slope[:, None] * log_x
    return np.column_stack([np.zeros_like(slope), intercept, -slope]), np.einsum("dn,dn->d", weights, residual**2)
