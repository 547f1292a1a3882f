"""How far the losses of cells scatter, and tables of cells as they might as well have come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import special

from analysis.response_surface import least_squares, polynomial, polynomial_degree

if TYPE_CHECKING:
    from analysis.optimum.cells import GridCells

__all__ = ["CellNoise", "cell_noise", "grid_draws", "grid_noise", "resampled", "slopes"]

_LEAST_SEED_FREEDOM = 3
_LEAST_SURFACE_DEGREE = 2


@dataclass(frozen=True)
class CellNoise:
    """Holds the standard deviation of the log loss of a *cell* (mean over its seeds).

    cell: NaN where it is not known. seeds: of a single run about its cell, where several ran.
    source: what the cell's was read from. `surface` is the scatter of cells about a smooth surface, which holds seed noise and whatever
    else moves a cell. `seeds` is the seeds alone, `none` is nothing.
    degrees_of_freedom: with which it is known.
    """

    cell: float
    seeds: float
    source: Literal["surface", "seeds", "none"]
    degrees_of_freedom: float = np.inf


def cell_noise(points: pd.DataFrame, runs: pd.DataFrame, metric: str, x: str, data: str = "epochs") -> CellNoise:
    """Estimate the noise of the cells of a frontier.

    Args:
        points, runs: of a `Frontier` of one family. data: the column beside x that places a cell.
    """
    places = [points[x].to_numpy(float), points[data].to_numpy(float)] if data in points else []
    return _noise([np.log(place) for place in places], np.log(points[metric].to_numpy(float)), points["seeds"], runs, metric)


def grid_noise(cells: GridCells, runs: pd.DataFrame, metric: str, surface_std: float, surface_freedom: int) -> CellNoise:
    """Estimate the noise of the cells of a grid, from the smoother of two surfaces.

    One is a polynomial in log size and log data, the other a fitted law. Each leaves the noise and what it fails to follow. So the
    smaller remainder is nearer the truth, and still no less than it.

    Args:
        surface_std: what the fitted law leaves of the log loss of a cell, NaN where there is none.
        surface_freedom: its degrees of freedom.
    """
    found = _noise([cells.size, cells.data], cells.loss, pd.Series(cells.seeds), runs, metric)
    if found.source != "seeds" and np.isfinite(surface_std) and surface_freedom >= 4 and not surface_std >= found.cell:
        of_mean = found.seeds * float(np.sqrt(np.mean(1.0 / cells.seeds)))
        if not of_mean > surface_std:
            return CellNoise(surface_std, found.seeds, "surface", surface_freedom)
    return found


def _noise(places: list[np.ndarray], log_metric: np.ndarray, counts: pd.Series, runs: pd.DataFrame, metric: str) -> CellNoise:
    log_loss = pd.Series(np.log(runs[metric].to_numpy(float)), index=runs.index)
    within = log_loss - log_loss.groupby(runs["cell"]).transform("mean")
    freedom = len(runs) - runs["cell"].nunique()
    seeds = float(np.sqrt(np.sum(within**2) / freedom)) if freedom >= _LEAST_SEED_FREEDOM else float("nan")
    of_mean = seeds * float(np.sqrt(np.mean(1.0 / counts))) if np.isfinite(seeds) else float("nan")

    degree = polynomial_degree(len(log_metric), 2) if places else 0
    if degree >= _LEAST_SURFACE_DEGREE and len(np.unique(places[1])) > degree:
        u, w = places
        found = least_squares(polynomial(u - u.mean(), w - w.mean(), degree), log_metric)
        if found.degrees_of_freedom >= 4:
            if not of_mean > found.residual_std:
                return CellNoise(found.residual_std, seeds, "surface", found.degrees_of_freedom)
            return CellNoise(of_mean, seeds, "surface", freedom)
    if np.isfinite(of_mean):
        return CellNoise(of_mean, seeds, "seeds", freedom)
    return CellNoise(float("nan"), seeds, "none")


def resampled(loss: np.ndarray, noise: CellNoise, *, draws: int, seed: int) -> np.ndarray:
    """Draw log losses (draws, n) from log losses (n,): each cell moves by normal noise of its standard deviation (parametric bootstrap)."""
    generator = np.random.default_rng(seed)
    return loss + noise.cell * generator.standard_normal((draws, len(loss)))


def slopes(cells: GridCells) -> np.ndarray:
    """Return how log loss grows with log compute at the size of each cell, (n,), by a polynomial through all cells.

    It is nearly always negative.
    """
    degree = min(polynomial_degree(len(cells.loss), 2), 2)
    if degree == 0:
        return np.zeros(len(cells.loss))
    u, w = cells.x - cells.x.mean(), cells.size - cells.size.mean()
    theta = least_squares(polynomial(u, w, degree), cells.loss).theta
    step = 1e-3
    return (polynomial(u + step, w, degree) - polynomial(u - step, w, degree)) @ theta / (2 * step)


def grid_draws(cells: GridCells, noise: CellNoise, *, draws: int, level: float, seed: int) -> np.ndarray:
    """Draw losses at the compute of each cell as they might as well have come out, (draws, n), in logarithms.

    A cell's loss moves by its noise. And the compute of a model is known from noisy runs alone. Where it costs more than is thought,
    its losses belong to more compute, and at the compute that is thought they would be higher. Both are spread by t over normal
    quantiles, since the noise itself is an estimate. Where it is not known, nothing moves.
    """
    if not np.isfinite(noise.cell):
        return np.tile(cells.loss, (draws, 1))
    tail = 0.5 + level / 2
    spread = float(special.stdtrit(max(1.0, noise.degrees_of_freedom), tail) / special.ndtri(tail))
    moved = cells.loss + spread * (resampled(cells.loss, noise, draws=draws, seed=seed) - cells.loss)
    if cells.counts_measured:
        return moved
    _, of_models = cells.cost.draws(draws, seed)
    return moved - slopes(cells) * of_models[:, cells.group]
