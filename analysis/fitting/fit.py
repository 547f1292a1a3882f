"""`fit`: a table of runs → a law with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from analysis.cells import CELL
from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.result import Fit
from analysis.laws import law_named
from analysis.laws.law import Law
from analysis.pareto import Frontier, frontier
from analysis.selection import Excluded
from scaling.errors import TooFewPoints, UnknownName, UsageError

__all__ = ["fit"]


def fit(
    runs: pd.DataFrame,
    *,
    metric: str = "val_loss",
    x: str = "core_hours",
    law: str = "power",
    objective: str = "log",
    on: Literal["all", "frontier"] = "all",
    clusters: Sequence[str] = CELL,
    bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Fit:
    """Fit a law of `metric` against `x`.

    >>> fit(runs, metric="val_loss", x="core_hours", law="power", on="frontier").interval()

    Args:
        runs: one row a run, columns as in `scaling.columns`; see `analysis.frontier` for the optional ones.
        metric: any positive column that is better when lower.
        x: any positive column; `core_hours` is refused for runs from several kinds of accelerator.
        law: one of `analysis.law_names()`.
        objective: `log`: squares of log residuals, i.e. of relative errors.
        on: `frontier`: the runs (every seed) of the compute-optimal cells; the interval takes the choice of cells as given. `all`:
            every cell. In both a cell is represented by its best learning rate (lowest mean over seeds): runs at other rates
            measure the search for it, not what compute buys, and are listed in `excluded`.
        clusters: the columns that name a cell; the runs of one cell are resampled together.
        bootstrap: draws, for laws whose intervals need them.
        level: nominal coverage of the intervals.
        seed: of the draws; equal input and seed give equal output.

    Raises:
        TooFewPoints: fewer distinct compute budgets than coefficients + 1; says how many more.
        UnknownName: no such law, objective or column; and what `analysis.frontier` raises.
    """
    chosen = law_named(law)
    if objective not in chosen.estimators:
        raise UnknownName(f"objective for law {law}:", objective, chosen.estimators)
    if on not in ("all", "frontier"):
        raise UnknownName("choice of runs", on, ("all", "frontier"))
    if not 0 < level < 1:
        raise UsageError(f"level {level:g} is not between 0 and 1", hint="0.95 gives 95 % intervals")
    if bootstrap < 100:
        raise UsageError(f"{bootstrap} bootstrap draws are too few for an interval", hint="1000 is the default, 100 the least")

    cells = frontier(runs, metric=metric, x=x, clusters=clusters)
    used, excluded = _used(cells, on)
    sample = Sample(
        x=used[x].to_numpy(float),
        y=used[metric].to_numpy(float),
        cell=np.unique(used["cell"].to_numpy(), return_inverse=True)[1],
    )
    _require_enough(chosen, sample, x, on, excluded)
    precision = Precision(level=level, bootstrap=bootstrap, seed=seed)
    estimate = chosen.estimators[objective](sample, precision)
    return Fit(
        law=law,
        objective=objective,
        on=on,
        metric=metric,
        x=x,
        estimate=estimate,
        precision=precision,
        runs=used.reset_index(drop=True),
        cells=sample.cells,
        excluded=excluded,
    )


def _used(cells: Frontier, on: str) -> tuple[pd.DataFrame, tuple[Excluded, ...]]:
    # In an order that does not depend on the table's, so that the bootstrap does not either.
    runs = cells.runs.sort_values([cells.x, cells.metric, "id"], kind="stable")
    if on == "all":
        return runs, cells.excluded
    optimal = runs["cell"].isin(cells.frontier_runs["cell"])
    reason = "its cell is not on the frontier"
    return runs[optimal], cells.excluded + tuple(Excluded(run, reason, "not on the frontier") for run in runs.loc[~optimal, "id"])


def _require_enough(law: Law, sample: Sample, x: str, on: str, excluded: Sequence[Excluded]) -> None:
    # Seeds of a cell differ a little in measured core-hours, but they are one budget.
    have, need = min(sample.cells, len(np.unique(sample.x))), law.least_points
    if have >= need:
        return
    more = need - have
    where = " on the frontier" if on == "frontier" else ""
    raise TooFewPoints(
        f"law {law.name} has {len(law.coefficients)} coefficients and needs {need} cells of distinct {x}{where}; there "
        f"{'is' if have == 1 else 'are'} {have} ({len(excluded)} runs left out): {more} more {'is' if more == 1 else 'are'} needed",
        have=have,
        need=need,
        hint="add epochs or models to the file and `scaling submit` it again; `scaling runs` lists what there is and why"
        + ("; or fit all runs: --on all" if on == "frontier" else ""),
    )
