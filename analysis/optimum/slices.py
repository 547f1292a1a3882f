"""The loss of every size at equal compute, as the isocompute approach sees it: what its curves are drawn through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.numbers import records
from analysis.optimum.cells import grid_cells
from analysis.optimum.equal_compute import slices_at_equal_compute
from analysis.optimum.result import Optimum
from analysis.pareto import Frontier

__all__ = ["Slices", "slices_of"]


@dataclass(frozen=True, eq=False)
class Slices:
    """Holds the loss of every size at equal compute, as tables.

    table: a row a size and compute that it reaches: `<x>`, `size`, `model`, `epochs` that this buys, `<metric>`. The metric is that of
    a run at a budget that sizes share, else interpolated between the model's epoch budgets.
    optima: a row a compute: `<x>`, `best_size` of those tried, `interior`, and `optimal_size`, the minimum of the local curve.
    """

    metric: str
    x: str
    size_name: str
    table: pd.DataFrame
    optima: pd.DataFrame

    def to_dict(self) -> dict[str, object]:
        """Return the slices as JSON holds them, without `schema_version`."""
        return {
            "metric": self.metric,
            "x": self.x,
            "size": self.size_name,
            "slices": records(self.table),
            "optima": records(self.optima),
        }


def slices_of(found: Frontier, optimum: Optimum) -> Slices:
    """Make the slices of the cells of one family, with what `compute_optimal` said of the same."""
    cells = grid_cells(found)
    slices, _ = slices_at_equal_compute(cells, cells.loss[None])
    rows = [
        {
            found.x: float(np.exp(own.at)),
            "size": float(np.exp(own.size[place])),
            "model": str(own.model[place]),
            cells.data_name: float(np.exp(own.data[place])),
            found.metric: float(np.exp(own.loss[0, place])),
        }
        for own in slices
        for place in range(len(own.size))
    ]
    table = pd.DataFrame(rows, columns=[found.x, "size", "model", cells.data_name, found.metric])
    return Slices(found.metric, found.x, cells.size_name, table, optimum.path("isocompute").points)
