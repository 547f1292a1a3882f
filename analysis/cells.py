"""Cells: what one point of the frontier stands for. A cell is (family, model, epochs); seeds and learning rates are inside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.reading.source import source_of
from analysis.selection import Excluded, count_hint, usable_runs
from scaling.errors import TooFewPoints, UsageError

__all__ = ["CELL", "assign_cells", "best_learning_rates", "cells_of", "refuse_mixed_studies"]

CELL = ("family", "model", "epochs")
"""The columns that name a cell."""

_IDS_SHOWN = 4


def cells_of(
    runs: pd.DataFrame, *, metric: str, x: str | Sequence[str], clusters: Sequence[str] = CELL
) -> tuple[pd.DataFrame, tuple[Excluded, ...]]:
    """The usable runs at their cell's best learning rate, with a column `cell`, and all others with the reason.

    Raises:
        TooFewPoints: no run is usable.
        UsageError: the runs are of several studies, see `refuse_mixed_studies`; and what `usable_runs` raises.
    """
    axes = (x,) if isinstance(x, str) else tuple(x)
    usable = usable_runs(runs, metric=metric, x=axes)
    if usable.runs.empty:
        raise TooFewPoints(
            f"none of the {len(runs)} runs has a usable {metric} and {' and '.join(axes)}{_reasons(usable.excluded)}: 1 more is needed",
            have=0,
            need=1,
            hint=count_hint(usable.excluded, source_of(runs))
            or "a table: fill these columns, or --map them; the store: `scaling status` shows what still runs, `scaling submit` trains a grid",
        )
    table = usable.runs.assign(cell=assign_cells(usable.runs, clusters, axes))
    refuse_mixed_studies(table)
    kept, not_best = best_learning_rates(table, metric)
    return kept.reset_index(drop=True), usable.excluded + not_best


def assign_cells(runs: pd.DataFrame, by: Sequence[str], x: str | Sequence[str]) -> pd.Series:
    """A number for each run: runs with equal `by` columns share it.

    Columns that the table lacks are passed over. Without `epochs`, nothing would tell a model's budgets apart, so then the runs
    of a cell must also have equal `x`: in a bare table of (compute, loss) each distinct compute is a cell. Of a surface, `x` are
    the design itself (params, examples seen) rather than a measurement, and always tell cells apart.
    """
    axes = (x,) if isinstance(x, str) else tuple(x)
    present = [name for name in by if name in runs]
    if ("epochs" in by and "epochs" not in runs) or (len(axes) > 1 and tuple(by) == CELL):
        present.extend(axes)
    if not present:
        return pd.Series(np.arange(len(runs)), index=runs.index)
    return runs.groupby(list(dict.fromkeys(present)), dropna=False, sort=True).ngroup()


def refuse_mixed_studies(runs: pd.DataFrame) -> None:
    """Raises `UsageError` when one seed of a cell has several runs at one learning rate.

    They differ in what no column here tells apart (batch size, optimiser, split …), so a mean over them would be of no study.
    `runs` has a column `cell` and each id once. A table without `seed` cannot be judged and passes.
    """
    if "seed" not in runs:
        return
    key = [name for name in ("cell", "learning_rate", "seed") if name in runs]
    again = runs[runs.duplicated(key, keep=False) & runs["seed"].notna()]
    if again.empty:
        return
    _, same = next(iter(again.groupby(key, dropna=False)))
    which = ", ".join(f"{name} {same[name].iloc[0]}" for name in ("model", "epochs", "learning_rate", "seed") if name in same)
    raise UsageError(
        f"the runs are of several studies ({which}: {_some(same['id'])}): they may differ in what the table does not say (batch size, "
        "optimiser, split), so their losses do not compare",
        hint="choose one experiment: --experiment NAME; or of a table some rows: --where COLUMN=VALUE",
    )


def _some(ids: pd.Series) -> str:
    return ", ".join([*ids[:_IDS_SHOWN], *(["…"] if len(ids) > _IDS_SHOWN else [])])


def best_learning_rates(runs: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, tuple[Excluded, ...]]:
    """The runs at their cell's best learning rate, and the others with the reason.

    Best is the lowest *mean* of `metric` over the seeds at that learning rate, so that a rate does not win by one lucky seed among
    several. `runs` has a column `cell`. A table without `learning_rate` is kept whole.
    """
    if "learning_rate" not in runs or runs["learning_rate"].isna().all():
        return runs, ()
    rate = runs["learning_rate"].astype(float)
    means = runs.groupby(["cell", rate.rename("rate")], dropna=False)[metric].mean().reset_index()
    best = means.loc[means.groupby("cell")[metric].idxmin()].set_index("cell")["rate"]
    cell_best = runs["cell"].map(best)
    kept = (rate == cell_best) | (rate.isna() & cell_best.isna())
    kind = "not at its cell's best learning rate"
    excluded = tuple(
        Excluded(run, f"learning rate {own:g} is not the best of its cell ({other:g})", kind)
        for run, own, other in zip(runs.loc[~kept, "id"], rate[~kept], cell_best[~kept], strict=True)
    )
    return runs[kept], excluded


def _reasons(excluded: Sequence[Excluded]) -> str:
    counts = pd.Series([entry.kind for entry in excluded], dtype=object).value_counts()
    return f" ({', '.join(f'{count} {kind}' for kind, count in counts.items())})" if len(counts) else ""
