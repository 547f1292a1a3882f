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

__all__ = ["Checkpoints", "checkpoints_of", "may_be_one_run", "refuse_one_run"]

_MAY_BE_MODELS = ("name", "display name", "experiment", "experiment name", "exp name", "trial")
"""Names that people give to models and recipes too: only a number of steps or one epoch after another makes them a run's."""
_STEPS = ("step", "global step", "iteration", "iter", "epoch")

_LEAST_ROWS = 4
_REPEATED = 0.2
"""The share of the steps that may be there twice with other numbers, as those of resumed runs are."""

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
    """Names the columns by which rows are checkpoints of runs.

    run: those that tell runs apart, mostly one with their name. progress: the one that orders the rows of a run. runs: how many there are.
    """

    run: tuple[str, ...]
    progress: str
    runs: int

    def is_asked_for(self, x: Sequence[str]) -> bool:
        """Whether a law of these inputs is of the curve along a run."""
        return bool(columns_of_progress(x))

    def a_row_a_step(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with the rows of one step of a run as one, each column with its last value there."""
        key = [*self.run, self.progress]
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
        groups, of_logged = (each.groupby([table[name] for name in self.run], dropna=False) for each in (order, logged))
        gap = of_logged.transform(lambda at: np.diff(np.sort(at.dropna().to_numpy(float))).max(initial=0.0))
        end, end_of_logged = groups.transform("max"), of_logged.transform("max")
        at = end.where(~(end - end_of_logged < gap), end_of_logged)
        return (order == at) & ~table[list(self.run)].assign(_at=order).duplicated(keep="last")


def checkpoints_of(table: pd.DataFrame) -> Checkpoints | None:
    """Find the columns that name the runs and order their rows; None where every row is a run of its own.

    Without a column that names runs, rows that agree in all settings and differ in the number of steps are checkpoints of one run: runs that
    were trained to several budgets say so in `steps`, `epochs` or `tokens`.
    """
    named = columns_of_runs(table)
    for run in named:
        names = table[run]
        if names.isna().any() or not names.duplicated().any():
            continue
        settings = [name for name in _SETTINGS if name in table and name != run]
        for progress in (name for name in columns_of_progress(table) if name != run):
            if _key(run) in _MAY_BE_MODELS and _key(progress) not in _STEPS:
                continue
            if _is_curve(table, [run], progress, settings):
                return Checkpoints((run,), progress, int(names.nunique()))
    if any(not table[run].duplicated().any() and not _is_row_number(table[run]) for run in named):
        return None
    return _of_unnamed_runs(table)


def _of_unnamed_runs(table: pd.DataFrame) -> Checkpoints | None:
    progress = next((name for name in columns_of_progress(table) if _key(name) in _STEPS and _key(name) != "epoch"), None)
    settings = [name for name in _SETTINGS if name in table and table[name].notna().all() and (table[name] != "").any()]
    if progress is None or not {"model", "params"} & set(settings):
        return None
    others = [table[name] for name in settings if name != "learning_rate"]
    if "learning_rate" in settings and _follows(table, others, "learning_rate", pd.to_numeric(table[progress], errors="coerce")):
        settings.remove("learning_rate")
    runs = int(table.groupby(settings, sort=False).ngroups)
    if runs < 2 or len(table) < _LEAST_ROWS * runs or table.duplicated([*settings, progress]).any():
        return None
    return Checkpoints(tuple(settings), progress, runs) if _is_curve(table, settings, progress, []) else None


def _is_curve(table: pd.DataFrame, run: Sequence[str], progress: str, settings: Sequence[str]) -> bool:
    """Whether the rows of most runs are at several places of the progress and in one setting."""
    at = pd.to_numeric(table[progress], errors="coerce")
    groups = [table[name] for name in run]
    if at.isna().any() or not (at.groupby(groups).nunique() > 1).mean() > 0.5 or _contradicts(table, run, progress):
        return False
    named_in_words = not pd.api.types.is_numeric_dtype(table[run[0]])
    for name in settings:
        if (table[name].groupby(groups).nunique() > 1).any() and not (named_in_words and _follows(table, groups, name, at)):
            return False
    return True


def _follows(table: pd.DataFrame, groups: Sequence[pd.Series], name: str, at: pd.Series) -> bool:
    """Whether a number rises or falls from row to row of each run, as the learning rate of a schedule or the epochs done: no setting."""
    if not pd.api.types.is_numeric_dtype(table[name]):
        return False
    values = pd.DataFrame({"at": at, "value": table[name]}).sort_values("at", kind="stable")["value"]
    own = values.groupby([group.loc[values.index] for group in groups])
    monotone = own.agg(lambda each: each.is_monotonic_increasing or each.is_monotonic_decreasing)
    return bool(monotone.all() and (own.nunique() > own.size() / 2).mean() > 0.5)


def _is_row_number(names: pd.Series) -> bool:
    return bool(names.astype(str).str.startswith("row ").all())


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
    named = [name for name in columns_of_runs(table) if not _is_row_number(table[name])]
    settings = [name for name in _SETTINGS if name in table and table[name].nunique() > 1]
    if named or settings or len(table) < _LEAST_ROWS or columns_of_progress(x):
        return None
    rising = (
        name for name in columns_of_progress(table) if pd.to_numeric(table[name], errors="coerce").diff().iloc[1:].gt(0).all()
    )
    return next(rising, None)


def _contradicts(table: pd.DataFrame, run: Sequence[str], progress: str) -> bool:
    """Whether many rows of one step of a run have different numbers, as those of different runs have."""
    key = [*run, progress]
    again = table[table.duplicated(key, keep=False)]
    if again.empty:
        return False
    numbers = [name for name in again.select_dtypes("number") if name not in key]
    differ = (again.groupby(key, sort=False)[numbers].nunique() > 1).any(axis=1) if numbers else pd.Series(dtype=bool)
    return bool(differ.sum() > _REPEATED * table.duplicated(key).rsub(1).sum())


def _key(name: str) -> str:
    return " ".join(words_of(name))
