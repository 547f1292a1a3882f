"""The cells in which several learning rates were tried, and whether their best lies inside what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.cells import best_settings, differing_note, refuse_mixed_studies, searched_note, unknown_inside
from analysis.checkpoints import checkpoints_of
from analysis.closed_edges import closed_edges
from analysis.design_columns import alike, design_columns, settings_among, with_epochs
from analysis.reading.source import source_of
from analysis.searched import is_told
from analysis.selection import Excluded, count_hint, usable_runs
from scaling.errors import TooFewPoints, UsageError, nearest
from scaling.outcomes import RunStatus

__all__ = ["LEAST_RATES", "RATES_FOR_CURVATURE", "Grids", "learning_rate_grids"]

LEAST_RATES = 2
"""Learning rates a cell must have finished: with the curvature known from other cells, two say where its parabola lies."""
RATES_FOR_CURVATURE = 3
"""Learning rates that one cell at least must have finished: a parabola has three coefficients."""


_NAMES = ("family", "model", "epochs")
"""The columns that name a cell of the table `cells`."""


@dataclass(frozen=True, eq=False)
class Grids:
    """Holds the cells that tried several learning rates, and their runs.

    runs: the usable runs, with `cell`: row number in `cells`.
    cells: `family`, `model`, `epochs`, `params` (NaN where not known), `settings`, and `best_tried`, `rates`, `at_edge` as in
        `LearningRateTrend.optima`.
    settings: the other design columns, batch size or optimiser, in which cells differ; each is a column of `cells`.
    notes: a sentence for each thing that was taken for granted.
    tried: all usable runs, at any weight decay or batch size, with a `cell` of their own numbering. columns: what told cells apart.
    """

    runs: pd.DataFrame
    cells: pd.DataFrame
    settings: tuple[str, ...]
    excluded: tuple[Excluded, ...]
    notes: tuple[str, ...]
    tried: pd.DataFrame
    columns: tuple[str, ...]


def learning_rate_grids(runs: pd.DataFrame, metric: str) -> Grids:
    """Find the cells with at least two finished learning rates.

    Raises `TooFewPoints` unless one model has at least two epoch budgets, and one cell three rates; `UsageError` for a missing column or
    runs of several studies.
    """
    runs = with_epochs(runs)
    for name in ("epochs", "learning_rate"):
        if name not in runs:
            guess = nearest(name, [str(column) for column in runs.columns])
            raise UsageError(f"a learning-rate trend needs a column {name}{guess}", hint=f"name it with --map {name}=theirs")
    usable = usable_runs(runs, metric=metric, x="learning_rate")
    columns = design_columns(usable.runs, metric=metric)
    tried = usable.runs.assign(cell=alike(usable.runs, columns))
    asked = (metric, "learning_rate")
    checkpoints = checkpoints_of(runs, asked=asked)
    refuse_mixed_studies(tried, unknown_inside(tried, columns, asked, checkpoints=checkpoints))
    all_tried, notes = tried, searched_note(tried)
    tried, not_best = _at_best_of_the_rest(tried, metric)
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
    kept = tried[~few].reset_index(drop=True)
    kept["cell"] = kept["cell"].rank(method="dense").astype(int) - 1
    settings = [name for name in settings_among(kept, columns) if not is_told(kept, name).any()]
    cells = _cells(kept, _highest_diverged(kept, runs, settings), settings, metric)
    _require_budgets(cells, int(rates.max()) if len(rates) else 0, count_hint(usable.excluded, source_of(runs)))
    differing = tuple(name for name in settings if alike(cells, [name]).nunique() > 1)
    notes += differing_note(unknown_inside(kept, columns, asked, checkpoints=checkpoints))
    return Grids(kept, cells, differing, usable.excluded + not_best + too_few, notes, all_tried, tuple(columns))


def _at_best_of_the_rest(tried: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, tuple[Excluded, ...]]:
    """Keep the runs at their cell's best weight decay or batch size, where it was searched: a parabola in the rate is of one value."""
    best = best_settings(tried, metric).drop(columns="learning_rate", errors="ignore")
    excluded = []
    for name in map(str, best):
        label, off = name.replace("_", " "), tried[name].astype(float) != best[name]
        excluded += [
            Excluded(run, f"{label} {own:g} is not the best of its cell ({other:g})", f"not at its cell's best {label}")
            for run, own, other in zip(tried.loc[off, "id"], tried.loc[off, name], best.loc[off, name], strict=True)
        ]
        tried, best = tried[~off], best[~off]
    return tried, tuple(excluded)


def _cells(runs: pd.DataFrame, highest_diverged: pd.Series, settings: Sequence[str], metric: str) -> pd.DataFrame:
    rows = []
    closed = closed_edges(runs, runs, metric, settings)
    for cell, of_cell in runs.groupby("cell"):
        tried = of_cell.groupby("learning_rate")[metric].mean()
        best = float(tried.index[int(tried.to_numpy().argmin())])
        closed_above = closed.at[cell, "above"] or bool(highest_diverged[cell] > best)
        at_edge = ""
        if best == tried.index.min() and not closed.at[cell, "below"]:
            at_edge = "lowest"
        elif best == tried.index.max() and not closed_above:
            at_edge = "highest"
        names = {name: of_cell[name].iloc[0] for name in (*_NAMES, *settings)}
        params = float(of_cell["params"].iloc[0]) if "params" in of_cell else float("nan")
        rows.append({**names, "params": params, "best_tried": best, "rates": len(tried), "at_edge": at_edge})
    return pd.DataFrame(rows, columns=[*_NAMES, *settings, "params", "best_tried", "rates", "at_edge"])


def _highest_diverged(kept: pd.DataFrame, runs: pd.DataFrame, settings: Sequence[str]) -> pd.Series:
    """Find for each cell the highest learning rate at which a run of the same model, budget and settings diverged; NaN where none did."""
    diverged = _diverged(runs)
    both = pd.concat([kept, diverged], ignore_index=True)
    key = alike(both, [name for name in (*_NAMES, "params", *settings) if name in both])
    highest = pd.to_numeric(both["learning_rate"][len(kept) :]).groupby(key[len(kept) :]).max()
    return key[: len(kept)].groupby(kept["cell"].to_numpy()).first().map(highest)


def _diverged(runs: pd.DataFrame) -> pd.DataFrame:
    table = runs[runs["status"] == RunStatus.DIVERGED] if "status" in runs else runs.iloc[:0]
    names = {name: table[name].astype(object).fillna("").astype(str) if name in table else "" for name in ("family", "model")}
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
