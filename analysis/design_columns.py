"""Which columns of a table tell settings apart: rows that agree in all of them are replicates of one cell.

| columns | what they do |
|---|---|
| `DESIGN`, `scaling.columns.RECIPE_COLUMNS`, configuration that the reader knows of, and what the user names | tell cells apart |
| steps, where runs that agree in all of these were trained for other numbers of them | tell cells apart |
| the learning rate | is searched: of a cell's rates the best counts |
| weight decay and batch size where they were searched (`analysis.searched`) | so are they |
| seed, ids, paths, hosts, times, results (`analysis.reading.column_kinds`) | never tell cells apart |
| any other column, names and groups of runs among them | does not tell cells apart; where it differs inside a cell, the answer says so |

Configuration is known for tables that W&B or MLflow wrote: their readers list its columns in the table's source. A column of it counts
where some rows share a value, for a value a row is a name and not a setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.constant import once_a_table
from analysis.reading.column_kinds import (
    is_bookkeeping,
    is_counter,
    is_data,
    is_label,
    is_learning_rate,
    is_result,
    is_size,
)
from analysis.reading.source import source_of
from analysis.searched import is_told, searched_settings, without_searched
from scaling.columns import COLUMNS, RECIPE_COLUMNS
from scaling.errors import UnknownName

__all__ = ["DESIGN", "RECIPE", "alike", "design_columns", "differing_unknown", "named_columns", "settings_among", "with_epochs"]

DESIGN = ("family", "model", "params", "epochs", "examples_seen", "unique_examples", "batch_size", "optimizer", "optimiser")
"""The columns that always tell cells apart, where a table has them."""

RECIPE = tuple(f"{stage}{column.name}" for stage in ("", "finetune_") for column in RECIPE_COLUMNS if column.name not in DESIGN)
"""So do settings of the recipe, also those of a fine-tuned run beside its parent's."""

_BUDGETS = ("epochs", "examples_seen")  # and steps
_FOLLOWS = {"examples_seen": "epochs", "unique_examples": "epochs"}
"""A measured column → the one that says the same as a setting."""

_PROPERTIES = ("family", "model", "params", "epochs", "examples_seen", "unique_examples", "steps")
"""What the other settings imply: a missing value in one of them is a number that was not written down.

In any other column it is a setting."""

_SAME_MEASURED = 0.02
_NO_REPLICATES = 3.0
"""Runs whose cost differs by more than this factor are no replicates.

Equal runs that are a second long have been seen to differ by 2.1 times in measured core-hours."""
_NOMINAL = 1.5
"""The same factor for FLOPs, which are counted rather than timed."""
_ONE_BUDGET = 2.5
"""The same factor where all rows of the table have one number of epochs."""
_ENOUGH_CELLS, _ALIKE = 3, 0.1
"""The cells differ by one factor where they are at least so many, and the logarithms of their factors scatter by no more than this share."""
_DIGITS = 9


