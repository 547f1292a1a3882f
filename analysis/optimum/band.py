"""How sure the frontier is: a band for the best loss at each compute, and how often each cell would be on it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.interval import check_level
from analysis.optimum.noise import cell_noise, resampled
from analysis.pareto import Frontier, pareto_mask

__all__ = ["frontier_band"]

_NUMBERS, _LEAST_DRAWS = 4_000_000, 50  # of draws times cells: with 1e5 cells few draws are enough to see a band that narrow


def frontier_band(found: Frontier, *, draws: int = 400, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Add `best`, `best_low`, `best_high` and `frontier_share` to the points of a frontier.

    best: the lowest mean loss at that compute or less. Its interval is the percentiles of a parametric bootstrap that moves every cell
    by its noise (`analysis.optimum.noise`, family by family), shifted by their median error. The shift is needed because a minimum of
    noisy numbers is too low on average; the bootstrap shows by how much.
    frontier_share: share of draws in which the cell is on the frontier. `best_low`, `best_high` and `frontier_share` are NaN where a
    family's noise is not known.
    """
    check_level(level)
    points = found.points.reset_index(drop=True)
    x, loss = points[found.x].to_numpy(float), np.log(points[found.metric].to_numpy(float))
    family = points["family"].astype(str) if "family" in points else pd.Series("", index=points.index)
    draws = min(draws, max(_LEAST_DRAWS, _NUMBERS // len(loss)))
    moved = np.tile(loss, (draws, 1))
    known = True
    for number, name in enumerate(sorted(family.unique())):
        own = (family == name).to_numpy()
        runs = found.runs[found.runs["cell"].isin(points.loc[own, "cell"])]
        noise = cell_noise(points[own], runs, found.metric, found.x)
        known &= bool(np.isfinite(noise.cell))
        moved[:, own] = resampled(loss[own], noise, draws=draws, seed=seed + number)
    order = np.lexsort((loss, x))
    best = np.empty_like(loss)
    best[order] = np.minimum.accumulate(loss[order])
    table = points.assign(best=np.exp(best))
    if not known:
        return table.assign(best_low=np.nan, best_high=np.nan, frontier_share=np.nan)
    lowest = np.empty_like(moved)
    lowest[:, order] = np.minimum.accumulate(moved[:, order], axis=1)
    tail = 0.5 - level / 2
    low, middle, high = np.quantile(lowest, [tail, 0.5, 1 - tail], axis=0)
    share = np.mean([pareto_mask(x, row) for row in moved], axis=0)
    return table.assign(best_low=np.exp(best + low - middle), best_high=np.exp(best + high - middle), frontier_share=share)
