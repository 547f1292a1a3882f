"""The two sides of a comparison: what tells them apart, and the cells of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.searches import rates_tried, runs_near_predicted_rates
from analysis.design_columns import RECIPE
from analysis.listing import and_listed, listed
from analysis.pareto import Frontier, frontier
from analysis.reading.source import source_of, word_of
from analysis.selection import Excluded, count_hint, usable_runs
from scaling.errors import TooFewPoints, UnknownName, UsageError

__all__ = ["Arm", "sides_of", "split_arms"]

_VALUES_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Arm:
    """Holds one side of a comparison: its runs and its cells.

    `cells`: `Frontier.points` of its runs with `log_x`, `log_metric`, and `examples_seen` where the runs have it. `rates_tried`, a column
    of the cells, is the number of learning rates that finished in it. `runs`: the usable runs; `excluded`: those that do not count.
    """

    name: str
    runs: pd.DataFrame
    cells: pd.DataFrame
    frontier: Frontier
    excluded: tuple[Excluded, ...]

    @classmethod
    def of(cls, name: str, runs: pd.DataFrame, *, metric: str, x: str, cell: Sequence[str]) -> Arm:
        """Make the side of these runs, with each cell at its own best learning rate."""
        found = frontier(runs, metric=metric, x=x, cell=cell)
        return cls(name, runs, _cells(found, rates_tried(runs, found)), found, found.excluded)

    def with_rates(self, count: int, cell: Sequence[str]) -> Arm:
        """Return the same side with `count` learning rates a cell, those that its other cells point to (`analysis.comparison.searches`)."""
        own, passed_over = runs_near_predicted_rates(self.runs, self.frontier, count)
        found = frontier(own, metric=self.frontier.metric, x=self.frontier.x, cell=cell)
        counted = {*own["id"], *(entry.id for entry in passed_over)}
        other = tuple(entry for entry in self.excluded if entry.id not in counted)
        return Arm(self.name, own, _cells(found, rates_tried(own, found)), found, other + passed_over + found.excluded)


def split_arms(
    runs: pd.DataFrame, *, by: str, names: tuple[str | None, str | None], metric: str, x: str, cell: Sequence[str]
) -> tuple[Arm, Arm, tuple[Excluded, ...]]:
    """Split the runs into both sides. Returns them, and the runs that were left out before the sides were told apart.

    Raises:
        UnknownName: there is no column `by`, or no such value in it.
        UsageError: `by` has more than two values and the two to compare were not named; and what `usable_runs` raises.
        TooFewPoints: a side has no usable run.
    """
    if by not in runs:
        raise UnknownName("column", by, [str(name) for name in runs.columns], hint=_by_hint(runs))
    none = word_of(runs, by)
    labels = runs[by].map(_label).replace("", none)
    a, b = _two_names(labels, by, names)
    chosen = runs[labels.isin((a, b))]
    usable = usable_runs(chosen, metric=metric, x=x)  # over both: their data sets and accelerators must be the same
    ids = runs["id"].astype(str) if "id" in runs else pd.Series([f"row {number}" for number in range(1, len(runs) + 1)], runs.index)
    excluded = [Excluded(run, f"no {by}", f"no {by}") for run in ids[labels == ""]]
    excluded += usable.excluded
    sides = []
    for name in (a, b):
        own = usable.runs[usable.runs[by].map(_label).replace("", none) == name]
        if own.empty:
            raise TooFewPoints(
                f"{by} {name} has no usable run ({len(excluded)} left out of both sides): 1 more is needed",
                have=0,
                need=1,
                hint=count_hint(excluded, source_of(runs))
                or "choose another side; of the store, `scaling runs` lists what there is and why",
            )
        sides.append(Arm.of(name, own, metric=metric, x=x, cell=cell))
    return sides[0], sides[1], tuple(excluded)


def _by_hint(runs: pd.DataFrame) -> str:
    """Say what to compare by: the settings in which the recipes of the runs differ, where the table has some."""
    told = [name for name in RECIPE if name in runs and runs[name].nunique() > 1]
    return (
        f"the runs' recipes differ in {and_listed(told)}: --by {told[0]}"
        if told
        else "--by takes any column that tells two recipes apart"
    )


def sides_of(runs: pd.DataFrame, by: str) -> list[str]:
    """List the sides that a column tells apart, as they are typed, in order; none where there is no such column."""
    if by not in runs:
        return []
    labels = runs[by].map(_label).replace("", word_of(runs, by))
    return sorted(labels[labels != ""].unique())


def _label(value: Any) -> str:
    """Spell a value as it is typed: 64 for 64.0; empty for what is missing."""
    if pd.isna(value):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _two_names(labels: pd.Series, by: str, names: tuple[str | None, str | None]) -> tuple[str, str]:
    known = sorted(labels[labels != ""].unique())
    for name in names:
        if name is not None and name not in known:
            raise UnknownName(by, name, known, hint=f"known: {listed(known, _VALUES_SHOWN)}")
    nameless = int((labels == "").sum())
    given = [name for name in names if name is not None]
    rest = [name for name in known if name not in given]
    if len(given) + len(rest) < 2:
        raise UsageError(
            f"every run has {by} {', '.join(known) or 'unknown'}{f' or none ({nameless} runs)' if nameless and known else ''}: there is nothing to compare",
            hint="write the word None in the empty cells, or choose another column: --by COLUMN"
            if nameless
            else "choose another column: --by COLUMN",
        )
    if len(given) < 2 and len(given) + len(rest) > 2:
        raise UsageError(
            f"{by} has {len(known)} values ({listed(known, _VALUES_SHOWN)}): which two?", hint=f"--a {known[0]} --b {known[1]}"
        )
    a = names[0] if names[0] is not None else rest.pop(0)
    b = names[1] if names[1] is not None else rest.pop(0)
    if a == b:
        raise UsageError(f"both sides are {by} {a}", hint="name two different values")
    return a, b


def _cells(found: Frontier, rates: pd.Series) -> pd.DataFrame:
    points = found.points.assign(
        log_x=np.log(found.points[found.x].to_numpy(float)),
        log_metric=np.log(found.points[found.metric].to_numpy(float)),
        rates_tried=found.points["cell"].map(rates),
    )
    if "examples_seen" in found.runs and "examples_seen" not in points:
        seen = pd.to_numeric(found.runs["examples_seen"], errors="coerce").groupby(found.runs["cell"]).mean()
        points["examples_seen"] = points["cell"].map(seen)
    return points
