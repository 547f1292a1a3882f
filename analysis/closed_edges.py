"""Cells whose best learning rate lies at the edge of the rates they tried, and what other cells say about it.

The best rate falls with epochs and size. So another cell may rule out that the best rate lies beyond that edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.design_columns import alike

__all__ = ["closed_edges"]


def closed_edges(table: pd.DataFrame, tried: pd.DataFrame, metric: str, settings: Sequence[str]) -> pd.DataFrame:
    """Say for each cell of `tried` whether other cells rule out a best learning rate below, or above, its own best.

    Returns: a row a cell. `above`: a smaller cell tried a higher rate than this cell's best, and did no better for it. `below`: a
    larger cell tried a lower rate than this cell's best, and did no better for it.

    A smaller cell is of the same family and settings, with no more epochs and parameters (or the same model). So a search that tries
    two rates a cell, and lets monotony close the upper side, is not taken for a grid that was too narrow.

    Args:
        table: `family`, `epochs`, `params`, `model`, as far as there are; without epochs and one of the last two nothing is closed.
        tried: rows of `table`, by index, with `cell`, `learning_rate` and the metric.
        settings: columns of `table`: batch size, optimiser and the like, which may move the best rate either way.
    """
    place = [name for name in ("family", "epochs", "params", "model") if name in table]
    if "epochs" not in place or not {"params", "model"} & set(place):
        return pd.DataFrame(False, index=tried["cell"].unique(), columns=["below", "above"])
    means = tried.groupby(["cell", "learning_rate"])[metric].mean().reset_index()
    best = means.loc[means.groupby("cell")[metric].idxmin()].set_index("cell")["learning_rate"]
    edges = means.groupby("cell")["learning_rate"].agg(["min", "max"])
    cells = (
        table.loc[tried.index, [*place, *settings]]
        .assign(cell=tried["cell"])
        .drop_duplicates("cell")
        .set_index("cell")
        .loc[best.index]
    )
    rate, low, high = best.to_numpy(float), edges["min"].to_numpy(float), edges["max"].to_numpy(float)
    epochs = cells["epochs"].to_numpy(float)
    smaller = epochs[:, None] <= epochs
    if "params" in cells and cells["params"].notna().all():
        smaller &= cells["params"].to_numpy(float)[:, None] <= cells["params"].to_numpy(float)
    elif "model" in cells:
        smaller &= cells["model"].to_numpy()[:, None] == cells["model"].to_numpy()
    if "family" in cells:
        smaller &= cells["family"].to_numpy()[:, None] == cells["family"].to_numpy()
    if settings:
        same = alike(cells, settings).to_numpy()
        smaller &= same[:, None] == same
    np.fill_diagonal(smaller, False)
    above = smaller & (rate[:, None] <= rate) & (high[:, None] > rate)  # row: the smaller cell, column: the cell at its edge
    below = smaller.T & (rate[:, None] >= rate) & (low[:, None] < rate)
    return pd.DataFrame({"below": below.any(axis=0), "above": above.any(axis=0)}, index=best.index)
