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

__all__ = ["best_line", "interior_slices", "slices_on_line"]

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

    Levenberg–Marquardt over the two, heights and bends solved for at each step (Kaufman 1975, variable projection).

    chosen: (S,), which slices count. start: (2,). first: of the first draw alone.
    """
    used = [own for own, counts in zip(slices, chosen, strict=True) if counts]
    weights = [weight for weight, counts in zip(curves.weights, chosen, strict=True) if counts]
    draws = 1 if first else len(curves.best)
    alpha, beta = curves.alpha[:draws, None], curves.beta[:draws, None]
    at = np.array([own.at for own in used])
    centre, unit = float(at.mean()), max(float(np.ptp(at)), 1e-9)
    u = (at - centre) / unit
    line = np.tile([start[0] + start[1] * centre, start[1] * unit], (draws, 1))
    left, gradient, hessian, bends = _misfit(used, weights, alpha, beta, u, line)
    ease = np.full(draws, 1e-3)
    for _ in range(_STEPS):
        damped = hessian.copy()
        scale = np.maximum(np.einsum("dii->di", hessian), 1e-300)
        damped[:, [0, 1], [0, 1]] += ease[:, None] * scale
        step = -np.linalg.solve(damped + 1e-300 * np.eye(2), gradient[..., None])[..., 0]
        tried = line + np.clip(np.nan_to_num(step), -2.0, 2.0)
        new = _misfit(used, weights, alpha, beta, u, tried)
        better = new[0] < left
        line = np.where(better[:, None], tried, line)
        left = np.where(better, new[0], left)
        gradient = np.where(better[:, None], new[1], gradient)
        hessian = np.where(better[:, None, None], new[2], hessian)
        bends = np.where(better, new[3], bends)
        if np.all((np.abs(step).max(axis=1) < _SMALL) | (ease >= _HARDEST)):
            break
        ease = np.clip(np.where(better, ease / 5, ease * 5), _EASIEST, _HARDEST)
    slope = line[:, 1] / unit
    found = np.stack([line[:, 0] - slope * centre, slope], axis=-1)
    return np.where(bends[:, None] >= 2, found, np.nan)


def _misfit(
    slices: Sequence[Slice], weights: Sequence[np.ndarray], alpha: np.ndarray, beta: np.ndarray, u: np.ndarray, line: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Half the weighted squares that lines (draws, 2) leave (draws,), their gradient (draws, 2) and Gauss–Newton Hessian (draws, 2, 2), and in
    how many slices the losses bend upwards (draws,)."""
    draws = len(line)
    left, gradient, hessian, bends = np.zeros(draws), np.zeros((draws, 2)), np.zeros((draws, 2, 2)), np.zeros(draws, dtype=int)
    for own, weight, place in zip(slices, weights, u, strict=True):
        shares = weight / weight.sum()
        s, k = lopsided_parabola(own.size - (line[:, :1] + line[:, 1:] * place), alpha, beta)
        y = own.loss[:draws]
        y, s, k = (values - (values @ shares)[:, None] for values in (y, s, k))
        square = np.maximum((k**2) @ weight, 1e-300)
        bend = np.maximum((k * y) @ weight / square, 0.0)
        residual = y - bend[:, None] * k
        moves = bend[:, None] * (s - ((s * k) @ weight / square)[:, None] * k)
        slope = (residual * bend[:, None] * s) @ weight  # of half the squares, by the place of the minimum
        curvature = (moves**2) @ weight
        factor = np.array([1.0, place])
        left += 0.5 * (residual**2) @ weight
        gradient += slope[:, None] * factor
        hessian += curvature[:, None, None] * np.outer(factor, factor)
        bends += bend > 0
    return left, gradient, hessian, bends
