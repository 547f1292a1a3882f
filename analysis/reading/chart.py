"""Exports of charts, which have a row a step and a column a run: they are not tables of runs.

A table that is certainly a chart's is refused when it is read. One that is likely a chart's, such as `tokens,sun,moon`, is read, since
somebody may ask for its columns. It is refused when an analysis misses a column, which no chart has.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from analysis.reading.source import source_of
from scaling.columns import COLUMNS
from scaling.errors import DataError

__all__ = ["is_likely_chart", "refuse_chart", "refuse_likely_chart"]

_QUANTITY = re.compile(
    r"loss|(?:^|[^a-z])(?:err|acc|top|f1|ppl|perplexity|entropy|nll|bp[bc]|score|norm|lr|rate|time|wall|epoch|step|flop|hour|second|token|"
    r"example|sample|param|size|batch|value|metric|seed|mean|std|min|max|x|y)",
    re.IGNORECASE,
)
"""Matches the name of a column that is a quantity, not a run."""

_RESULT = re.compile(
    r"loss|(?:^|[^a-z])(?:err|acc|top|f1|ppl|perplexity|entropy|nll|bp[bc]|score|norm|flop|hour|second|value|metric|mean|std|min|max)",
    re.IGNORECASE,
)
"""Matches the name of a column that is a result, whatever else is in the name."""

_SETTING = re.compile(
    r"(?<![a-z])(lr|bs|wd|rate|time|epochs?|steps?|tokens?|examples?|samples?|params?|size|batch|seed|width|depth|layers?|heads?|dim|hidden|gpus?|nodes?|cost|reward|perf|quality|x|y)",
    re.IGNORECASE,
)
_SETTING_AND_VALUE = re.compile(_SETTING.pattern + r"[\s_=:-]*\d[\d.eE+-]*", re.IGNORECASE)
"""Matches a setting with its value, as names of runs have it: `lr0.1`. `_SETTING` alone finds the `size` of `size_small`."""

_STEPS = ("step", "_step", "global_step", "trainer/global_step")
_PROGRESS = re.compile(r"step|time|epoch|token|example|sample|iteration|flop|hour|second", re.IGNORECASE)
"""Matches the name of a column that counts how far a run was trained."""

_COST = re.compile(r"flop|hour", re.IGNORECASE)

_ALIKE = 100.0
"""Columns of one metric differ by less than this factor; quantities such as parameters and losses by more."""
_LIKELY = 10.0
"""The same factor where the names say less."""


def refuse_chart(table: pd.DataFrame, path: Path, mapped: Collection[str]) -> None:
    """Raise `DataError` for a table that is certainly the export of a chart.

    Such a table calls its columns `run - metric`, or has W&B's bounds beside `Step`, or calls its columns by the runs alone beside a step.
    mapped: names that `--map` asks for, which are columns of a table of runs.
    """
    names, others = _names(table)
    if not names:
        return  # an empty table, which is refused as one
    metrics = {name.rpartition(" - ")[2] for name in others}
    by_metric = bool(others) and all(" - " in name for name in others) and len(metrics) == 1
    by_metric = by_metric and (len(others) > 1 or re.search(r"step|time", names[0], re.IGNORECASE) is not None)
    runs = names[0].lower() in _STEPS and not any(map(_QUANTITY.search, others)) and _are_alike(table, others, mapped, _ALIKE)
    if by_metric or ("Step" in names and len(others) < len(names) - 1) or runs:
        raise _a_chart(str(path), names[0])


def is_likely_chart(table: pd.DataFrame, mapped: Collection[str]) -> bool:
    """Say whether a first column counts progress beside two or more columns of one kind of number, called as runs may be by their settings.

    mapped: names that `--map` asks for, which are columns of a table of runs.
    """
    names, others = _names(table)
    return _PROGRESS.search(names[0]) is not None and _may_be_runs(others) and _are_alike(table, others, mapped, _LIKELY)


def refuse_likely_chart(runs: pd.DataFrame) -> None:
    """Raise `DataError` where `runs` was read from a likely chart. It is called when a column is missing."""
    source = source_of(runs)
    if source.get("chart"):
        raise _a_chart(source["file"], source["chart"])


def _a_chart(file: str, progress: str) -> DataError:
    why, besides = "it does not say what a run cost", ""
    if _COST.search(progress):
        why, besides = (
            f"its {progress} is that of a step, not of a run",
            f"; or write the last {progress} and value of each column as a row",
        )
    return DataError(
        f"{file}: this is the export of a chart, a row a step and a column a run: {why}",
        hint=f"export the runs table of the project page instead (Export, CSV), which has a row a run{besides}",
    )


def _names(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return all names, and those but the first without the bounds that W&B writes (`__MIN`, `__MAX`)."""
    names = [str(name) for name in table]
    return names, [name for name in names[1:] if not name.endswith(("__MIN", "__MAX"))]


def _may_be_runs(names: Sequence[str]) -> bool:
    """Say whether runs may have these names, none of which is a result's.

    A setting stands there only with its value, `lr0.1`, or in every name, `size_small` and `size_large`.
    """
    if any(map(_RESULT.search, names)):
        return False
    rests = [_SETTING_AND_VALUE.sub("", name) for name in names]
    settings = [frozenset(word.lower() for word in _SETTING.findall(rest)) for rest in rests]
    bare = any(_SETTING.fullmatch(name) for name in names)
    return not bare and len(set(settings)) == 1


def _are_alike(table: pd.DataFrame, others: Sequence[str], mapped: Collection[str], factor: float) -> bool:
    """Say whether the first column rises beside two or more columns of numbers whose medians differ by at most `factor`.

    None of those columns may have a name of ours or one that `--map` asks for.
    """
    if len(others) < 2 or any(len(name) < 2 or name in COLUMNS or name in mapped for name in others):
        return False
    step = pd.to_numeric(table.iloc[:, 0], errors="coerce")
    columns = [table[name] for name in others if table[name].notna().any()]
    if not (len(table) > 1 and step.is_monotonic_increasing and step.is_unique):
        return False
    if any(pd.to_numeric(column, errors="coerce").isna().ne(column.isna()).any() for column in columns):
        return False
    sizes = [float(pd.to_numeric(column).abs().median()) for column in columns]
    return max(sizes, default=0.0) <= factor * min(sizes, default=0.0)
