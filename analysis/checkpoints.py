"""Tables with several rows a run: its checkpoints. They are one run, not several.

The rows of a run are recognised by a column with its name that repeats, a column that says how far it was trained and differs from row to
row, and settings that do not. A law of final losses takes the last row of each; a law of that very progress (examples seen, steps) takes the
curve, every row, and resamples whole runs, since the checkpoints of a run err together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

__all__ = ["Checkpoints", "checkpoints_of"]

RUN_NAMES = ("run", "run_id", "run_name", "id", "Run", "run id", "run name", "experiment_id", "exp_id", "uid")
"""Columns that name a run, where their values repeat. `name` and `model` are not among them: they name a model at several budgets."""

PROGRESS = ("step", "_step", "global_step", "iteration", "iter", "examples_seen", "tokens", "tokens_seen", "epoch")
"""Columns that say how far a run was trained. `epochs` and `steps` are budgets, and tell runs apart."""

_SETTINGS = (
    "family",
    "model",
    "params",
    "epochs",
    "steps",
    "batch_size",
    "learning_rate",
    "seed",
    "dataset",
    "optimizer",
    "optimiser",
)


@dataclass(frozen=True)
class Checkpoints:
    """run: the column that names runs. progress: the one that orders the rows of a run. runs: how many there are."""

    run: str
    progress: str
    runs: int

    def is_asked_for(self, x: Sequence[str]) -> bool:
        """Whether a law of these inputs is of the curve along a run."""
        return any(name in PROGRESS for name in x)

    def last(self, table: pd.DataFrame) -> pd.Series:
        """True in the row of each run that was trained furthest."""
        order = pd.to_numeric(table[self.progress], errors="coerce")
        furthest = order.groupby(table[self.run], dropna=False).transform("max")
        return (order == furthest) & ~pd.DataFrame({"run": table[self.run], "at": order}).duplicated(keep="last")


def checkpoints_of(table: pd.DataFrame) -> Checkpoints | None:
    """What names the runs and orders their rows, or None where every row is a run of its own."""
    for run in (name for name in RUN_NAMES if name in table):
        names = table[run]
        if names.isna().any() or not names.duplicated().any():
            continue
        several = names.duplicated(keep=False)
        groups = table[several].groupby(names[several], sort=False)
        settings = [name for name in _SETTINGS if name in table and name != run]
        if settings and (groups[settings].nunique(dropna=False) > 1).any(axis=None):
            continue
        for progress in (name for name in PROGRESS if name in table and name != run):
            at = pd.to_numeric(table[progress], errors="coerce")
            if at.notna().all() and not pd.DataFrame({"run": names, "at": at}).duplicated().any():
                return Checkpoints(run, progress, int(names.nunique()))
    return None
