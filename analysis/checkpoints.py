"""Tables with several rows a run: its checkpoints. They are one run, not several.

The rows of a run are recognised by a column with its name that repeats, a column that says how far it was trained and differs from row to
row, and settings that do not. Rows of one step are read as one: trackers write what is trained and what is validated in rows of their own,
and a resumed run repeats some. A law of final losses takes the last row of each; a law of that very progress (examples seen, steps) takes the
curve, every row, and resamples whole runs, since the checkpoints of a run err together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.reading.column_kinds import columns_of_progress, columns_of_runs, words_of
from analysis.reading.source import source_of
from scaling.errors import UsageError

__all__ = ["Checkpoints", "checkpoints_of"]

_MAY_BE_MODELS = ("name", "display name", "experiment", "experiment name", "exp name", "trial")
"""Names that people give to models and recipes too: only a number of steps or one epoch after another makes them a run's."""
_STEPS = ("step", "global step", "iteration", "iter", "epoch")

_LEAST_ROWS = 4
_REPEATED = 0.2
"""Of the rows of runs, so many may repeat a step with other numbers: those of resumed runs."""

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
        return bool(columns_of_progress(x))

    def a_row_a_step(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with the rows of one step of a run as one, each column with its last value there."""
        key = [self.run, self.progress]
        if not table.duplicated(key).any():
            return table
        merged = table.groupby(key, sort=False, dropna=False).last().reset_index()
        first = table[~table.duplicated(key)]
        merged = merged[list(table)].set_axis(first.index)
        merged.attrs = dict(table.attrs)
        return merged.assign(id=first["id"]) if "id" in table else merged

    def last(self, table: pd.DataFrame, needed: Sequence[str]) -> pd.Series:
        """True in the row of each run that was trained furthest, of those with the `needed` columns.

        Where these are logged now and then, that is a row before the last one; but a run that has stopped to log them, as one that
        diverged has, counts with its last row, which lacks them.
        """
        order = pd.to_numeric(table[self.progress], errors="coerce")
        logged = order.where(table[list(needed)].notna().all(axis=1))
        groups, of_logged = (each.groupby(table[self.run], dropna=False) for each in (order, logged))
        gap = of_logged.transform(lambda at: np.diff(np.sort(at.dropna().to_numpy(float))).max(initial=0.0))
        end, end_of_logged = groups.transform("max"), of_logged.transform("max")
        at = end.where(~(end - end_of_logged < gap), end_of_logged)
        return (order == at) & ~pd.DataFrame({"run": table[self.run], "at": order}).duplicated(keep="last")


def checkpoints_of(table: pd.DataFrame) -> Checkpoints | None:
    """What names the runs and orders their rows, or None where every row is a run of its own."""
    for run in columns_of_runs(table):
        names = table[run]
        if names.isna().any() or not names.duplicated().any():
            continue
        several = names.duplicated(keep=False)
        groups = table[several].groupby(names[several], sort=False)
        settings = [name for name in _SETTINGS if name in table and name != run]
        if settings and (groups[settings].nunique() > 1).any(axis=None):
            continue
        for progress in (name for name in columns_of_progress(table) if name != run):
            if _key(run) in _MAY_BE_MODELS and _key(progress) not in _STEPS:
                continue
            at = pd.to_numeric(table[progress], errors="coerce")
            if at.notna().all() and (at.groupby(names).nunique() > 1).mean() > 0.5 and not _contradicts(table, run, progress):
                return Checkpoints(run, progress, int(names.nunique()))
    return None


def refuse_one_run(table: pd.DataFrame, x: Sequence[str]) -> None:
    """Raises `UsageError` for a table that a program wrote of a single run, unless the curve itself is asked for."""
    if source_of(table).get("one_run") and not columns_of_progress(x):
        progress = next(iter(columns_of_progress(table)), "step")
        raise UsageError(
            "the rows of this table are the steps of one run: a curve, not several runs",
            hint=f"give a table with a row a run; or ask for the curve itself: --x {progress}",
        )


def may_be_one_run(table: pd.DataFrame, x: Sequence[str]) -> str | None:
    """The column of progress of a table whose rows may be checkpoints of a single run: all in one setting, each further than the one before,
    and no column that names runs."""
    named = [name for name in columns_of_runs(table) if not table[name].astype(str).str.startswith("row ").all()]
    settings = [name for name in _SETTINGS if name in table and table[name].nunique() > 1]
    if named or settings or len(table) < _LEAST_ROWS or columns_of_progress(x):
        return None
    rising = (
        name for name in columns_of_progress(table) if pd.to_numeric(table[name], errors="coerce").diff().iloc[1:].gt(0).all()
    )
    return next(rising, None)


def _contradicts(table: pd.DataFrame, run: str, progress: str) -> bool:
    """Whether many rows of one step of a run have different numbers, as those of different runs have."""
    key = [run, progress]
    again = table[table.duplicated(key, keep=False)]
    if again.empty:
        return False
    numbers = [name for name in again.select_dtypes("number") if name not in key]
    differ = (again.groupby(key, sort=False)[numbers].nunique() > 1).any(axis=1) if numbers else pd.Series(dtype=bool)
    return bool(differ.sum() > _REPEATED * table.duplicated(key).rsub(1).sum())


def _key(name: str) -> str:
    return " ".join(words_of(name))
