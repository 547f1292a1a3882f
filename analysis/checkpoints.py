"""Tables with several rows a run: its checkpoints. They are one run, not several.

The rows of a run are recognised by their columns. One has the run's name, which repeats. One says how far it was trained, which differs
from row to row. The settings do not differ. The column of progress may be called `step` or otherwise, or be the compute itself
(`analysis.progress`). A name that people give to models and recipes too (`name`, `experiment`) names a run only beside a `step` or
`epoch`. Where it does not, and where too few runs would be left for a law, a note says what the rows may be.

Rows of one step are read as one: trackers write what is trained and what is validated in rows of their own, and a resumed run repeats
some. A law of final losses takes the last row of each run. A law of that very progress (examples seen, steps) takes the curve, every
row. It resamples whole runs, since the checkpoints of a run err together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.progress import follows, looks_logged, rising_column
from analysis.reading.column_kinds import (
    columns_of_progress,
    columns_of_runs,
    is_compute,
    is_counter,
    is_size,
    names_files,
    words_of,
)
from analysis.reading.source import source_of
from scaling.errors import UsageError

__all__ = ["Checkpoints", "checkpoints_of", "refuse_one_run", "rows_note"]

_MAY_BE_MODELS = ("name", "display name", "experiment", "experiment name", "exp name", "trial")
"""Names that people give to models and recipes too: only a number of steps or one epoch after another makes them a run's."""
_STEPS = ("step", "global step", "iteration", "iter", "epoch")

