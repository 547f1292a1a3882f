"""How far the losses of cells scatter, and tables of cells as they might as well have come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis.response_surface import least_squares, polynomial, polynomial_degree

__all__ = ["CellNoise", "cell_noise", "resampled"]

_LEAST_SEED_FREEDOM = 3
_LEAST_SURFACE_DEGREE = 2


@dataclass(frozen=True)
class CellNoise:
    """Standard deviation of the log loss of a *cell* (mean over its seeds). `seeds`: of a single run about its cell, where several ran.

    source: what the cell's was read from: the scatter of cells about a smooth surface, which holds seed noise and whatever else moves a
    cell; or the seeds alone; or nothing, then `cell` is NaN.
    """

    cell: float
    seeds: float
    source: Literal["surface", "seeds", "none"]


def cell_noise(points: pd.DataFrame, runs: pd.DataFrame, metric: str, x: str, data: str = "epochs") -> CellNoise:
    """Args: points and runs of a `Frontier` of one family; data: the column beside x that places a cell."""
    log_loss = pd.Series(np.log(runs[metric].to_numpy(float)), index=runs.index)
    within = log_loss - log_loss.groupby(runs["cell"]).transform("mean")
    freedom = len(runs) - runs["cell"].nunique()
    seeds = float(np.sqrt(np.sum(within**2) / freedom)) if freedom >= _LEAST_SEED_FREEDOM else float("nan")
    of_mean = seeds * float(np.sqrt(np.mean(1.0 / points["seeds"]))) if np.isfinite(seeds) else float("nan")

    degree = polynomial_degree(len(points), 2) if data in points else 0
    if degree >= _LEAST_SURFACE_DEGREE and points[data].nunique() > degree:
        u, w = np.log(points[x].to_numpy(float)), np.log(points[data].to_numpy(float))
        found = least_squares(polynomial(u - u.mean(), w - w.mean(), degree), np.log(points[metric].to_numpy(float)))
        if found.degrees_of_freedom >= 4:
            return CellNoise(float(np.nanmax([found.residual_std, of_mean])), seeds, "surface")
    if np.isfinite(of_mean):
        return CellNoise(of_mean, seeds, "seeds")
    return CellNoise(float("nan"), seeds, "none")


def resampled(loss: np.ndarray, noise: CellNoise, *, draws: int, seed: int) -> np.ndarray:
    """(n,) log losses → (draws, n): each cell moved by normal noise of its standard deviation (parametric bootstrap)."""
    generator = np.random.default_rng(seed)
    return loss + noise.cell * generator.standard_normal((draws, len(loss)))
