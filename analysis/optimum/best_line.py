"""The line that the best size follows in log compute, fitted to the losses of all slices at once.

A line through the minima of single slices is drawn towards the middle of what was tried: a slice whose losses hardly bend has its minimum
anywhere, and only minima between the sizes of the slice are seen. So every slice's curve has its minimum *on* the line, each with its own height
and bend, and the line is the one that leaves least. A slice that does not bend then says nothing, instead of something wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.optimum.equal_compute import Slice
from analysis.optimum.local_fit import LocalCurves, lopsided_parabola

__all__ = ["best_line", "interior_slices", "least_valley", "slices_on_line", "unit_compute"]

_STEPS = 25
_EASIEST, _HARDEST = 1e-9, 1e6
_SMALL = 1e-10  # of log size


def slices_on_line(slices: Sequence[Slice], curves: LocalCurves) -> tuple[np.ndarray, np.ndarray] | None:
    """Which slices (S,) carry the line, and the first draw's line (2,): `height + slope · log x`.

    First those whose best tried size, and whose own minimum, lie between others; then all whose sizes the line so found passes between.
    None where these are fewer than two.
    """
    at = np.array([own.at for own in slices])
    interior = interior_slices(slices, curves)
    if interior.sum() < 2:
        return None
    slope, height = np.polyfit(at[interior], curves.best[0, interior], 1)
    line = best_line(slices, curves, interior, np.array([height, slope]), first=True)[0]
    inside = np.array([own.size[0] < line[0] + line[1] * own.at < own.size[-1] for own in slices])
    if inside.sum() < 2:
        return None
    return inside, best_line(slices, curves, inside, line, first=True)[0]


def interior_slices(slices: Sequence[Slice], curves: LocalCurves) -> np.ndarray:
    """(S,): whether the best tried size is neither the smallest nor the largest of its slice, and the curve's minimum between these."""
    return np.array(
        [
            0 < np.argmin(own.loss[0]) < len(own.size) - 1 and own.size[0] < best < own.size[-1]
            for own, best in zip(slices, curves.best[0], strict=True)
        ]
    )


def best_line(
    slices: Sequence[Slice], curves: LocalCurves, chosen: np.ndarray, start: np.ndarray, *, first: bool = False
) -> np.ndarray:
    """(draws, 2): height at log x = 0 and slope of the line of each draw; NaN where its losses bend in fewer than two slices.

    chosen: (S,), which slices count. start: (2,). first: of the first draw alone.
    """
    rows = 1 if first else len(curves.best)
    u, centre, unit = unit_compute(slices, chosen)
    line = np.tile([start[0] + start[1] * centre, start[1] * unit, 0.0, 0.0], (rows, 1))
    found = least_valley(slices, curves, chosen, line, free=2)
    slope = found[:, 1] / unit
    return np.stack([found[:, 0] - slope * centre, slope], axis=-1)


def unit_compute(slices: Sequence[Slice], chosen: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Log compute of the chosen slices from −1/2 to 1/2 about its mean (k,), that mean, and its range."""
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
    """(rows, 4): height, slope, bend and drift of the valley that leaves least, see `_misfit`; NaN where losses bend in fewer than two slices.

    Levenberg–Marquardt over these, heights and bends of the slices solved for at each step (Kaufman 1975, variable projection).

    Args:
        chosen: (S,), which slices count. start: (rows, 4), for the first rows of the draws. free: how many of the four are sought.
        pull: by how much what is left grows with the square of the distance of bend and drift from a place: half that (2,), and the place (rows, 2).
    """
    rows = len(start)
    losses = _padded(slices, curves, chosen, rows)
    shape = curves.alpha[:rows, None, None], curves.beta[:rows, None, None]
    u = unit_compute(slices, chosen)[0]

    def misfit(valley: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        left, gradient, hessian, bends = _misfit(losses, shape, u, valley)
        if pull is not None:
            stiff, place = pull
            away = valley[:, 2:] - place
            left = left + 0.5 * away**2 @ stiff
            gradient[:, 2:] += stiff * away
            hessian[:, [2, 3], [2, 3]] += stiff
        return left, gradient[:, :free], hessian[:, :free, :free], bends

    valley = start.copy()
    left, gradient, hessian, bends = misfit(valley)
    ease = np.full(rows, 1e-3)
    diagonal = np.arange(free)
    for _ in range(_STEPS):
        damped = hessian.copy()
        damped[:, diagonal, diagonal] += ease[:, None] * np.maximum(np.einsum("dii->di", hessian), 1e-300)
        step = -np.linalg.solve(damped + 1e-300 * np.eye(free), gradient[..., None])[..., 0]
        tried = valley.copy()
        tried[:, :free] += np.clip(np.nan_to_num(step), -2.0, 2.0)
        new = misfit(tried)
        better = new[0] < left
        valley = np.where(better[:, None], tried, valley)
        left = np.where(better, new[0], left)
        gradient = np.where(better[:, None], new[1], gradient)
        hessian = np.where(better[:, None, None], new[2], hessian)
        bends = np.where(better, new[3], bends)
        if np.all((np.abs(step).max(axis=1) < _SMALL) | (ease >= _HARDEST)):
            break
        ease = np.clip(np.where(better, ease / 5, ease * 5), _EASIEST, _HARDEST)
    return np.where(bends[:, None] >= 2, valley, np.nan)


def _padded(
    slices: Sequence[Slice], curves: LocalCurves, chosen: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log sizes and weights (k, m), and log losses (rows, k, m), of the k chosen slices; those with fewer than m sizes are filled up with weight 0."""
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
    """Half the weighted squares that valleys (rows, 4) leave (rows,), their gradient (rows, 4) and Gauss–Newton Hessian (rows, 4, 4), and in
    how many slices the losses bend upwards (rows,).

    A slice at u is `a + c·(k(w) + drift·u·w³/6)` with w = log size − (height + slope·u + bend·u²): its minimum lies on the path, and
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
