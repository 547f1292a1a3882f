"""The cells in which several learning rates were tried, and whether their best lies inside what was tried."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.cells import assign_cells, refuse_mixed_studies
from analysis.closed_edges import closed_edges
from analysis.design_columns import with_epochs
from analysis.reading.source import source_of
from analysis.selection import Excluded, count_hint, usable_runs
from scaling.errors import TooFewPoints, UsageError, nearest
from scaling.outcomes import RunStatus

__all__ = ["LEAST_RATES", "RATES_FOR_CURVATURE", "Grids", "learning_rate_grids"]

LEAST_RATES = 2
"""Learning rates a cell must have finished: with the curvature known from other cells, two say where its parabola lies."""
RATES_FOR_CURVATURE = 3
"""Learning rates that one cell at least must have finished: a parabola has three coefficients."""


_NAMES = ("family", "model", "epochs")
"""What a cell of the table `cells` is called by."""


@dataclass(frozen=True, eq=False)
class Grids:
    """`runs`: the usable runs, with `cell`: row number in `cells`. `cells`: `family`, `model`, `epochs`, `params` (NaN where not known), and
    `best_tried`, `rates`, `at_edge` as in `LearningRateTrend.optima`."""

    runs: pd.DataFrame
    cells: pd.DataFrame
    excluded: tuple[Excluded, ...]


def learning_rate_grids(runs: pd.DataFrame, metric: str) -> Grids:
    """The cells with at least two finished learning rates: of one model at least two epoch budgets, one cell with three; or `TooFewPoints`."""
    runs = with_epochs(runs)
    for name in ("epochs", "learning_rate"):
        if name not in runs:
            guess = nearest(name, [str(column) for column in runs.columns])
            raise UsageError(f"a learning-rate trend needs a column {name}{guess}", hint=f"name it with --map {name}=theirs")
    usable = usable_runs(runs, metric=metric, x="learning_rate")
    tried = usable.runs.assign(cell=assign_cells(usable.runs))
    refuse_mixed_studies(tried)
    rates = tried.groupby("cell")["learning_rate"].transform("nunique")
    few = rates < LEAST_RATES
    too_few = tuple(
        Excluded(
            run,
            f"its cell has {count} learning rate, where its best one lies takes {LEAST_RATES}",
            f"in a cell with fewer than {LEAST_RATES} learning rates",
        )
        for run, count in zip(tried.loc[few, "id"], rates[few], strict=True)
    )
    kept = tried[~few].assign(cell=assign_cells(tried[~few]))
    cells = _cells(kept, _diverged(runs), metric)
    _require_budgets(cells, int(rates.max()) if len(rates) else 0, count_hint(usable.excluded, source_of(runs)))
    return Grids(kept.reset_index(drop=True), cells, usable.excluded + too_few)


def _cells(runs: pd.DataFrame, diverged: pd.DataFrame, metric: str) -> pd.DataFrame:
    rows = []
    closed = closed_edges(runs, runs, metric)
    for cell, of_cell in runs.groupby("cell"):
        names = {name: of_cell[name].iloc[0] for name in _NAMES}
        tried = of_cell.groupby("learning_rate")[metric].mean()
        best = float(tried.index[int(tried.to_numpy().argmin())])
        same_cell = (diverged[list(_NAMES)] == pd.Series(names)).all(axis=1)
        closed_above = closed.at[cell, "above"] or bool((diverged.loc[same_cell, "learning_rate"] > best).any())
        at_edge = ""
        if best == tried.index.min() and not closed.at[cell, "below"]:
            at_edge = "lowest"
        elif best == tried.index.max() and not closed_above:
            at_edge = "highest"
        params = float(of_cell["params"].iloc[0]) if "params" in of_cell else float("nan")
        rows.append({**names, "params": params, "best_tried": best, "rates": len(tried), "at_edge": at_edge})
    return pd.DataFrame(rows, columns=[*_NAMES, "params", "best_tried", "rates", "at_edge"])


def _diverged(runs: pd.DataFrame) -> pd.DataFrame:
    table = runs[runs["status"] == RunStatus.DIVERGED] if "status" in runs else runs.iloc[:0]
    names = {name: table[name].fillna("").astype(str) if name in table else "" for name in ("family", "model")}
    return table.assign(**names)


def _require_budgets(cells: pd.DataFrame, most_rates: int, count: str) -> None:
    budgets = cells.groupby(["family", "model"])["epochs"].nunique()
    have, need = (int(budgets.max()) if len(budgets) else 0), 2
    if have >= need and most_rates >= RATES_FOR_CURVATURE:
        return
    hint = (
        count
        or "add rows at other learning rates; in an experiments file `learning_rate: {grid: [0.4, 0.8, 1.6]}`, and `scaling submit` it again"
    )
    if have >= need:
        raise TooFewPoints(
            f"a learning-rate trend needs {RATES_FOR_CURVATURE} finished learning rates in one cell at least; the fullest has {most_rates}: "
            f"{RATES_FOR_CURVATURE - most_rates} more is needed",
            have=most_rates,
            need=RATES_FOR_CURVATURE,
            hint=hint,
        )
    more = need - have
    short = f"; the fullest cell has {most_rates} of them" if most_rates < RATES_FOR_CURVATURE else ""
    raise TooFewPoints(
        f"a learning-rate trend needs {need} epoch budgets of one model with {LEAST_RATES} finished learning rates each, one of them with "
        f"{RATES_FOR_CURVATURE}; there {'is' if have == 1 else 'are'} {have}: {more} more {'is' if more == 1 else 'are'} needed{short}",
        have=have,
        need=need,
        hint=hint,
    )
