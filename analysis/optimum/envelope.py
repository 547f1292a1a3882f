"""The optimum from the envelope of all cells: sizes and epochs of the compute-optimal cells, against compute.

Approach 1 of Hoffmann et al. 2022 (arXiv 2203.15556, sec. 3.1), on final losses of runs that were trained to their end.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.optimum.budgets import nearly_equal_as_one
from analysis.optimum.cells import GridCells
from analysis.optimum.noise import CellNoise, slopes
from analysis.optimum.path import Path, path_along, refused
from analysis.pareto import pareto_mask
from scaling.outcomes import OptimumStatus

__all__ = ["envelope", "envelope_line"]

_LEAST_POINTS = 4
_LEAST_SIZES = 4
"""The sizes among the cells in the middle: with the smallest and largest left out, a line through fewer is too flat."""
_BUDGETS = 7


def envelope(cells: GridCells, noise: CellNoise, moved: np.ndarray, *, x: str, level: float, seed: int) -> Path:
    """Fit a straight line through log size, and one through log epochs, of the compute-optimal cells of middle sizes.

    A compute-optimal cell of the smallest or largest size says only that the optimum lies there or beyond; it would flatten the line,
    so it is left out. Cells of one budget have one compute, so that of these the best counts alone.

    For the intervals every draw moves the cells by their noise, takes the frontier anew, and weighs its points at random (Bayesian
    bootstrap). So they hold both the noise and the accident of which cells were tried.

    moved: (draws, n), see `grid_draws`.
    """
    at, correction = _as_one(cells)
    inside = _inside(cells)
    optimal = pareto_mask(at, cells.loss + correction)
    kept = optimal & inside
    points = pd.DataFrame(
        {
            x: np.exp(cells.measured[optimal]),
            "model": cells.model[optimal],
            "size": np.exp(cells.size[optimal]),
            cells.data_name: np.exp(cells.data[optimal]),
            "interior": inside[optimal],
        }
    ).sort_values(x, kind="stable", ignore_index=True)
    if kept.sum() < _LEAST_POINTS:
        status = OptimumStatus.NOT_INTERIOR if optimal.sum() >= _LEAST_POINTS else OptimumStatus.TOO_FEW_POINTS
        return refused(
            "envelope",
            status,
            f"{int(kept.sum())} of the {int(optimal.sum())} compute-optimal cells are of a size between the smallest and the largest "
            f"that was tried; {_LEAST_POINTS} are needed",
            points,
        )
    if len(np.unique(cells.size[kept])) < 2:
        reason = "the compute-optimal cells of middle size are all of one size; 2 are needed"
        return refused("envelope", OptimumStatus.TOO_FEW_POINTS, reason, points)

    budgets = np.linspace(at[kept].min(), at[kept].max(), _BUDGETS)
    size_value, data_value = _lines_at(cells, at, kept, np.ones(len(kept)), budgets)
    size_draws, data_draws = np.full((2, len(moved), _BUDGETS), np.nan)
    if np.isfinite(noise.cell):
        weights = np.random.default_rng([seed, 1]).exponential(size=(len(moved), len(kept)))
        for row, loss in enumerate(moved):
            chosen = pareto_mask(at, loss + correction) & inside
            if chosen.sum() >= 3:
                size_draws[row], data_draws[row] = _lines_at(cells, at, chosen, weights[row], budgets)
    return path_along(
        "envelope",
        x=x,
        data=cells.data_name,
        log_x=budgets,
        size=(size_value, size_draws),
        epochs=(data_value, data_draws),
        level=level,
        reason=f"lines through {int(kept.sum())} compute-optimal cells of middle size",
        points=points,
        epochs_tried=(float(np.exp(cells.data.min())), float(np.exp(cells.data.max()))),
        noise_known=bool(np.isfinite(noise.cell)),
        identified=len(np.unique(cells.size[kept])) >= _LEAST_SIZES,
        noise=noise.cell,
    )


def envelope_line(cells: GridCells, log_x: np.ndarray) -> np.ndarray | None:
    """Return the log of the best size at each compute (k,) by the line through these cells; None where the approach refuses."""
    at, correction = _as_one(cells)
    kept = pareto_mask(at, cells.loss + correction) & _inside(cells)
    if kept.sum() < _LEAST_POINTS or len(np.unique(cells.size[kept])) < 2:
        return None
    return _lines_at(cells, at, kept, np.ones(len(kept)), log_x)[0]


def _as_one(cells: GridCells) -> tuple[np.ndarray, np.ndarray]:
    """Return log compute with the cells of a budget at one value, and what is added to each log loss to carry it there."""
    at = nearly_equal_as_one(cells.x)
    return at, slopes(cells) * (at - cells.x)


def _inside(cells: GridCells) -> np.ndarray:
    sizes = cells.sizes
    return (cells.size > sizes[0]) & (cells.size < sizes[-1])


def _lines_at(
    cells: GridCells, at: np.ndarray, chosen: np.ndarray, weights: np.ndarray, budgets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit weighted least-squares lines of log size and log epochs against log compute, and return them at the budgets."""
    u, w = at[chosen], weights[chosen] / weights[chosen].sum()
    centre = w @ u
    spread = w @ (u - centre) ** 2
    if spread <= 0:
        return np.full(len(budgets), np.nan), np.full(len(budgets), np.nan)
    lines = []
    for values in (cells.size[chosen], cells.data[chosen]):
        mean = w @ values
        slope = (w * (u - centre)) @ (values - mean) / spread
        lines.append(mean + slope * (budgets - centre))
    return lines[0], lines[1]
