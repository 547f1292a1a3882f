"""Cells whose best is at the edge of what was tried: beyond it may be better, and then the law is of second-best runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.cells import best_settings
from analysis.closed_edges import closed_edges
from analysis.constant import once_a_table
from analysis.design_columns import alike, design_columns, settings_among, with_epochs
from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from analysis.laws.axes import AXIS_COLUMNS
from analysis.listing import listed

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["best_model_at_edge", "learning_rate_at_edge"]

_LEAST_RATES = 2
_LEAST_SIZES = 3  # with two, the best is always at an edge


def learning_rate_at_edge(fit: Fit) -> list[Diagnostic]:
    """Report cells whose best learning rate is the smallest or largest tried, unless their neighbours rule out what lies beyond."""
    if fit.table is None or "learning_rate" not in fit.table or fit.metric not in fit.table or fit.metric == "learning_rate":
        return []
    used = fit.run_ids if "id" in fit.table else tuple(fit.runs.index)
    return list(_rates_at_edge(fit.table, fit.metric, tuple(fit.axes), tuple(fit.cell), tuple(used)))


@once_a_table
def _rates_at_edge(
    runs: pd.DataFrame, metric: str, axes: tuple[str, ...], cell: tuple[str, ...], used: tuple[object, ...]
) -> tuple[Diagnostic, ...]:
    """Report the cells of the runs that a fit used, by their ids or, in a table without ids, their rows: several laws are of the same."""
    table = with_epochs(runs)
    tried = table[["learning_rate", metric]].apply(pd.to_numeric, errors="coerce").dropna()
    columns = design_columns(table, [name for name in cell if name in table], x=axes)
    tried["cell"] = alike(table, columns).loc[tried.index]
    tried = tried[_at_best_of_the_rest(table.loc[tried.index].assign(cell=tried["cell"]), metric)]
    edges = tried.groupby("cell")["learning_rate"].agg(["min", "max", "nunique"])
    rows = table.index[table["id"].astype(str).isin(used)] if "id" in table else pd.Index(used)
    best = tried.loc[tried.index.intersection(rows)].groupby("cell")["learning_rate"].first()
    edges = edges.loc[best.index][edges.loc[best.index, "nunique"] >= _LEAST_RATES]
    best = best.loc[edges.index]
    settings = [name for name in settings_among(table, columns) if name not in axes]
    closed = closed_edges(table, tried, metric, settings).reindex(best.index, fill_value=False)
    at_edge = ((best <= edges["min"]) & ~closed["below"]) | ((best >= edges["max"]) & ~closed["above"])
    if not at_edge.any():
        return ()
    known = set(used)
    ids = tuple(str(run) for run in table.loc[tried.index[tried["cell"].isin(at_edge.index[at_edge])], "id"] if str(run) in known)
    words = (
        f"in {int(at_edge.sum())} of {len(at_edge)} cells the best learning rate is the smallest or largest tried ({listed(ids)})"
    )
    return (Diagnostic(DiagnosticCode.OPTIMUM_NOT_INTERIOR, words, ids),)


def _at_best_of_the_rest(table: pd.DataFrame, metric: str) -> pd.Series:
    """Say which rows are at their cell's best weight decay or batch size, where it was searched."""
    best = best_settings(table.assign(**{metric: pd.to_numeric(table[metric], errors="coerce")}), metric)
    same = pd.Series(True, index=table.index)
    for name in best.columns.drop("learning_rate", errors="ignore"):
        same &= table[name].astype(float) == best[name]
    return same


def best_model_at_edge(fit: Fit) -> list[Diagnostic]:
    """Report a frontier most of whose cells are of the smallest or the largest size.

    The sizes compared are those that were trained up to and beyond the cell's compute.
    """
    params, x = AXIS_COLUMNS["N"], fit.axes[0]
    if fit.on != "frontier" or fit.table is None or params not in fit.table or x not in fit.table or x == params:
        return []
    tried = fit.table[[params, x]].apply(pd.to_numeric, errors="coerce").dropna()
    ranges = tried.groupby(params)[x].agg(["min", "max"])
    cells = fit.runs.drop_duplicates("cell")
    at, size = cells[x].to_numpy(float), cells[params].to_numpy(float)
    reached = (ranges["min"].to_numpy() <= at[:, None]) & (at[:, None] <= ranges["max"].to_numpy())
    sizes = ranges.index.to_numpy(float)
    smallest = np.where(reached, sizes, np.inf).min(axis=1, initial=np.inf)
    largest = np.where(reached, sizes, -np.inf).max(axis=1, initial=-np.inf)
    compared = reached.sum(1) >= _LEAST_SIZES
    at_edge = compared & ((size <= smallest) | (size >= largest))
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
