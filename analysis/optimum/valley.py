"""The valley of least loss through slices of equal compute: the path of the minimum along log compute, and the slices' shape about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.optimum.equal_compute import Slice
from analysis.optimum.local_fit import LocalCurves, lopsided_parabola

__all__ = ["least_valley", "unit_compute"]

_STEPS = 25
_EASIEST, _HARDEST = 1e-9, 1e6
_SMALL = 1e-8  # of log size

Misfit = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
"""Valleys (rows, 4) of some of the draws, by their numbers (rows,) → misfit (rows,), its gradient (rows, 4) and Hessian (rows, 4, 4), and
how many slices bend upwards (rows,)."""


def unit_compute(slices: Sequence[Slice], chosen: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Scale log compute of the chosen slices to run from −1/2 to 1/2 about its mean (k,); return that, the mean, and the range."""
    at = np.array([own.at for own, counts in zip(slices, chosen, strict=True) if counts])
    centre, unit = float(at.mean()), max(float(np.ptp(at)), 1e-9)
    return (at - centre) / unit, centre, unit


def least_valley(
    slices: Sequence[Slice],
    curves: LocalCurves,
    chosen: np.ndarray,
    start: np.ndarray,
    *,
    free: int,
    pull: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Find height, slope, bend and drift of the valley of least misfit, (rows, 4), see `_misfit`.

    They are NaN where losses bend in fewer than two slices.

    Args:
        chosen: (S,), which slices count. start: (rows, 4), for the first rows of the draws. free: how many of the four are sought.
        pull: stiffness (2,) and place (rows, 2) of bend and drift: the misfit grows by ½ · stiffness · (distance from the place)².
    """
    sizes, weights, loss = _padded(slices, curves, chosen, len(start))
    alpha, beta = curves.alpha[:, None, None], curves.beta[:, None, None]
    u = unit_compute(slices, chosen)[0]

    def misfit(valley: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        left, gradient, hessian, bends = _misfit((sizes, weights, loss[rows]), (alpha[rows], beta[rows]), u, valley)
        if pull is not None:
            stiff, place = pull
            away = valley[:, 2:] - place[rows]
            left = left + 0.5 * away**2 @ stiff
            gradient[:, 2:] += stiff * away
            hessian[:, [2, 3], [2, 3]] += stiff
        return left, gradient, hessian, bends

    return _least(misfit, start, free)


def _least(misfit: Misfit, start: np.ndarray, free: int) -> np.ndarray:
    """Minimise over the first `free` of the four by Levenberg–Marquardt.

    Heights and bends of the slices are solved for at each step (Kaufman 1975, variable projection). A row that has arrived rests.
    """
    valley, moving = start.copy(), np.arange(len(start))
    left, gradient, hessian, bends = misfit(valley, moving)
    ease = np.full(len(start), 1e-3)
    diagonal = np.arange(free)
    for _ in range(_STEPS):
        damped, eased = hessian[moving, :free, :free], ease[moving]
        damped[:, diagonal, diagonal] += eased[:, None] * np.maximum(np.einsum("dii->di", damped), 1e-300)
        step = -np.linalg.solve(damped + 1e-300 * np.eye(free), gradient[moving, :free, None])[..., 0]
        tried = valley[moving]
        tried[:, :free] += np.clip(np.nan_to_num(step), -2.0, 2.0)
        new = misfit(tried, moving)
        better = new[0] < left[moving]
        for known, found in zip((valley, left, gradient, hessian, bends), (tried, *new), strict=True):
            known[moving[better]] = found[better]
        ease[moving] = np.clip(np.where(better, eased / 5, eased * 5), _EASIEST, _HARDEST)
        moving = moving[(np.abs(step).max(axis=1) >= _SMALL) & (eased < _HARDEST)]
        if not len(moving):
            break
    return np.where(bends[:, None] >= 2, valley, np.nan)


def _padded(
    slices: Sequence[Slice], curves: LocalCurves, chosen: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log sizes and weights (k, m), and log losses (rows, k, m), of the k chosen slices.

    Slices with fewer than m sizes are filled up with weight 0.
    """
    used = [(own, weight) for own, weight, counts in zip(slices, curves.weights, chosen, strict=True) if counts]
    most = max(len(own.size) for own, _ in used)
    short = [(0, most - len(own.size)) for own, _ in used]
    sizes = np.stack([np.pad(own.size, more, "edge") for (own, _), more in zip(used, short, strict=True)])
    weights = np.stack([np.pad(weight, more) for (_, weight), more in zip(used, short, strict=True)])
    loss = np.stack([np.pad(own.loss[:rows], ((0, 0), more), "edge") for (own, _), more in zip(used, short, strict=True)], axis=1)
    return sizes, weights, loss


def _misfit(
    losses: tuple[np.ndarray, np.ndarray, np.ndarray], shape: tuple[np.ndarray, np.ndarray], u: np.ndarray, valley: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Compute the misfit of valleys (rows, 4), its derivatives, and in how many slices the losses bend upwards (rows,).

    The misfit is half the weighted squares that they leave, (rows,). The derivatives are the gradient (rows, 4) and the
    Gauss–Newton Hessian (rows, 4, 4).

    A slice at u is `a + c·(k(w) + drift·u·w³/6)` with w = log size − (height + slope·u + bend·u²). Its minimum lies on the path, and
    the shape is the more lopsided the larger the drift.
    """
    sizes, weights, loss = losses
    drift = valley[:, 3, None, None]
    place = np.stack([np.ones_like(u), u, u**2], axis=-1)  # (k, 3)
    w = sizes - (valley[:, :3] @ place.T)[..., None]
    s, k = lopsided_parabola(w, *shape)
    cubic = u[:, None] * w**3 / 6
    s, k = s + drift * u[:, None] * w**2 / 2, k + drift * cubic
    shares = weights / weights.sum(-1, keepdims=True)
    y, s, k, cubic = (values - (values * shares).sum(-1, keepdims=True) for values in (loss, s, k, cubic))

    def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.asarray((one * other * weights).sum(-1))  # (rows, k)

    square = np.maximum(product(k, k), 1e-300)
    bend = np.maximum(product(k, y) / square, 0.0)
    residual = y - bend[..., None] * k
    by_place, by_drift = (
        sign * bend[..., None] * (values - (product(values, k) / square)[..., None] * k) for sign, values in ((1, s), (-1, cubic))
    )
    gradient = np.column_stack([product(residual, by_place) @ place, product(residual, by_drift).sum(1)])
    hessian = np.empty((len(valley), 4, 4))
    hessian[:, :3, :3] = np.einsum("rk,ki,kj->rij", product(by_place, by_place), place, place)
    hessian[:, 3, :3] = hessian[:, :3, 3] = product(by_place, by_drift) @ place
    hessian[:, 3, 3] = product(by_drift, by_drift).sum(1)
    return 0.5 * product(residual, residual).sum(1), gradient, hessian, (bend > 0).sum(1)
