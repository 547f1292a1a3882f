"""Histories of Weights & Biases, many rows a run: each run as the last values that it logged.

A run whose loss ended as NaN or infinite has diverged, and its last finite loss is not its result. Not every row has every metric:
an empty cell says that it was not logged there. NaN says the same in a file without empty cells that has NaN before finite values.
Where a metric ended well before its run, its last value is not that of the run's end either: the run has no value of it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.reading.column_kinds import columns_of_runs
from analysis.reading.diverged import is_loss, with_diverged
from scaling.errors import DataError

__all__ = ["last_of_each_run"]

_GAPS = 2.0
"""A metric that was not logged for so many times its longest gap has ended; one gap is enough where most runs log it at their end."""
_SHARE = 0.05
"""A metric has ended only where it is also missing for this share of the run, and in fewer than half of the runs.

Rows of a test at the end are no fault.
"""

_ROWS_A_RUN = 3
_NAMED = 4


def last_of_each_run(table: pd.DataFrame, path: Path, notes: list[str], losses: Collection[str] = ()) -> pd.DataFrame:
    """Return the last value of every column of each run, in order of `_step`. A table with a row a run (its summary) is returned as it is.

    losses: columns that are losses whatever their name. notes: gets a sentence for each thing that was set aside.
    A run of which a loss ended as NaN or infinite gets `status` diverged, and the column and step as its `reason`.
    Raises `DataError` for the history of one run, and where the runs cannot be told apart.
    """
    named = columns_of_runs(table)
    run = next((name for name in named if table[name].duplicated().any()), named[0] if named else None)
    if run is None:
        if len(table) > 1 and table["_step"].is_monotonic_increasing and table["_step"].is_unique:
            raise DataError(
                f"{path}: this is the history of one run, a row a step",
                hint="give a table with a row a run, or add a column run_id",
            )
        if _begins_again(table["_step"]):
            raise DataError(
                f"{path}: this is a history of several runs, a row a step, and no column is known to name the runs",
                hint="name it: --map id=THEIRS; or give a table with a row a run",
            )
        return table
    of_runs = run in ("Name", "name") and ("State" in table or "state" in table)
    if of_runs or (table.groupby(run)["_step"].nunique() <= 1).all():
        return table  # a row a run, even where names repeat: of a history no run has one step alone
    nameless = int(table[run].isna().sum())
    if nameless:
        notes.append(f"{nameless} rows of the history name no run in {run} and were left out")
        table = table[table[run].notna()]
    table = table.assign(_step=pd.to_numeric(table["_step"], errors="coerce")).sort_values("_step", kind="stable")
    steps, runs = table["_step"].to_numpy(float), table[run]
    ends = pd.Series(steps, index=runs.to_numpy()).groupby(level=0, sort=False).max()
    _refuse_two_runs_of_a_name(table, run, path)
    last = pd.DataFrame({run: ends.index})
    nan_is_a_value = _nan_is_a_value(table, runs)
    diverged: dict[object, str] = {}
    ended: dict[Any, list[str]] = {}
    for name in (name for name in table if name != run):
        values, logged = table[name].to_numpy(object), _logged(table[name], nan_is_a_value)
        of_run = pd.DataFrame({"run": runs.to_numpy()[logged], "step": steps[logged], "value": values[logged]})
        at_end = of_run.groupby("run", sort=False).tail(1).set_index("run")
        if is_loss(name, losses):
            numbers = at_end["value"].map(_number)
            if np.isfinite(of_run["value"].map(_number)).any():
                for gone in numbers.index[~np.isfinite(numbers)]:
                    diverged.setdefault(gone, f"{name} ended as {at_end['value'][gone]}")
        for gone, step in _ended_before(of_run, at_end, ends).items():
            at_end.loc[gone, "value"] = None
            ended.setdefault(gone, []).append(f"{name} at step {step:g}")
        values_at_end = at_end["value"].to_dict()
        last[name] = pd.Series([values_at_end.get(each) for each in last[run]], dtype=object)
    notes.append(f"a history: {len(table)} rows of {len(last)} runs, each of which counts with its last values")
    if ended:
        words = [f"{', '.join(found)} of {run} which ended at {ends[run]:g}" for run, found in ended.items()]
        notes.append(f"a metric that ended before its run has no value: {_first_and_count(words)}")
    last = with_diverged(last, {row: diverged[found] for row, found in last[run].items() if found in diverged})
    return last.rename(columns={run: "id"}) if "id" not in last else last


def _begins_again(column: pd.Series) -> bool:
    """Say whether the steps rise, begin again, and rise: several rows a run, one run after the other."""
    steps = pd.to_numeric(column, errors="coerce")
    stretch = (steps.diff() <= 0).cumsum()
    return bool(stretch.iloc[-1] > 0 and len(steps) >= _ROWS_A_RUN * (stretch.iloc[-1] + 1) and (stretch.value_counts() > 1).all())


def _number(cell: object) -> float:
    """Return a cell as a float; 0 for what is not a number, since a text in a column of losses does not say how the run ended."""
    return float(cell) if isinstance(cell, (int, float, np.number)) else 0.0


def _refuse_two_runs_of_a_name(table: pd.DataFrame, run: str, path: Path) -> None:
    """Raise `DataError` when a run has two values of one metric at one step: W&B keeps one, and names of runs may repeat."""
    again = table[table.duplicated([run, "_step"], keep=False) & table["_step"].notna()]
    for name in (name for name in map(str, again) if name not in (run, "_step") and pd.api.types.is_numeric_dtype(again[name])):
        values = again.groupby([run, "_step"])[name].nunique()
        if (values > 1).any():
            which, step = values[values > 1].index.to_list()[0]
            raise DataError(
                f"{path}: {which} has two values of {name} at step {step:g}: two runs of one name?",
                hint="add a column run_id, which W&B gives to each run",
            )


def _nan_is_a_value(table: pd.DataFrame, runs: pd.Series) -> bool:
    """Say whether NaN was logged as such, rather than written where nothing was logged."""
    numbers = [
        name for name in table if table[name].map(lambda cell: cell is None or isinstance(cell, (int, float, np.number))).all()
    ]
    if any(table[name].dtype != object and table[name].isna().any() for name in numbers):
        return True
    for name in numbers:
        cells = table[name].to_numpy(object)
        if any(cell is None for cell in cells):
            return True
        finite = np.isfinite(cells.astype(float))
        later = pd.Series(finite[::-1]).groupby(runs.to_numpy()[::-1]).cummax().to_numpy()[::-1]
        if (~finite & np.isnan(cells.astype(float)) & later).any():
            return False
    return True


def _logged(column: pd.Series, nan_is_a_value: bool) -> np.ndarray:
    """Mark the rows that have a value of the column, (n,)."""
    if column.dtype != object:
        return column.notna().to_numpy()
    return np.array([cell is not None and (nan_is_a_value or cell == cell) for cell in column])


def _ended_before(of_run: pd.DataFrame, at_end: pd.DataFrame, ends: pd.Series) -> dict[object, float]:
    """Find the runs that stop logging a changing number well before their end: run → the last step of it."""
    if not of_run["value"].map(lambda cell: isinstance(cell, (int, float, np.number))).all():
        return {}
    groups = of_run.groupby("run", sort=False)
    gap = groups["step"].agg(lambda steps: np.diff(steps.to_numpy()).max(initial=0.0))
    end = ends.reindex(gap.index)
    silent = end - at_end["step"].reindex(gap.index)
    changes = groups["value"].nunique() > 1  # a setting is logged once and holds
    gaps = 1.0 if (silent == 0).mean() > 0.5 else _GAPS
    late = changes & (gap > 0) & (silent >= gaps * gap) & (silent >= _SHARE * end)
    gone = late.index[late]
    return dict(at_end.loc[gone, "step"]) if 0 < len(gone) < len(late) / 2 else {}


def _first_and_count(words: list[str]) -> str:
    return "; ".join([*words[:_NAMED], *([f"and {len(words) - _NAMED} more"] if len(words) > _NAMED else [])])