def design_columns(runs: pd.DataFrame, also: Sequence[str] = (), *, x: Sequence[str] = (), metric: str = "") -> list[str]:
    """List the columns of a table that tell its cells apart.

    Args:
        also: further ones; those that `--cell` named are in the table's source.
        x, metric: of the question; neither is a setting.

    Steps tell cells apart in two cases:
    - there are neither epochs nor examples seen;
    - runs that agree in all else differ in steps, and either several runs share a number of steps, or no model has several epochs or
    examples.

    Steps at which runs happened to stop are no setting.

    Without epochs, examples seen or steps nothing but `x` tells the budgets of a model apart, so that `x` tells cells apart too. Of a
    law of several inputs `x` is the design itself and always does.

    `x` does so as well where something differs that the table does not say: runs that agree in all settings cost as differently as no
    replicates do. In most cells of several runs their cost then differs by more than a limit (`_NO_REPLICATES`). Or it differs by one
    factor in all of them, and no seed tells the runs apart.

    Raises: UnknownName, `also` names no column.
    """
    configured = [name for name in source_of(runs).get("config", ()) if _is_setting(runs, name, {*x, metric})]
    ours = ("weight_decay",) if "searched" in runs else ()  # where it is known what was searched, the others tell cells apart
    recipe = [name for name in RECIPE if name not in (*x, metric)]
    found = [name for name in (*DESIGN, *ours, *recipe, *configured) if name in runs]
    theirs = [name for name in map(str, runs) if name not in COLUMNS and name not in (*x, metric)]
    found += [name for name in theirs if is_size(name, runs[name])]
    tells_budgets = any(name in runs and runs[name].notna().any() for name in _BUDGETS)
    varied = any(name in runs and runs[name].nunique() > 1 for name in (*_BUDGETS, "steps"))
    if not varied:
        counts = [name for name in theirs if is_data(name, runs[name])]
        found += counts
        tells_budgets |= bool(counts)
        varied = any(runs[name].nunique() > 1 for name in counts)
    if "steps" in runs and "steps" not in (*x, metric) and _tell_apart(runs, found, stated=tells_budgets):
        found.append("steps")
        tells_budgets = True
    if not tells_budgets or len(x) > 1:
        found += x
    columns = list(dict.fromkeys([*found, *named_columns(runs, [*source_of(runs).get("cell", ()), *also])]))
    most = _NOMINAL if len(x) == 1 and "flop" in x[0].lower() else _NO_REPLICATES if varied else _ONE_BUDGET
    if "weight_decay" in configured and "weight_decay" not in (*source_of(runs).get("cell", ()), *also):
        others = [name for name in columns if name != "weight_decay"]
        if searched_settings(runs, lambda: alike(runs, others)):
            columns = others
    if len(x) == 1 and x[0] not in columns and _differs_too_much(runs, columns, x[0], most):
        columns.append(x[0])
    return columns


def settings_among(runs: pd.DataFrame, columns: Iterable[str]) -> list[str]:
    """Choose from design columns those that say how a model was trained: batch size, optimiser, weight decay; not model, size or budget."""
    return [name for name in columns if name not in _PROPERTIES and not is_size(name, runs[name]) and not is_data(name, runs[name])]


