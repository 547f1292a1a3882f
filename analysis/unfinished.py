"""Runs of a store that are not over yet: while there are some, an answer that lacks points waits for them and asks for no others.

`takes_runs` makes a function of a table of runs a question that one may ask: of columns by any of their names, and of runs that are not
over.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TypeVar, cast

import pandas as pd

from analysis.finetuned import asks_of_finetuned, is_finetuned, of_stage
from analysis.reading.imported import without_empty_columns
from analysis.reading.source import add_note, column_of, columns_in, source_of
from scaling.columns import COLUMNS, with_recipes
from scaling.errors import TooFewPoints
from scaling.outcomes import RunStatus
from scaling.waiting import Waiting

__all__ = ["plain_table", "table_of", "takes_runs", "unfinished", "with_waiting"]

_Analysis = TypeVar("_Analysis", bound=Callable[..., object])

_COLUMNS = ("metric", "x", "by", "weights", "downstream", "upstream")
"""Arguments that name columns."""
_HAS_SCHEDULER = "has_scheduler"  # of DataFrame.attrs, which copies and selections keep


def unfinished(runs: pd.DataFrame) -> Waiting | None:
    """Count the runs of a store's table, where some are not over; None where all are, and for a table from elsewhere.

    The time left is that of the FLOPs ahead, at the useful core-hours that the finished runs of the same stage took for theirs, on the cores
    that are at work; and of start-up and evaluation as the median run had them, since the first runs of a shape compile for the others.
    """
    if "file" in source_of(runs) or not set(COLUMNS) <= set(runs):
        return None
    counts = runs["status"].value_counts()
    has_scheduler = runs.attrs.get(_HAS_SCHEDULER, True)
    seconds = _seconds_left(runs) if has_scheduler else None
    shown = {str(status): int(counts[status]) for status in RunStatus if status in counts}
    return Waiting.of(shown, seconds, has_scheduler=has_scheduler)


def table_of(rows: Sequence[Mapping[str, object]], *, has_scheduler: bool = True) -> pd.DataFrame:
    """Make the table of a store's runs, with a note, printed with every answer, on those that are still to come; see `with_waiting`."""
    return with_waiting(plain_table(rows), has_scheduler=has_scheduler)


def plain_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Make the table of a store's runs, without a note.

    A table of imported runs alone has the columns that their files have, so that it says what the files say.

    rows: with the keys of `scaling.columns.RUN_COLUMNS`, and of `RECIPE_COLUMNS` where a setting is not neutral; runs of a program also have
        its own metrics.
    """
    rows = with_recipes(rows)
    if rows and all(row.get("imported_from") for row in rows):
        rows = without_empty_columns(rows)
        table = pd.DataFrame(rows, columns=list(dict.fromkeys(name for row in rows for name in row)))
        return table.astype(dict.fromkeys(("core_hours", "val_loss"), float))
    return pd.DataFrame(rows, columns=list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])))


def with_waiting(runs: pd.DataFrame, *, has_scheduler: bool = True) -> pd.DataFrame:
    """Note on a store's table the runs that are still to come; a table of imported runs has none.

    has_scheduler: one is at work on them; without one nothing tells when they will be over.
    """
    runs.attrs[_HAS_SCHEDULER] = has_scheduler
    tuned = is_finetuned(runs)
    notes = [f"{left}; the answer is of those that have"] if (left := unfinished(runs[~tuned])) is not None else []
    notes += [f"of fine-tuning {left}"] if (left := unfinished(runs[tuned])) is not None else []
    return add_note(runs, notes) if notes else runs


def takes_runs(analysis: _Analysis) -> _Analysis:
    """Let a function of a table of runs take columns by any of their names, and give it the runs that its metric is of.

    What that is, `analysis.finetuned` says. Where it has too few points and some runs are not over, the hint of its error names these runs.
    """

    parameters = inspect.signature(analysis).parameters
    asks = "metric" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    usual = parameters["metric"].default if "metric" in parameters else "val_loss"

    @wraps(analysis)
    def called(runs: pd.DataFrame, *given: object, **named: object) -> object:
        asked = named.get("metric", usual)
        try:
            own = of_stage(runs, asked) if asks else runs
            named |= {name: _spelled(own, named[name]) for name in _COLUMNS if name in named}
            return analysis(own, *given, **named)
        except TooFewPoints as error:
            if (left := unfinished(runs if asks_of_finetuned(asked) else runs[~is_finetuned(runs)])) is not None:
                error.hint = f"{left}; {left.advice}"
            raise

    return cast(_Analysis, called)


def _spelled(runs: pd.DataFrame, name: object) -> object:
    """Spell a column as the table does, or several of them with commas between them, or a list of them; return anything else as it is."""
    if isinstance(name, str):
        return name if name in runs else columns_in(runs, name)
    if isinstance(name, list | tuple) and all(isinstance(part, str) for part in name):
        return type(name)(column_of(runs, part) for part in name)
    return name


def _seconds_left(runs: pd.DataFrame) -> float | None:
    tuned, cores = is_finetuned(runs), _cores_at_work(runs)
    ahead = [_core_hours_ahead(runs[stage]) for stage in (tuned, ~tuned) if stage.any()]
    if not cores > 0 or any(hours is None for hours in ahead):
        return None
    return float(f"{3600 * sum(hours for hours in ahead if hours is not None) / cores:.2g}")


def _cores_at_work(runs: pd.DataFrame) -> float:
    return float(pd.to_numeric(runs["cores"])[runs["status"] == RunStatus.RUNNING].sum())


def _core_hours_ahead(runs: pd.DataFrame) -> float | None:
    """Estimate the core-hours that the runs of one stage have ahead; None where there are some and no run of it has finished.

    Training goes by the FLOPs of finished runs of the model, else of all. A run that waits is also held for what finished ones were besides
    their training: start-up, evaluation, checkpoints.
    """
    names = ("train_flops", "core_hours", "step", "steps", "allocated_core_hours", "inherited_core_hours")
    numbers = {name: pd.to_numeric(runs[name]) for name in names}
    flops, took = numbers["train_flops"], numbers["core_hours"]
    done = (runs["status"] == RunStatus.FINISHED) & (flops > 0) & (took > 0)
    at_work = runs["status"] == RunStatus.RUNNING
    share = (1 - numbers["step"] / numbers["steps"]).where(at_work, 1.0).fillna(1.0).clip(0, 1)
    ahead = flops * share * (at_work | (runs["status"] == RunStatus.PENDING))
    if not done.any():
        return None if ahead.any() else 0.0
    besides = (numbers["allocated_core_hours"] - took + numbers["inherited_core_hours"].fillna(0))[done].median()
    totals = pd.DataFrame({"took": took[done], "flops": flops[done]}).groupby(runs["model"][done].fillna("")).sum()
    rates = (
        runs["model"].fillna("").map(totals["took"] / totals["flops"]).astype(float).fillna(took[done].sum() / flops[done].sum())
    )
    to_begin = int((runs["status"] == RunStatus.PENDING).sum())
    return float((ahead * rates).sum()) + to_begin * (max(0.0, float(besides)) if besides == besides else 0.0)
