"""The optimum from slices of equal compute: a local curve in log size in each.

Approach 2 of Hoffmann et al. 2022 (arXiv 2203.15556, sec. 3.2). Budgets that several sizes share are slices as they are; else each model's
loss is interpolated between its epoch budgets (Porian et al. 2024, arXiv 2406.19146, do the same). Differs from both in that the curves
may be lopsided, see `analysis.optimum.local_fit`, since parabolas over wide slices are biased (arXiv 2603.22339).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.optimum.budgets import LEAST_SIZES
from analysis.optimum.cells import GridCells
from analysis.optimum.equal_compute import slices_at_equal_compute
from analysis.optimum.local_fit import local_curves
from analysis.optimum.noise import CellNoise
from analysis.optimum.path import Path, path_along, refused
from scaling.outcomes import OptimumStatus

__all__ = ["isocompute", "isocompute_line"]


def isocompute(cells: GridCells, noise: CellNoise, moved: np.ndarray, *, x: str, level: float) -> Path:
    """Minima of the local curves of the slices, and the line through them. A slice counts where at least three sizes reach its compute,
    the best of them is neither the smallest nor the largest, and the curve's minimum lies between these.

    moved: (draws, n), see `grid_draws`.
    """
    slices, interpolated = slices_at_equal_compute(cells, np.concatenate([cells.loss[None], moved]))
    if not slices:
        reason = (
            f"no budget of compute is shared by {LEAST_SIZES} sizes, and at no compute were {LEAST_SIZES} sizes trained with budgets on "
            "both sides of it"
        )
        return refused("isocompute", OptimumStatus.TOO_FEW_POINTS, reason)
    at = np.array([own.at for own in slices])
    curves = local_curves(slices, noise.cell)
    value, draws = curves.best[0], curves.best[1:]
    interior = np.array(
        [
            0 < np.argmin(own.loss[0]) < len(own.size) - 1 and own.size[0] < best < own.size[-1]
            for own, best in zip(slices, value, strict=True)
        ]
    )
    points = pd.DataFrame(
        {
            x: np.exp(at),
            "sizes": [len(own.size) for own in slices],
            "best_size": [float(np.exp(own.size[np.argmin(own.loss[0])])) for own in slices],
            "interior": interior,
            "optimal_size": np.exp(np.where(interior, value, np.nan)),
        }
    )
    if interior.sum() < 2:
        reason = f"in {interior.sum()} of {len(slices)} slices the best size lies between others; 2 are needed"
        return refused("isocompute", OptimumStatus.NOT_INTERIOR, reason, points)

    known = bool(np.isfinite(noise.cell))
    found = draws[:, interior] if known else np.full((len(draws), int(interior.sum())), np.nan)
    line, line_draws = _weighted_lines(at[interior], value[interior], found)
    return path_along(
        "isocompute",
        x=x,
        data=cells.data_name,
        log_x=at[interior],
        size=(line, line_draws),
        epochs=(cells.cost.log_data(at[interior], line), cells.cost.log_data(at[interior], line_draws)),
        level=level,
        reason=f"local curves in {int(interior.sum())} {'slices' if interpolated else 'budgets'} of equal compute",
        points=points,
        epochs_tried=(float(np.exp(cells.data.min())), float(np.exp(cells.data.max()))),
        noise_known=known,
        noise=noise.cell,
    )


def isocompute_line(cells: GridCells, noise: float, log_x: np.ndarray) -> np.ndarray | None:
    """Log of the best size at each compute (k,) by the line through the minima of these cells; None where the approach refuses."""
    slices, _ = slices_at_equal_compute(cells, cells.loss[None])
    if not slices:
        return None
    curves = local_curves(slices, noise)
    kept = [
        number
        for number, own in enumerate(slices)
        if 0 < np.argmin(own.loss[0]) < len(own.size) - 1 and own.size[0] < curves.best[0, number] < own.size[-1]
    ]
    if len(kept) < 2:
        return None
    slope, height = np.polyfit(np.array([own.at for own in slices])[kept], curves.best[0, kept], 1)
    return height + slope * log_x


def _weighted_lines(at: np.ndarray, value: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The line through the minima and through those of each draw, at `at`. A slice weighs as the inverse of its minimum's variance over
    the draws; a draw without minima in most of that weight has no line."""
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
