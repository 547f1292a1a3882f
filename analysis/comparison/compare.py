"""`compare`: two families or recipes at equal compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.comparison.arms import Arm, split_arms
from analysis.comparison.joint import joint_difference
from analysis.comparison.paired import LEAST_PAIRS, paired_difference
from analysis.comparison.pairing import pair_cells
from analysis.comparison.result import Comparison
from scaling.errors import UsageError

__all__ = ["compare"]


def compare(
    runs: pd.DataFrame,
    *,
    by: str = "family",
    a: str | None = None,
    b: str | None = None,
    metric: str = "val_loss",
    x: str = "core_hours",
    cell: Sequence[str] = (),
    level: float = 0.95,
) -> Comparison:
    """Compare two sides of column `by` at equal compute.

    >>> compare(runs, by="family", a="nfnet", b="vit").sentence()

    Cells of the two sides that share a budget (equal epochs, compute within 8 %) are paired, so that what both share cancels. Where
    fewer than half of the smaller side's cells pair, all cells are fitted jointly by one smooth surface that is shifted between the
    sides. Either way a cell stands at its best learning rate, the mean over its seeds, and counts once.

    Args:
        runs: one row a run, columns as in `scaling.columns`.
        by: any column. a, b: two of its values; may be left out when it has exactly two.
        metric: what should be low. x: what it costs.
        cell: columns that tell the cells of a side apart besides its settings, see `analysis.frontier`.
        level: nominal coverage of the intervals.

    Raises:
        UsageError, UnknownName: see `split_arms`.
        TooFewPoints: too few shared budgets and too few cells; says how many more.
    """
    if not 0 < level < 1:
        raise UsageError(f"level {level:g} is not between 0 and 1", hint="0.95 gives 95 % intervals")
    first, second_arm, second, excluded = split_arms(runs, by=by, names=(a, b), metric=metric, x=x, cell=cell)
    pairs = pair_cells(first.cells, second_arm.cells)
    smaller = min(len(first.cells), len(second_arm.cells))
    if len(pairs) >= max(LEAST_PAIRS, smaller / 2):
        ours = first.cells.iloc[pairs[:, 0]].reset_index(drop=True)
        theirs = second_arm.cells.iloc[pairs[:, 1]].reset_index(drop=True)
        found = paired_difference(ours, theirs, second is not None)
        budgets = _pair_table(first, second_arm, ours, theirs, metric, x)
    else:
        found = joint_difference(first.cells, second_arm.cells, second is not None)
        budgets = _cell_table(first, second_arm, by, metric, x)
    return Comparison(
        by=by,
        a=first.name,
        b=second_arm.name,
        metric=metric,
        x=x,
        level=level,
        found=found,
        budgets=budgets,
        runs_used=len(first.frontier.runs) + len(second_arm.frontier.runs),
        excluded=excluded,
    )


def _pair_table(a: Arm, b: Arm, ours: pd.DataFrame, theirs: pd.DataFrame, metric: str, x: str) -> pd.DataFrame:
    columns = {"epochs": ours["epochs"]} if "epochs" in ours else {}
    for side, table in (("a", ours), ("b", theirs)):
        columns |= {f"{name}_{side}": table[name] for name in dict.fromkeys(("model", "seeds", x, metric))}
    columns["log_ratio"] = pd.Series(np.log(ours[metric].to_numpy(float) / theirs[metric].to_numpy(float)))
    return pd.DataFrame(columns).sort_values([f"{x}_a", f"{metric}_a"], kind="stable").reset_index(drop=True)


def _cell_table(a: Arm, b: Arm, by: str, metric: str, x: str) -> pd.DataFrame:
    named = [name for name in ("model", "epochs", "seeds", x, metric, "on_frontier") if name in a.cells and name in b.cells]
    tables = [arm.cells[list(dict.fromkeys(named))].assign(**{by: arm.name}) for arm in (a, b)]
    table = pd.concat(tables, ignore_index=True)
    return table[[by, *(name for name in table if name != by)]].sort_values([x, metric], kind="stable").reset_index(drop=True)
