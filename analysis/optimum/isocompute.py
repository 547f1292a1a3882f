"""The optimum from slices of equal compute: a parabola in log size in each.

Approach 2 of Hoffmann et al. 2022 (arXiv 2203.15556, sec. 3.2), at budgets that nobody has to have trained at: each model's loss is
interpolated between its epoch budgets (Porian et al. 2024, arXiv 2406.19146, do the same). Parabolas are biased when the slice is wide
and lopsided (arXiv 2603.22339), so that only sizes about the best one are used; the approach is for comparison.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline

from analysis.optimum.cells import GridCells
from analysis.optimum.noise import CellNoise, resampled
from analysis.optimum.path import Path, path_along, refused
from scaling.outcomes import OptimumStatus

__all__ = ["isocompute", "slices_at_equal_compute"]

_SLICES = 12
_LEAST_SIZES = 3
_EACH_SIDE = 2  # sizes of a parabola on either side of the best one, at most where they are far apart
_REACH = np.log(5.0)  # and all within this factor of it, where they lie densely
_SAME_BUDGET = 0.02  # of log compute: nearer cells of a model are one


def isocompute(cells: GridCells, noise: CellNoise, *, x: str, draws: int, level: float, seed: int) -> Path:
    """Vertices of the parabolas of up to twelve slices, and the line through them. A slice counts where at least three sizes reach its
    compute and the best of them is neither the smallest nor the largest.
    """
    slices, losses = slices_at_equal_compute(cells, cells.loss[None, :])
    if not len(slices):
        reason = f"at no compute were {_LEAST_SIZES} sizes trained with budgets on both sides of it"
        return refused("isocompute", OptimumStatus.TOO_FEW_POINTS, reason)
    windows = [_window(row, cells.sizes) for row in losses[0]]
    points = pd.DataFrame(
        {
            x: np.exp(slices),
            "sizes": [int(np.isfinite(row).sum()) for row in losses[0]],
            "best_size": [float(np.exp(cells.sizes[np.nanargmin(row)])) for row in losses[0]],
            "interior": [window is not None for window in windows],
        }
    )
    interior = np.array([number for number, window in enumerate(windows) if window is not None], dtype=int)
    if len(interior) < 2:
        reason = f"in {len(interior)} of {len(slices)} slices the best size lies between others; 2 are needed"
        return refused("isocompute", OptimumStatus.NOT_INTERIOR, reason, points)

    kept = [(int(number), windows[number]) for number in interior]
    value = _vertices(cells.sizes, losses, kept)[0]
    if not np.isfinite(value).all():
        good = np.isfinite(value)
        kept, interior, value = [pair for pair, ok in zip(kept, good, strict=True) if ok], interior[good], value[good]
        if len(kept) < 2:
            return refused(
                "isocompute", OptimumStatus.NOT_INTERIOR, "the losses of the slices do not bend upwards in log size", points
            )
    known = bool(np.isfinite(noise.cell))
    if known:
        _, moved = slices_at_equal_compute(cells, resampled(cells.loss, noise, draws=draws, seed=seed))
        vertices = _vertices(cells.sizes, moved, kept)
    else:
        vertices = np.full((draws, len(kept)), np.nan)
    at = slices[interior]
    points["optimal_size"] = np.nan
    points.loc[interior, "optimal_size"] = np.exp(value)
    line, line_draws = _weighted_lines(at, value, vertices)
    return path_along(
        "isocompute",
        x=x,
        data=cells.data_name,
        log_x=at,
        size=(line, line_draws),
        epochs=(cells.log_epochs_at(at, line), cells.log_epochs_at(at, line_draws)),
        level=level,
        reason=f"parabolas in {len(kept)} slices of equal compute",
        points=points,
        epochs_tried=(float(np.exp(cells.epochs.min())), float(np.exp(cells.epochs.max()))),
        noise_known=known,
    )


def slices_at_equal_compute(cells: GridCells, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log computes of the slices (s,), and the log loss of every size at each, (draws, s, sizes); NaN where a size has no budget near.

    loss: (draws, n), of the cells.
    """
    curves = []
    for size in cells.sizes:
        at = np.flatnonzero(cells.size == size)
        u, group = _merged(cells.x[at])
        mean = np.stack([loss[:, at[group == number]].mean(1) for number in range(len(u))])
        curves.append((u, mean))
    reach = np.array([[u[0], u[-1]] for u, _ in curves if len(u) >= 2])
    if len(reach) < _LEAST_SIZES:
        return np.array([]), np.zeros((len(loss), 0, len(curves)))
    low, high = np.sort(reach[:, 0])[_LEAST_SIZES - 1], np.sort(reach[:, 1])[-_LEAST_SIZES]
    grid = np.linspace(min(low, high), max(low, high), _SLICES) if high > low else np.array([])
    values = np.full((len(loss), len(grid), len(curves)), np.nan)
    for number, (u, mean) in enumerate(curves):
        if len(u) >= 2:
            inside = (grid >= u[0] - 1e-9) & (grid <= u[-1] + 1e-9)
            values[:, inside, number] = CubicSpline(u, mean)(grid[inside]).T
    enough = np.isfinite(values[0]).sum(1) >= _LEAST_SIZES
    return grid[enough], values[:, enough]


def _merged(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of groups of values nearer than `_SAME_BUDGET`, and the group of each; u is ascending."""
    group = np.concatenate([[0], np.cumsum(np.diff(u) > _SAME_BUDGET)])
    return np.bincount(group, u) / np.bincount(group), group


def _window(row: np.ndarray, sizes: np.ndarray) -> np.ndarray | None:
    """Which sizes a slice's parabola uses, or None where the best is the smallest or largest of the slice."""
    known = np.flatnonzero(np.isfinite(row))
    best = int(np.argmin(row[known]))
    if best in (0, len(known) - 1):
        return None
    near = np.abs(sizes[known] - sizes[known[best]]) <= _REACH
    near[max(0, best - _EACH_SIDE) : best + _EACH_SIDE + 1] = True
    return known[near]


def _vertices(sizes: np.ndarray, losses: np.ndarray, kept: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Log size of each kept slice's vertex in every draw, (draws, kept), no further out than twice the slice's sizes; NaN where the
    parabola does not bend upwards."""
    found = np.full((len(losses), len(kept)), np.nan)
    for column, (number, window) in enumerate(kept):
        v = sizes[window]
        centre, width = v.mean(), np.ptp(v)
        a, b, _ = np.polyfit(v - centre, losses[:, number][:, window].T, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex = np.where(a > 0, -b / (2 * a), np.nan)
        found[:, column] = centre + np.clip(vertex, -width, width)
    return found


def _weighted_lines(at: np.ndarray, value: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The line through the vertices and through those of each draw, at `at`. A slice weighs as the inverse of its vertex's variance over
    the draws; a draw without vertices in most of that weight has no line."""
    known = np.isfinite(draws)
    weights = np.ones(len(at))
    if known.any(0).all():
        weights = 1 / np.maximum(np.nanvar(draws, axis=0), 1e-12)
    rows = np.concatenate([value[None], np.where(known, draws, 0.0)])
    w = np.concatenate([weights[None], known * weights])
    total = np.maximum(w.sum(1, keepdims=True), 1e-300)
    u0, v0 = (w @ at)[:, None] / total, (w * rows).sum(1, keepdims=True) / total
    spread = (w * (at - u0) ** 2).sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        lines = v0 + (w * (at - u0) * (rows - v0)).sum(1, keepdims=True) / spread * (at - u0)
    lines = np.where((total > 0.5 * weights.sum()) & (spread > 0), lines, np.nan)
    return lines[0], lines[1:]