_LEAST_ROWS = 4
_LEAST_RUNS = 3
"""The runs that a law takes: where fewer would be left, the rows stay, and a note says what they may be."""
_SAME_COST = 0.1
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

    run: those that tell runs apart, mostly one with their name. progress: the one that orders the rows of a run. runs: how many there
    are.
    told: true where the name of the progress column says that it is one, false where only its values do.
    """

    run: tuple[str, ...]
    progress: str
    runs: int
    told: bool = True

    def is_asked_for(self, x: Sequence[str]) -> bool:
        """Say whether a law of these inputs is one of the curve along a run."""
        return bool(columns_of_progress(x)) or (not self.told and any(is_counter(name) for name in x))

    @property
    def note(self) -> str:
        """Say what the rows were taken for, where only their values tell; else empty."""
        if self.told:
            return ""
        return (
            f"{self.progress} rises along the rows of each {self.run[0]}, and no setting differs in them: they are checkpoints of {self.runs} runs; "
            f"--cell {self.progress} takes each row as a run of its own"
        )

    def a_row_a_step(self, table: pd.DataFrame) -> pd.DataFrame:
        """Merge the rows of one step of a run into one, each column with its last value there."""
        key = [*self.run, self.progress]
        if not table.duplicated(key).any():
            return table
        merged = table.groupby(key, sort=False, dropna=False).last().reset_index()
        first = table[~table.duplicated(key)]
        merged = merged[list(table)].set_axis(first.index)
        merged.attrs = dict(table.attrs)
        return merged.assign(id=first["id"]) if "id" in table else merged

    def last(self, table: pd.DataFrame, needed: Sequence[str]) -> pd.Series:
        """Mark the row of each run that was trained furthest, of those with the `needed` columns.

        Where these columns are logged now and then, that is a row before the last one. A run that stopped logging them, as one that
        diverged has, counts with its last row, which lacks them.

        Returns: True or False for each row.
        """
        order = pd.to_numeric(table[self.progress], errors="coerce")
        logged = order.where(table[list(needed)].notna().all(axis=1))
        groups, of_logged = (each.groupby([table[name] for name in self.run], dropna=False) for each in (order, logged))
        gap = of_logged.transform(lambda at: np.diff(np.sort(at.dropna().to_numpy(float))).max(initial=0.0))
        end, end_of_logged = groups.transform("max"), of_logged.transform("max")
        at = end.where(~(end - end_of_logged < gap), end_of_logged)
        return (order == at) & ~table[list(self.run)].assign(_at=order).duplicated(keep="last")


def checkpoints_of(table: pd.DataFrame, *, asked: Sequence[str] = (), cell: Sequence[str] = ()) -> Checkpoints | None:
    """Find the columns that name the runs and order their rows; None where every row is a run of its own.

    Without a column that names runs, rows that agree in all settings and differ in the number of steps are checkpoints of one run. Runs
    that were trained to several budgets say so in `steps`, `epochs` or `tokens`.

    Args:
        asked: metric and inputs of the question. cell: columns that the user says tell cells apart: none of them is progress within a
            run, unless its name says so.
    """
    named = columns_of_runs(table)
    for run in named:
        if not _repeats(table[run]):
            continue
        settings = _settings(table, run)
        for progress in (name for name in columns_of_progress(table) if name != run):
            if _key(run) in _MAY_BE_MODELS and _key(progress) not in _STEPS:
                continue
            if _is_curve(table, [run], progress, settings):
                return Checkpoints((run,), progress, int(table[run].nunique()))
    found = _rising_in_runs(table, asked=asked, cell=cell)
    if found is not None and _names_runs(table, found) and _differ_at_the_end(table, found, asked):
        return found
    if any(not table[run].duplicated().any() and not _is_row_number(table[run]) for run in named):
        return None
    return _of_unnamed_runs(table)


def _rising_in_runs(table: pd.DataFrame, *, asked: Sequence[str] = (), cell: Sequence[str] = ()) -> Checkpoints | None:
    """Find columns that may name runs and order their rows, by the values of the latter."""
    named = columns_of_runs(table)
    if any(not table[name].duplicated().any() and not _numbers_rows(table[name]) for name in named):
        return None  # each row has a name of its own
    files = [str(name) for name in table if names_files(str(name), table[name])]
    apart = {*source_of(table).get("cell", ()), *cell}
    for run in [*named, *files]:
        if not _repeats(table[run]) or run in apart:
            continue
        progress = rising_column(table, run, settings=_settings(table, run), asked=asked)
        if progress is not None and progress not in apart:
            return Checkpoints((run,), progress, int(table[run].nunique()), told=False)
    return None


def _names_runs(table: pd.DataFrame, found: Checkpoints) -> bool:
    """Say whether a column of repeated names names runs: not models, and not the number of a replicate, which all settings have."""
    (run,) = found.run
    if _key(run) in _MAY_BE_MODELS:
        return False
    return not pd.api.types.is_numeric_dtype(table[run]) or "id" in words_of(run) or _settings_of_ends(table, found) > 1


def _differ_at_the_end(table: pd.DataFrame, found: Checkpoints, asked: Sequence[str]) -> bool:
    """Say whether the last rows of the runs have enough different settings, or costs, to fit a law to."""
    ends = table.loc[table.groupby(found.run[0])[found.progress].idxmax()]
    costs = [
        np.log(ends[name].to_numpy(float)) for name in ends if (name in asked or is_compute(str(name))) and _is_positive(ends[name])
    ]
    kinds = max((len(np.unique(np.round(cost / _SAME_COST))) for cost in costs), default=0)
    return max(kinds, _settings_of_ends(table, found)) >= _LEAST_RUNS


def _settings_of_ends(table: pd.DataFrame, found: Checkpoints) -> int:
    """Count the different settings among the last rows of the runs; counters and seeds are no settings."""
    names = [name for name in _settings(table, found.run[0]) if name not in ("seed", found.progress) and not is_counter(name)]
    ends = table.loc[table.groupby(found.run[0])[found.progress].idxmax(), names]
    return len(ends.drop_duplicates()) if names else 1


def _settings(table: pd.DataFrame, run: str) -> list[str]:
    sizes = [str(name) for name in table if is_size(str(name), table[name])]
    return [name for name in dict.fromkeys([*_SETTINGS, *sizes]) if name in table and name != run]


def _repeats(names: pd.Series) -> bool:
    return bool(names.notna().all() and names.duplicated().any())


def _numbers_rows(names: pd.Series) -> bool:
    return _is_row_number(names) or bool(pd.api.types.is_numeric_dtype(names))


def _is_positive(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values) and (values > 0).all() and np.isfinite(values.astype(float)).all())


def _of_unnamed_runs(table: pd.DataFrame) -> Checkpoints | None:
    progress = next((name for name in columns_of_progress(table) if _key(name) in _STEPS and _key(name) != "epoch"), None)
    if progress is None:
        return None
    settings = [name for name in _SETTINGS if name in table and table[name].notna().all() and (table[name] != "").any()]
    if not {"model", "params"} & set(settings):
        return None
    others = [table[name] for name in settings if name != "learning_rate"]
    if "learning_rate" in settings and follows(table, others, "learning_rate", pd.to_numeric(table[progress], errors="coerce")):
        settings.remove("learning_rate")
    runs = int(table.groupby(settings, sort=False).ngroups)
    if runs < 2 or len(table) < _LEAST_ROWS * runs or table.duplicated([*settings, progress]).any():
        return None
    return Checkpoints(tuple(settings), progress, runs) if _is_curve(table, settings, progress, []) else None


def _is_curve(table: pd.DataFrame, run: Sequence[str], progress: str, settings: Sequence[str]) -> bool:
    """Say whether the rows of most runs are at several places of the progress, and those of every run in one setting."""
    at = pd.to_numeric(table[progress], errors="coerce")
    groups = [table[name] for name in run]
    if at.isna().any() or not (at.groupby(groups).nunique() > 1).mean() > 0.5 or _contradicts(table, run, progress):
        return False
    named_in_words = not pd.api.types.is_numeric_dtype(table[run[0]])
    for name in settings:
        if (table[name].groupby(groups).nunique() > 1).any() and not (named_in_words and follows(table, groups, name, at)):
            return False
    return True


def _is_row_number(names: pd.Series) -> bool:
    return all(str(name).startswith("row ") for name in names)


def refuse_one_run(table: pd.DataFrame, x: Sequence[str]) -> None:
    """Raise `UsageError` for a table that a program wrote of a single run, unless the curve itself is asked for."""
    if source_of(table).get("one_run") and not columns_of_progress(x):
        progress = next(iter(columns_of_progress(table)), "step")
        raise UsageError(
            "the rows of this table are the steps of one run: a curve, not several runs",
            hint=f"give a table with a row a run; or ask for the curve itself: --x {progress}",
        )


def rows_note(
    table: pd.DataFrame, found: Checkpoints | None, x: Sequence[str], *, asked: Sequence[str] = (), cell: Sequence[str] = ()
) -> str:
    """Say what the rows were taken for, or may be, where that is not plain from the names of columns; else empty.

    Args:
        table: as it was read. found: what `checkpoints_of` finds in it. x: inputs of the question. asked, cell: as of `checkpoints_of`.
    """
    if found is not None:
        return found.note
    maybe = _rising_in_runs(table, asked=asked, cell=cell)
    if maybe is not None and looks_logged(table, maybe.run[0], maybe.progress):
        return (
            f"{maybe.progress} rises along the rows of each {maybe.run[0]}: if these are checkpoints of one run, they err together and the intervals "
            f"are too narrow; --clusters {maybe.run[0]} resamples them as one, --map run_id={maybe.run[0]} counts each run with its last row"
        )
    if (progress := _of_one_run(table, x)) is not None:
        return (
            f"{progress} rises from row to row and no column names runs: if the rows are checkpoints of one run, they are one run and its "
            "curve, not a law of runs"
        )
    if (progress := _of_nameless(table, x)) is not None:
        return (
            f"rows that agree in all settings are at many values of {progress}, and no column names runs: if they are checkpoints, name the "
            "runs: --map run_id=THEIRS; till then the intervals are too narrow"
        )
    return ""


def _of_one_run(table: pd.DataFrame, x: Sequence[str]) -> str | None:
    """Find the column of progress of a table whose rows may be checkpoints of a single run; None where they may not.

    They may where all rows have one setting, each row is further than the one before, and no column names runs.
    """
    named = [name for name in columns_of_runs(table) if not _is_row_number(table[name])]
    settings = [name for name in _SETTINGS if name in table and table[name].nunique() > 1]
    if named or settings or len(table) < _LEAST_ROWS or columns_of_progress(x):
        return None
    rising = (
        name for name in columns_of_progress(table) if pd.to_numeric(table[name], errors="coerce").diff().iloc[1:].gt(0).all()
    )
    return next(rising, None)


def _of_nameless(table: pd.DataFrame, x: Sequence[str]) -> str | None:
    """Find the column of steps of a table whose rows may be curves of seeds that no column tells apart; None where they may not.

    They may where most settings have rows at many steps, and two or more rows at each step on average.
    """
    named = [name for name in columns_of_runs(table) if not _is_row_number(table[name])]
    settings = [name for name in _settings(table, "") if not is_counter(name) and table[name].notna().all()]
    steps = [name for name in columns_of_progress(table) if _key(name) in _STEPS and pd.api.types.is_numeric_dtype(table[name])]
    if named or not settings or not steps or columns_of_progress(x) or table[steps[0]].isna().any():
        return None
    of_setting = table.groupby(settings)[steps[0]]
    many = (of_setting.nunique() >= _LEAST_ROWS) & (of_setting.size() >= 2 * of_setting.nunique())
    return steps[0] if many.mean() > 0.5 else None


def _contradicts(table: pd.DataFrame, run: Sequence[str], progress: str) -> bool:
    """Say whether many rows of one step of a run have different numbers, as those of different runs have."""
    key = [*run, progress]
    again = table[table.duplicated(key, keep=False)]
    if again.empty:
        return False
    numbers = [name for name in again.select_dtypes("number") if name not in key]
    differ = (again.groupby(key, sort=False)[numbers].nunique() > 1).any(axis=1) if numbers else pd.Series(dtype=bool)
    return bool(differ.sum() > _REPEATED * table.duplicated(key).rsub(1).sum())


def _key(name: str) -> str:
    return " ".join(words_of(name))
