"""Candidates judged by the forecast that will be made after them, under all its members together.

See `analysis.planning.futures` for what the curve may be, and `analysis.planning.foreseen` for how sets of runs are judged.

The forecast is one of compute. Of a grid it is one of the frontier, so that a candidate counts by its place above the frontier: by as much
as the surface of its inputs says that it is worse than the best size of its compute. Without a surface every candidate is taken for the best
of its compute.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.backtest.forecast import ForecastEstimate
from analysis.fitting.objective import objective_named
from analysis.planning.by_law import Picked, known_runs, noise_of
from analysis.planning.foreseen import Foreseen, search
from analysis.planning.futures import futures_of
from analysis.planning.target import Target

__all__ = ["by_forecast"]


def by_forecast(
    aimed: Target,
    estimate: ForecastEstimate,
    candidates: pd.DataFrame,
    of_one: pd.DataFrame,
    spent: np.ndarray,
    budget: float,
    x: str,
) -> Picked:
    """Choose the candidates after which the forecast errs least, see `analysis.planning.foreseen`.

    The width that is promised is in proportion to the mean of the widths that the forecast of the recent runs has in the futures.

    Args: as in `analysis.planning.by_law.by_law`; x: the compute of the forecast.
    """
    found = aimed.forecast
    test = found.backtest
    assert test is not None
    log_x, log_target = np.log(of_one[x].to_numpy(float)), float(np.log(aimed.at[x].iloc[0]))
    futures = futures_of(estimate, log_x, log_target, found.precision.seed, _rank(candidates, log_x))
    seed_std, lack_std = noise_of(aimed.fit)
    seeds = candidates["seeds"].to_numpy(float) if "seeds" in candidates else np.ones(len(candidates))
    done, known = known_runs(aimed.fit.runs, candidates, found.metric)
    # A cell that was run before is expected to come out as it did, so that more seeds of it add little.
    mean = np.where(done > 0, known, futures.logs[:, :-1] + _above_frontier(aimed, of_one, x))
    noise = np.sqrt(np.where(done > 0, 0.0, lack_std**2) + seed_std**2 / seeds)
    foreseen = Foreseen(
        cells=test.cells,
        log_x=log_x,
        weight=seeds,
        outcome=mean + noise * futures.noise,
        futures=futures,
        log_target=log_target,
        slope=estimate.slope,
        objective=objective_named(found.objective, found.envelope),
        on_frontier=found.on == "frontier",
    )
    picked = search(foreseen, spent, budget)
    now = foreseen.half_width([])
    scales = [foreseen.half_width(picked[:number]) / now for number in range(1, len(picked) + 1)]
    return Picked(picked, scales, 1.0, dict(test.forecast_members))


def _rank(candidates: pd.DataFrame, log_x: np.ndarray) -> np.ndarray:
    """Return the place of each candidate in an order that neither the order of rows nor names change, (m,), but where all else is alike."""
    names = [name for name in ("params", "epochs", "seeds", "model", "family") if name in candidates]
    keys = candidates[names].assign(compute=np.round(log_x - log_x.min(), 6)).rank(method="dense")
    rank = np.empty(len(candidates), dtype=int)
    rank[np.lexsort(keys[["compute", *names]].to_numpy().T[::-1])] = np.arange(len(candidates))
    return rank


def _above_frontier(aimed: Target, of_one: pd.DataFrame, x: str) -> np.ndarray:
    """Return by how much more the log metric of each candidate is than that of the frontier's cells at its compute, (m,), by the surface."""
    if aimed.surface is None:
        return np.zeros(len(of_one))

    def excess(table: pd.DataFrame) -> np.ndarray:
        surface = aimed.surface
        assert surface is not None
        log_x = np.log(table[x].to_numpy(float))
        log_size = surface.optimum(log_x)
        known = np.isfinite(log_size)
        best = surface.table(np.where(known, log_size, 0.0), surface.cells.cost.log_data(log_x, np.where(known, log_size, 0.0)))
        return np.where(known, np.maximum(0.0, aimed.fit.log_mean(table) - aimed.fit.log_mean(best)), 0.0)

    runs = aimed.fit.runs
    on_frontier = runs[runs["id"].isin(aimed.forecast.runs["id"])]
    return excess(of_one) - (float(excess(on_frontier).mean()) if len(on_frontier) else 0.0)
