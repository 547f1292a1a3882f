"""The loss of every size at equal compute, as the isocompute approach sees it: what its parabolas are drawn through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.numbers import records
from analysis.optimum.cells import grid_cells
from analysis.optimum.isocompute import slices_at_equal_compute
from analysis.optimum.result import Optimum
from analysis.pareto import Frontier

__all__ = ["Slices", "slices_of"]


@dataclass(frozen=True, eq=False)
class Slices:
    """table: a row a size and compute that it reaches: `<x>`, `size`, `model`, `epochs` that this buys, `<metric>` interpolated between the
    model's epoch budgets. optima: a row a compute: `<x>`, `best_size` of those tried, `interior`, and `optimal_size`, the parabola's vertex."""

    metric: str
    x: str
    size_name: str
    table: pd.DataFrame
    optima: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it, without `schema_version`."""
        return {
            "metric": self.metric,
            "x": self.x,
            "size": self.size_name,
            "slices": records(self.table),
            "optima": records(self.optima),
        }


def slices_of(found: Frontier, optimum: Optimum) -> Slices:
    """Of the cells of one family, and what `compute_optimal` said of the same."""
    cells = grid_cells(found)
    budgets, losses = slices_at_equal_compute(cells, cells.loss[None, :])
    models = [str(cells.model[cells.size == size][0]) for size in cells.sizes]
    rows = [
        {
            found.x: float(np.exp(budget)),
            "size": float(np.exp(size)),
            "model": model,
            cells.data_name: float(np.exp(cells.log_epochs_at(np.array([budget]), np.array([size]))[0])),
            found.metric: float(np.exp(loss)),
        }
        for budget, row in zip(budgets, losses[0] if len(budgets) else (), strict=True)
        for size, model, loss in zip(cells.sizes, models, row, strict=True)
        if np.isfinite(loss)
    ]
    table = pd.DataFrame(rows, columns=[found.x, "size", "model", cells.data_name, found.metric])
    return Slices(found.metric, found.x, cells.size_name, table, optimum.path("isocompute").points)
