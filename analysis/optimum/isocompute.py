"""The optimum from slices of equal compute: a local curve in log size in each, and the path of their minima.

Approach 2 of Hoffmann et al. 2022 (arXiv 2203.15556, sec. 3.2). Budgets that several sizes share are slices as they are; else each model's
loss is interpolated between its epoch budgets (Porian et al. 2024, arXiv 2406.19146, do the same). Differs from both in that the curves
may be lopsided, see `analysis.optimum.local_fit`, since parabolas over wide slices are biased (arXiv 2603.22339).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.optimum.best_line import interior_slices, slices_on_line
from analysis.optimum.best_path import best_path
from analysis.optimum.budgets import LEAST_SIZES
from analysis.optimum.cells import GridCells
from analysis.optimum.equal_compute import slices_at_equal_compute
from analysis.optimum.local_fit import local_curves
from analysis.optimum.noise import CellNoise
from analysis.optimum.path import Path, about, path_along, refused
from scaling.outcomes import OptimumStatus

__all__ = ["isocompute", "isocompute_line"]


def isocompute(cells: GridCells, noise: CellNoise, moved: np.ndarray, *, x: str, level: float, seed: int) -> Path:
    """Fit local curves to the slices that at least three sizes reach, and the path of their minima, see `analysis.optimum.best_path`.

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
    interior = interior_slices(slices, curves)
    points = pd.DataFrame(
        {
            x: np.exp(at),
            "sizes": [len(own.size) for own in slices],
            "best_size": [float(np.exp(own.size[np.argmin(own.loss[0])])) for own in slices],
            "interior": interior,
            "optimal_size": np.exp(np.where(interior, curves.best[0], np.nan)),
        }
    )
    found = slices_on_line(slices, curves)
    if found is None:
        reason = f"in {interior.sum()} of {len(slices)} slices the best size lies between others; 2 are needed"
        return refused("isocompute", OptimumStatus.NOT_INTERIOR, reason, points)

    chosen, line = found
    known = bool(np.isfinite(noise.cell))
    best = best_path(slices, curves, chosen, line, noise=noise, seed=seed)
    log_x = at[chosen]
    size, sizes = best.size[0], best.size[1:] if known else np.full((len(moved), len(log_x)), np.nan)
    costs, _ = cells.cost.draws(len(moved), seed)
    answer = path_along(
        "isocompute",
        x=x,
        data=cells.data_name,
        log_x=log_x,
        size=(size, sizes),
        epochs=(cells.cost.log_data(log_x, size), cells.cost.log_data(log_x, sizes, costs)),
        level=level,
        reason=f"local curves in {int(chosen.sum())} {'slices' if interpolated else 'budgets'} of equal compute",
        points=points,
        epochs_tried=(float(np.exp(cells.data.min())), float(np.exp(cells.data.max()))),
        noise_known=known,
        noise=noise.cell,
    )
    if not known:
        return answer
    ends = [about(float(own[0]), own[1:], level, noise.cell) for own in best.exponents.T]
    return replace(answer, end_exponents=(ends[0], ends[1]), p_straight=best.p_straight)


def isocompute_line(cells: GridCells, noise: float, log_x: np.ndarray) -> np.ndarray | None:
    """Return the log of the best size at each compute (k,) by the line of these cells; None where the approach refuses."""
    slices, _ = slices_at_equal_compute(cells, cells.loss[None])
    found = slices_on_line(slices, local_curves(slices, noise)) if slices else None
    return None if found is None else found[1][0] + found[1][1] * log_x
