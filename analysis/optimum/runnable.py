"""The optimum in models and epoch budgets that exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.optimum.cells import GridCells
from analysis.optimum.path import Path
from analysis.optimum.surface import Surface

__all__ = ["runnable_cells"]

_OVER_BUDGET = np.log(1.1)


def runnable_cells(
    path: Path, cells: GridCells, surface: Surface | None, *, x: str, models: Mapping[str, float], epochs: Sequence[float]
) -> pd.DataFrame:
    """Choose for each compute of a path the runnable cell to train: `model`, `epochs`, what it costs, and what it should reach.

    With a surface: the cell of lowest predicted loss among those that cost at most a tenth more than the compute, `metric_over_best`
    being that loss over the surface's minimum there. Without: of those cells the one nearest to the optimum in log size and log epochs.
    Where none costs as little, the cheapest.

    Args:
        models: name → size, in the unit of `cells.size_name`.
        epochs: budgets that can be run; empty: any, as where examples seen are counted instead.
    """
    data = cells.data_name
    names = sorted(models, key=lambda name: models[name])
    rows = []
    for row in path.table.to_dict("records"):
        budget, size, best_epochs = (np.log(float(row[name])) for name in (x, "size", data))
        sizes = np.log([models[name] for name in names])
        log_size = np.repeat(sizes, max(1, len(epochs)))
        log_epochs = (
            np.tile(np.log(np.asarray(epochs, dtype=float)), len(names)) if len(epochs) else cells.cost.log_data(budget, sizes)
        )
        log_cost = cells.cost.log_x(log_size, log_epochs) + cells.own_cost(log_size)
        over_best = float("nan")
        affordable = log_cost <= budget + _OVER_BUDGET
        if surface is not None and affordable.any():
            loss = surface.fit.log_mean(surface.table(log_size, log_epochs))
            choice = int(np.argmin(np.where(affordable, loss, np.inf)))
            least = surface.fit.log_mean(surface.table(np.array([size]), np.array([best_epochs])))[0]
            over_best = float(np.exp(loss[choice] - least))
        else:
            away = (log_size - size) ** 2 + (log_epochs - best_epochs) ** 2
            choice = int(np.argmin(np.where(affordable, away, np.inf) if affordable.any() else log_cost))
        rows.append(
            {
                x: float(row[x]),
                "optimal_size": float(row["size"]),
                f"optimal_{data}": float(row[data]),
                "model": names[choice // max(1, len(epochs))],
                "size": float(np.exp(log_size[choice])),
                data: float(np.exp(log_epochs[choice])),
                f"{x}_of_cell": float(np.exp(log_cost[choice])),
                "metric_over_best": over_best,
            }
        )
    return pd.DataFrame(rows)