def named_columns(runs: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Check that each name is a column of the table, and return the names. Raises: UnknownName."""
    for name in names:
        if name not in runs:
            raise UnknownName("column", name, [str(column) for column in runs], hint="name columns of the table")
    return list(names)


@once_a_table
def alike(runs: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Give each row a number, the same for rows that agree in these columns. Numbers follow the order of the values.

    Two numbers agree where they are the same to nine digits. Measured examples agree within 2 % where the epochs agree. A missing value
    of a property (`_PROPERTIES`) agrees with the one value that rows which agree otherwise have. In any other column it is a value of
    its own. So is a setting's in the rows where it was searched, whatever its value.
    """
    keys = {name: _comparable(without_searched(runs, name)) for name in columns}
    for name in columns:
        if name in _PROPERTIES and keys[name].isna().any() and len(columns) > 1:
            keys[name] = _filled(pd.DataFrame(keys, index=runs.index), name)
    for measured, setting in _FOLLOWS.items():
        if measured in keys and setting in keys and keys[setting].notna().all():
            keys[measured] = _same_within(keys, measured)
    numbers = _numbered(keys.values(), len(runs)) if keys else np.arange(len(runs))
    return pd.Series(numbers, index=runs.index)


def _numbered(keys: Iterable[pd.Series], rows: int) -> np.ndarray:
    """Number each row's combination of values, (rows,), in their order; a missing value comes last.

    The numbers are those of `groupby(…).ngroup()`, in a fifth of the time.
    """
    number = np.zeros(rows, dtype=np.int64)
    for values in keys:
        codes, known = pd.factorize(values, sort=True, use_na_sentinel=False)
        if len(known) > 1:
            number = _ranks(number * len(known) + codes)
    return number


def _ranks(numbers: np.ndarray) -> np.ndarray:
    """Return the place of each number, (n,), in the order of those that occur; without sorting while they are not many more than rows."""
    size = int(numbers.max(initial=0)) + 1
    if size > 10 * len(numbers):
        return np.unique(numbers, return_inverse=True)[1]
    occurs = np.zeros(size, dtype=np.int64)
    occurs[numbers] = 1
    return (np.cumsum(occurs) - 1)[numbers]


def differing_unknown(runs: pd.DataFrame, cell: pd.Series, known: Sequence[str], *, ignored: Sequence[str] = ()) -> tuple[str, ...]:
    """Find the columns of unknown meaning that differ inside a cell: they are neither settings, nor results, nor names.

    Steps and other counters are among them where they differ by more than those of equal runs do.
    """
    counters = [name for name in map(str, runs) if is_counter(name) and name not in (*known, *ignored)]
    asked = [
        str(name)
        for name in runs
        if name not in COLUMNS
        and name not in (*known, *ignored, *counters)
        and not is_learning_rate(str(name))
        and not is_bookkeeping(str(name), runs[name])
        and not is_result(str(name), runs[name])
    ]
    if "weight_decay" in runs and "weight_decay" not in (*known, *ignored) and not searched_settings(runs, lambda: cell):
        asked.append("weight_decay")
    several = cell.duplicated(keep=False)
    if not several.any():
        return ()
    differs = {
        name: (_comparable(runs.loc[several, name]).groupby(cell[several]).nunique(dropna=False) > 1).any() for name in asked
    }
    found = [name for name in asked if differs[name] and (_is_shared(runs[name]) or _is_spread(runs.loc[several, name], cell))]
    return (*found, *(name for name in counters if _counts_apart(without_searched(runs, name)[several], cell)))


def _counts_apart(values: pd.Series, cell: pd.Series) -> bool:
    """Say whether a counter was set to several values within a cell, or differs there by more than that of equal runs."""
    if not pd.api.types.is_numeric_dtype(values) or not (values.dropna() > 0).any():
        return False
    groups = values.astype(float).groupby(cell)
    apart = groups.transform("max") > groups.transform("min") * (1 + _SAME_MEASURED)
    set_to = bool(apart.any()) and values[apart].nunique() <= apart.sum() / 2
    return set_to or _is_spread(values, cell)


def with_epochs(runs: pd.DataFrame) -> pd.DataFrame:
    """Add `epochs` = examples seen / examples of the training split, where the table lacks them and says how large the split is.

    The split is the one number of unique examples of all rows that saw some example twice; the others must have seen no more than it.
    """
    if "epochs" in runs or not {"examples_seen", "unique_examples"} <= set(runs):
        return runs
    seen, unique = (pd.to_numeric(runs[name], errors="coerce") for name in ("examples_seen", "unique_examples"))
    repeats = seen > unique * (1 + 1e-6)
    sizes = unique[repeats].dropna().unique()
    if len(sizes) != 1 or (unique > sizes[0] * (1 + 1e-6)).any():
        return runs
    return runs.assign(epochs=seen / sizes[0])


def _tell_apart(runs: pd.DataFrame, columns: Sequence[str], *, stated: bool) -> bool:
    """Say whether steps were set, and differ within the cells of these columns.

    stated: whether another column tells how long runs were trained.
    """
    steps = pd.to_numeric(without_searched(runs, "steps"), errors="coerce")
    if not stated:
        return bool(steps.nunique() > 1)  # one number for all would tell nothing
    cell = alike(runs, columns) if columns else pd.Series(0, index=runs.index)
    of_cell = steps.groupby(cell)
    apart = of_cell.transform("max") > of_cell.transform("min") * (1 + _SAME_MEASURED)
    if not apart.any():
        return False
    if steps[apart].nunique() <= apart.sum() / 2:
        return True
    others = [name for name in columns if name not in _BUDGETS]
    within = alike(runs, others) if others else pd.Series(0, index=runs.index)
    budgets = [runs[name] for name in _BUDGETS if name in runs]
    return not any((budget.groupby(within).nunique() > 1).any() for budget in budgets) and _is_spread(steps[apart], cell[apart])


def _differs_too_much(runs: pd.DataFrame, columns: Sequence[str], x: str, most: float) -> bool:
    if x not in runs or not columns:
        return False
    size = pd.to_numeric(runs[x], errors="coerce").mask(is_told(runs, "batch_size"))  # a batch has its own speed
    cell = alike(runs, columns)
    groups = size.where(size > 0).groupby(cell)
    several = groups.count() > 1
    ratio = (groups.max() / groups.min())[several]
    if not len(ratio):
        return False
    return bool((ratio > most).mean() > 0.5) or (_is_one_factor(ratio) and not _seeds_tell(runs, cell))


def _is_one_factor(ratio: pd.Series) -> bool:
    """Say whether runs differ by the same factor in all cells: two budgets do, noise does not."""
    logs = np.log(ratio.to_numpy(float))
    return bool(len(logs) >= _ENOUGH_CELLS and logs.mean() > np.log(_NOMINAL) and logs.std() < _ALIKE * logs.mean())


def _seeds_tell(runs: pd.DataFrame, cell: pd.Series) -> bool:
    return (
        "seed" in runs
        and bool(runs["seed"].notna().all())
        and not pd.DataFrame({"cell": cell, "seed": runs["seed"]}).duplicated().any()
    )


def _is_setting(runs: pd.DataFrame, name: str, asked: set[str]) -> bool:
    if name not in runs or name in asked or (name in COLUMNS and name != "weight_decay") or is_learning_rate(name):
        return False
    return not is_bookkeeping(name, runs[name]) and not is_label(name) and _is_shared(runs[name])


def _is_shared(values: pd.Series) -> bool:
    """Say whether some rows have a value in common."""
    known = _comparable(values).dropna()
    return bool(known.duplicated().any())


def _is_spread(values: pd.Series, cell: pd.Series) -> bool:
    """Say whether a positive number differs between the runs of most cells by more than noise does."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values) or not (values.dropna() > 0).all():
        return False
    groups = values.astype(float).groupby(cell)
    return bool((groups.max() / groups.min() > _NOMINAL).mean() > 0.5)


def _comparable(values: pd.Series) -> pd.Series:
    """Round numbers to nine digits, so that their last bits do not count, and write lists and the like as text."""
    if isinstance(values.dtype, pd.StringDtype):
        return values
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        return values.map(lambda value: value if pd.api.types.is_scalar(value) else repr(value))
    number = values.to_numpy(float, na_value=np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(number))) - _DIGITS)
        rounded = np.round(number / unit) * unit
    return pd.Series(np.where(np.isfinite(number) & (number != 0), rounded, number), index=values.index, name=values.name)


def _filled(keys: pd.DataFrame, name: str) -> pd.Series:
    others = [column for column in keys if column != name]
    of_others = keys.groupby(others, dropna=False, sort=False)[name]
    return keys[name].where(keys[name].notna() | (of_others.transform("nunique") != 1), of_others.transform("first"))


def _same_within(keys: Mapping[str, pd.Series], name: str) -> pd.Series:
    """Set values that agree in all other columns, and lie within 2 % of each other, to the smallest of them."""
    values = pd.to_numeric(keys[name])
    group = _numbered((keys[column] for column in keys if column != name and column not in _FOLLOWS), len(values))
    low, high = np.full((2, group.max(initial=0) + 1), np.nan)
    number = values.to_numpy(float, na_value=np.nan)
    np.fmin.at(low, group, number)
    np.fmax.at(high, group, number)
    return values.where(~(high <= low * (1 + _SAME_MEASURED))[group], low[group])
