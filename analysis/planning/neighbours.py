"""Cells like those that were run, with their price: candidates for a plan where no file says which cells there could be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.finetuned import refuse_plan
from analysis.pareto import Frontier
from analysis.reading.prices import MONEY
from analysis.selection import usable_runs
from analysis.unfinished import takes_runs, unfinished
from scaling.accelerators import estimate_core_hours
from scaling.columns import COLUMNS
from scaling.errors import DataError

__all__ = ["a_tenth_and_ten_times", "neighbouring_cells"]

BEYOND = 4.0
"""How far above the largest epoch budget that was run a candidate may lie, as a factor."""

MOST = 80
"""The most candidates, so that a plan takes seconds; of more epoch budgets, and of more models, an even spread is kept."""

_GROWING = ("train_flops", "examples_seen")


@takes_runs
def neighbouring_cells(runs: pd.DataFrame, *, metric: str = "val_loss", in_money: bool = False) -> pd.DataFrame:
    """Pair every model that was run with every epoch budget that was, and with twice and four times the largest.

    Beyond `MOST` cells an even spread of them is kept. A row is one run of a cell, whether it was run before (another seed) or not. It
    has `family`, `model`, `epochs`, `seeds` = 1 and `core_hours`, and `params`, `examples_seen`, `unique_examples`, `train_flops` where
    the table has them. The price of an epoch is the median of what the model's runs took.

    in_money: what runs cost is known, so that those of several accelerators may be paired: a model is one for each that its runs were
    on, and cells have `accelerator`, `cost` and `currency`. Else their core-hours do not compare.

    Raises: DataError without `model`, `epochs` and `core_hours`; and what `usable_runs` raises.
    """
    refuse_plan(metric)
    missing = [name for name in ("model", "epochs", "core_hours") if name not in runs or runs[name].isna().all()]
    if missing:
        raise DataError(f"candidates need the {' and '.join(missing)} of the runs", hint=_cure(runs, missing))
    table = usable_runs(runs, metric=metric, x="cost" if in_money else "core_hours").runs
    table = table[(table["epochs"].astype(float) > 0) & (table["core_hours"].astype(float) > 0)]
    of_one_kind = ["accelerator"] if in_money and "accelerator" in table and table["accelerator"].notna().all() else []
    budgets = np.unique(table["epochs"].astype(float))
    if not len(budgets):
        return pd.DataFrame(columns=["family", "model", "epochs", "seeds", "core_hours"])
    budgets = np.unique(np.concatenate([budgets, budgets.max() * np.array([2.0, BEYOND])]))
    models = [(name, own) for name, own in table.groupby(["family", "model", *of_one_kind], sort=True)]
    models = [models[place] for place in _spread(len(models), MOST // 4)]
    budgets = budgets[_spread(len(budgets), max(4, MOST // max(1, len(models))))]
    rows = []
    for (family, model, *kind), own in models:
        epochs = own["epochs"].astype(float)
        an_epoch = {
            name: float((own[name] / epochs).median())
            for name in ("core_hours", *(["cost"] if in_money else []), *_GROWING)
            if name in own and own[name].notna().any()
        }
        of_one = float((own["unique_examples"] / np.minimum(epochs, 1.0)).median()) if "unique_examples" in own else np.nan
        for budget in budgets:
            row = {"family": family, "model": model, "epochs": budget, "seeds": 1}
            row["core_hours"] = estimate_core_hours(budget, an_epoch["core_hours"])
            row |= dict(zip(of_one_kind, kind, strict=True))
            if in_money:
                row |= {"cost": an_epoch["cost"] * budget, "currency": own["currency"].iloc[0]}
            row |= {name: an_epoch[name] * budget for name in _GROWING if name in an_epoch}
            if "params" in own and own["params"].notna().any():
                row["params"] = float(own["params"].median())
            if np.isfinite(of_one):
                row["unique_examples"] = of_one * min(budget, 1.0)
            rows.append(row)
    return pd.DataFrame(rows)


def _cure(runs: pd.DataFrame, missing: Sequence[str]) -> str:
    """Say how to give candidates: a table of them, or --map, where the runs have a column that may be meant."""
    if (left := unfinished(runs)) is not None:
        return f"{left}; {left.advice}"
    table = "list what could be run in a table with a column core_hours, and with --x where that is another: scaling plan candidates.csv …"
    others = [str(name) for name in runs if name not in COLUMNS and runs[name].nunique() > 1]
    return f"{table}; or map columns: --map {missing[0]}=THEIRS, one of {', '.join(others)}" if others else table


def _spread(count: int, most: int) -> np.ndarray:
    """Choose at most `most` of `count` places, evenly, with both ends."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def a_tenth_and_ten_times(found: Frontier) -> tuple[float | str, float]:
    """Return a budget and a target for a plan where nobody named any, to two digits.

    They are a tenth of the core-hours that the frontier's runs took, of money where that is its x, and ten times the largest compute.
    """
    in_money = found.x in MONEY and found.currency is not None
    column = "cost" if in_money else "core_hours"
    spent = float(found.runs[column].astype(float).sum()) if column in found.runs else float("nan")
    tenth = float(f"{spent / 10:.2g}")
    return f"{tenth:g} {found.currency}" if in_money else tenth, float(f"{10 * found.points[found.x].max():.2g}")
