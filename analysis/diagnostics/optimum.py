"""Cells whose best is at the edge of what was tried: beyond it may be better, and then the law is of second-best runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.cells import assign_cells
from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode, listed
from analysis.laws.axes import AXIS_COLUMNS

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["best_model_at_edge", "learning_rate_at_edge"]

_LEAST_RATES = 2
_LEAST_SIZES = 3  # with two, the best is always at an edge


def learning_rate_at_edge(fit: Fit) -> list[Diagnostic]:
    """Cells whose best learning rate is the smallest or largest of those tried, and whose neighbours do not rule out what lies beyond."""
    table = fit.table
    if table is None or "learning_rate" not in table or fit.metric not in table:
        return []
    tried = table[["learning_rate", fit.metric]].apply(pd.to_numeric, errors="coerce").dropna()
    tried["cell"] = assign_cells(table, fit.clusters, fit.axes[0]).loc[tried.index]
    edges = tried.groupby("cell")["learning_rate"].agg(["min", "max", "nunique"])
    rows = table.index[table["id"].astype(str).isin(fit.run_ids)] if "id" in table else fit.runs.index
    best = tried.loc[tried.index.intersection(rows)].groupby("cell")["learning_rate"].first()
    edges = edges.loc[best.index][edges.loc[best.index, "nunique"] >= _LEAST_RATES]
    best = best.loc[edges.index]
    at_edge = (best <= edges["min"]) | (best >= edges["max"])
    at_edge &= ~_closed_by_others(table, tried, fit.metric).reindex(at_edge.index, fill_value=False)
    if not at_edge.any():
        return []
    ids = tuple(
        str(run) for run in table.loc[tried.index[tried["cell"].isin(at_edge.index[at_edge])], "id"] if str(run) in fit.run_ids
    )
    return [
        Diagnostic(
            DiagnosticCode.OPTIMUM_NOT_INTERIOR,
            f"in {int(at_edge.sum())} of {len(at_edge)} cells the best learning rate is the smallest or largest tried ({listed(ids)})",
            ids,
        )
    ]


def _closed_by_others(table: pd.DataFrame, tried: pd.DataFrame, metric: str) -> pd.Series:
    """Whether other cells show that a cell's best rate does not lie beyond its edges, as the best rate falls with epochs and size.

    Above, when a smaller cell tried a higher rate, and did no better for it; below, when a larger one tried a lower rate and did no better.
    Smaller: of the same family, with no more epochs and parameters (or the same model). So a search that tries two rates a cell, and lets
    monotony close the upper side, is not taken for a grid that was too narrow.
    """
    place = [name for name in ("family", "epochs", "params", "model") if name in table]
    if "epochs" not in place or not {"params", "model"} & set(place):
        return pd.Series(False, index=tried["cell"].unique())
    means = tried.groupby(["cell", "learning_rate"])[metric].mean().reset_index()
    best = means.loc[means.groupby("cell")[metric].idxmin()].set_index("cell")["learning_rate"]
    edges = means.groupby("cell")["learning_rate"].agg(["min", "max"])
    cells = table.loc[tried.index, place].assign(cell=tried["cell"]).drop_duplicates("cell").set_index("cell").loc[best.index]
    rate, low, high = best.to_numpy(float), edges["min"].to_numpy(float), edges["max"].to_numpy(float)
    epochs = cells["epochs"].to_numpy(float)
    below = epochs[:, None] <= epochs
    if "params" in cells and cells["params"].notna().all():
        below &= cells["params"].to_numpy(float)[:, None] <= cells["params"].to_numpy(float)
    elif "model" in cells:
        below &= cells["model"].to_numpy()[:, None] == cells["model"].to_numpy()
    if "family" in cells:
        below &= cells["family"].to_numpy()[:, None] == cells["family"].to_numpy()
    np.fill_diagonal(below, False)
    beyond_above = below & (rate[:, None] <= rate) & (high[:, None] > rate)  # row: the smaller cell, column: the cell at its edge
    beyond_below = below.T & (rate[:, None] >= rate) & (low[:, None] < rate)
    open_above = (rate >= high) & ~beyond_above.any(axis=0)
    open_below = (rate <= low) & ~beyond_below.any(axis=0)
    return pd.Series(~(open_above | open_below), index=best.index)


def best_model_at_edge(fit: Fit) -> list[Diagnostic]:
    """A frontier most of whose cells are of the smallest or the largest of the sizes that were trained up to and beyond their compute."""
    params, x = AXIS_COLUMNS["N"], fit.axes[0]
    if fit.on != "frontier" or fit.table is None or params not in fit.table or x not in fit.table:
        return []
    tried = fit.table[[params, x]].apply(pd.to_numeric, errors="coerce").dropna()
    ranges = tried.groupby(params)[x].agg(["min", "max"])
    cells = fit.runs.drop_duplicates("cell")
    at, size = cells[x].to_numpy(float), cells[params].to_numpy(float)
    reached = (ranges["min"].to_numpy() <= at[:, None]) & (at[:, None] <= ranges["max"].to_numpy())
    sizes = np.where(reached, ranges.index.to_numpy(float), np.nan)
    compared = reached.sum(1) >= _LEAST_SIZES
    at_edge = compared & ((size <= np.nanmin(sizes, axis=1)) | (size >= np.nanmax(sizes, axis=1)))
    if at_edge.sum() <= 0.5 * compared.sum():
        return []
    ids = tuple(cells["id"].astype(str).to_numpy()[at_edge])
    return [
        Diagnostic(
            DiagnosticCode.OPTIMUM_NOT_INTERIOR,
            f"{int(at_edge.sum())} of {int(compared.sum())} frontier cells where three sizes or more can be compared are of the smallest or largest of them "
            f"({listed(ids)})",
            ids,
        )
    ]
