"""Settings that were searched for beside the learning rate: of a cell's values the best counts, as of its rates.

A table says so in the column `searched`, as a store's runs do: `weight_decay` or `batch_size`, of the rows whose cell was searched. A table
without that column says it of weight decay alone, where one seed of a cell has several values of it, or a cell where there are no seeds: those are no replicates. A batch size
that nobody says was searched tells cells apart.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from analysis.reading.source import source_of

__all__ = ["SEARCHABLE", "is_told", "searched_settings", "without_searched"]

SEARCHABLE = ("weight_decay", "batch_size")
_OF_FINETUNING = ("parent_learning_rate", "finetune_weight_decay", "finetune_batch_size")
"""Settings of fine-tuned runs, see `analysis.finetuned`: what was searched for their parents and for them."""
_FOLLOWS = {"steps": "batch_size"}
"""What a searched setting changes with it."""


def is_told(runs: pd.DataFrame, name: str) -> pd.Series:
    """Say of each row whether the column `searched` names the setting, and `--cell` does not keep its values apart."""
    if "searched" not in runs or name in source_of(runs).get("cell", ()):
        return pd.Series(False, index=runs.index)
    told = [value for value in runs["searched"].unique() if name in str(value).replace(",", " ").split()]
    return runs["searched"].isin(told) if told else pd.Series(False, index=runs.index)


def without_searched(runs: pd.DataFrame, name: str) -> pd.Series:
    """Return a column with a missing value in the rows where it was searched, or follows from what was: there it tells no cells apart."""
    setting = _FOLLOWS.get(name, name)
    if setting not in (*SEARCHABLE, *_OF_FINETUNING) or "searched" not in runs:
        return runs[name]
    told = is_told(runs, setting)
    return runs[name].mask(told) if told.any() else runs[name]


def searched_settings(runs: pd.DataFrame, cell: Callable[[], pd.Series] | None = None) -> tuple[str, ...]:
    """List the settings beside the learning rate of which several values were tried in a cell, to choose the best.

    cell: gives each row's cell, without a weight decay; by default the column `cell`.
    """
    found = [name for name in (*SEARCHABLE, *_OF_FINETUNING) if name in runs and is_told(runs, name).any()]
    if "searched" in runs or "weight_decay" not in runs or not pd.api.types.is_numeric_dtype(runs["weight_decay"]):
        return tuple(found)
    if runs["weight_decay"].nunique() < 2:
        return ()
    group = [runs["cell"] if cell is None else cell()]
    if "seed" in runs:
        group.append(runs["seed"])
    return ("weight_decay",) if (runs["weight_decay"].groupby(group, dropna=False).nunique() > 1).any() else ()
