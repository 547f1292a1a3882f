"""Which column says how far the rows of a run were trained, where none is called `step`: the one that rises along every run.

A table may call its steps `steps`, `epochs`, `it`, `num_batches` or otherwise, or have no more than a run's compute at each row. Rows
of one run are its checkpoints if some such column never repeats within the run, spreads by more than replicates do, and nothing else
that was set differs within the run. The order of the rows does not matter: they are sorted by that column.

| columns, in this order | rise along a run |
|---|---|
| counters: `steps`, `it`, `iters`, `num_batches`, `epochs` | as they are |
| data: `examples_seen`, `tokens` | as they are |
| any other integer | where a run's compute is a straight line in it, over `_MANY_ROWS` rows: a width or a depth is tried at fewer values |
| compute and time: the inputs asked for, `train_flops`, `core_hours`, `hours` | as they are |
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.reading.column_kinds import (
    is_bookkeeping,
    is_compute,
    is_counter,
    is_data,
    is_label,
    is_learning_rate,
    is_result,
    is_size,
)

__all__ = ["follows", "looks_logged", "rising_column"]

_SPREAD = 1.5
"""The factor by which progress differs within most runs; measured compute of equal runs differs by less."""
_MANY_ROWS = 8
_EVEN_ROWS = 4
_STRAIGHT = 0.99  # R² of compute on a counter, of a run; on a width, whose square compute grows with, it is 0.96
_FEW_VALUES = 0.5
"""A number with fewer distinct values than this share of the rows was set; one with more was measured."""
_SAID_OF_RUNS = ("id", "status", "reason", "excluded", "cell")


def rising_column(table: pd.DataFrame, run: str, *, settings: Sequence[str], asked: Sequence[str] = ()) -> str | None:
    """Find the column that rises along the rows of each run; None where there is none, or where settings differ within a run.

    Args:
        run: the column that names runs. settings: columns that are the same in all rows of a run, or rise with it as a schedule does.
        asked: metric, then inputs of the question: no settings, but where their names say so.
    """
    groups = table[run]
    for name in _candidates(table, run, settings, asked):
        if _rises(table[name], groups) and not _sets_apart(table, run, name, settings, asked):
            return name
    return None


def looks_logged(table: pd.DataFrame, run: str, progress: str) -> bool:
    """Say whether the rows of most runs look logged by a program: many, or evenly spaced in their progress, as nobody chooses budgets."""

    def logged(at: pd.Series) -> bool:
        steps = np.diff(np.sort(at.to_numpy(float)))
        return len(at) >= _MANY_ROWS or (len(at) >= _EVEN_ROWS and bool(np.ptp(steps) <= 0.01 * steps.mean()))

    return bool(table.groupby(run)[progress].agg(logged).mean() > 0.5)


def follows(table: pd.DataFrame, groups: Sequence[pd.Series], name: str, at: pd.Series) -> bool:
    """Say whether a number rises or falls from row to row of each run, as a scheduled learning rate or the epochs done do: no setting."""
    if not pd.api.types.is_numeric_dtype(table[name]):
        return False
    values = pd.DataFrame({"at": at, "value": table[name]}).sort_values("at", kind="stable")["value"]
    own = values.groupby([group.loc[values.index] for group in groups])
    monotone = own.agg(lambda each: each.is_monotonic_increasing or each.is_monotonic_decreasing)
    return bool(monotone.all() and (own.nunique() > own.size() / 2).mean() > 0.5)


def _candidates(table: pd.DataFrame, run: str, settings: Sequence[str], asked: Sequence[str]) -> list[str]:
    numbers = [str(name) for name in table if _is_number(table[name]) and name != run]
    counters = [name for name in numbers if is_counter(name)]
    data = [name for name in numbers if is_data(name, table[name]) or name == "examples_seen"]
    compute = [name for name in numbers if is_compute(name)]
    if _is_long(table, run):
        kinds = (is_size, is_result, is_bookkeeping)
        inputs = [name for name in asked[1:] if name in numbers and name not in settings and not is_learning_rate(name)]
        compute += [name for name in inputs if not any(kind(name, table[name]) for kind in kinds)]
    known = {*counters, *data, *compute, *settings, *asked, *_SAID_OF_RUNS}
    integers = [
        name
        for name in numbers
        if name not in known
        and not is_learning_rate(name)
        and not is_result(name, table[name])
        and not is_bookkeeping(name, table[name])
        and bool((table[name].dropna() % 1 == 0).all())
        and _is_straight(table, run, name, compute)
    ]
    # Where a budget repeats in a run, its rows are replicates, and their compute differs by noise.
    replicates = any(_repeats_in(table[name], table[run]) for name in (*counters, *data))
    return list(dict.fromkeys([*counters, *data, *integers, *([] if replicates else compute)]))


def _repeats_in(values: pd.Series, groups: pd.Series) -> bool:
    """Say whether numbers differ within most runs, and some of them come several times there."""
    of_run = values.groupby(groups)
    return bool(((of_run.nunique() > 1) & (of_run.nunique() < of_run.count())).mean() > 0.5)


def _rises(values: pd.Series, groups: pd.Series) -> bool:
    number = values.astype(float)
    if not (np.isfinite(number) & (number >= 0)).all() or pd.DataFrame({"run": groups, "at": number}).duplicated().any():
        return False
    of_run = number.groupby(groups)
    several = of_run.size() > 1
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = of_run.max() / of_run.min()
    return bool(several.mean() > 0.5 and (ratio[several] >= _SPREAD).mean() > 0.5)


def _sets_apart(table: pd.DataFrame, run: str, progress: str, settings: Sequence[str], asked: Sequence[str]) -> bool:
    """Say whether something that was set differs within a run."""
    groups, at = table[run], table[progress].astype(float)
    apart = {run, progress, *_SAID_OF_RUNS, *(name for name in asked if name not in settings)}
    for name in (str(name) for name in table if name not in apart):
        values = table[name].map(repr) if table[name].dtype == object else table[name]
        if not (values.groupby(groups).nunique(dropna=False) > 1).any():
            continue
        if is_counter(name) or is_data(name, table[name]) or name == "examples_seen":
            if _is_monotone(table[name], groups, at):
                continue
        elif is_learning_rate(name) and (follows(table, [groups], name, at) or _is_drawn(table[name], groups)):
            continue
        if name in settings or not (_is_measured(name, table[name]) or _is_scheduled(table, groups, name, at)):
            return True
    return False


def _is_monotone(values: pd.Series, groups: pd.Series, at: pd.Series) -> bool:
    """Say whether numbers never fall along a run."""
    if not _is_number(values):
        return False
    order = at.sort_values(kind="stable").index
    return bool(values.loc[order].groupby(groups.loc[order]).agg(lambda own: own.is_monotonic_increasing).all())


def _is_drawn(values: pd.Series, groups: pd.Series) -> bool:
    """Say whether most runs have many rows, and a rate that is another in most of them, as that of a schedule with a warm-up."""
    of_run = values.groupby(groups)
    return bool(((of_run.nunique() > of_run.size() / 2) & (of_run.size() >= _MANY_ROWS)).mean() > 0.5)


def _is_scheduled(table: pd.DataFrame, groups: pd.Series, name: str, at: pd.Series) -> bool:
    """Say whether a fraction rises or falls along many rows of every run, so that it was computed.

    What is tried has fewer values, or round ones.
    """
    if not _is_number(table[name]) or bool((table[name].dropna() % 1 == 0).all()):
        return False
    return follows(table, [groups], name, at) and _is_drawn(table[name], groups)


def _is_long(table: pd.DataFrame, run: str) -> bool:
    """Say whether most runs have many rows."""
    return bool((table.groupby(run).size() >= _MANY_ROWS).mean() > 0.5)


def _is_measured(name: str, values: pd.Series) -> bool:
    """Say whether what differs within a run is a result, a time or a name, and nothing that was set."""
    if is_compute(name) or is_bookkeeping(name, values) or is_label(name) or is_result(name, values):
        return True
    known = values.dropna()
    few = known.map(repr) if known.dtype == object else known
    return bool(few.nunique() > _FEW_VALUES * len(few))


def _is_straight(table: pd.DataFrame, run: str, name: str, compute: Sequence[str]) -> bool:
    """Say whether some compute is a straight line in this number, in most runs, over many rows."""
    long = [own for _, own in table.groupby(run) if len(own) >= _MANY_ROWS and own[name].nunique() == len(own)]
    if len(long) <= table[run].nunique() / 2:
        return False

    def straight(own: pd.DataFrame, of: str) -> bool:
        n, c = own[name].to_numpy(float), own[of].to_numpy(float)
        return bool(np.isfinite(c).all() and np.ptp(c) > 0 and np.corrcoef(n, c)[0, 1] ** 2 > _STRAIGHT)

    return any(np.mean([straight(own, of) for own in long]) > 0.5 for of in compute)


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
