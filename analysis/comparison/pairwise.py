"""Several families or recipes at equal compute: all pairs, with p-values that hold for all of them together, and one verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.comparison.arms import sides_of
from analysis.comparison.compare import compare
from analysis.comparison.difference import POWER
from analysis.comparison.pairwise_sentence import verdict
from analysis.comparison.recipe import with_recipe
from analysis.comparison.result import Comparison
from analysis.interval import Interval
from analysis.numbers import finite
from analysis.selection import Excluded
from analysis.unfinished import takes_runs
from scaling.errors import DataError, TooFewPoints

__all__ = ["MOST_SIDES", "NotCompared", "PairwiseComparison", "compare_sides", "holm"]

MOST_SIDES = 8
"""So many sides are compared in pairs at once, 28 of them; of more, two have to be named."""


@dataclass(frozen=True)
class NotCompared:
    """Says why sides a and b were not compared, and what to do about it."""

    a: str
    b: str
    reason: str
    hint: str

    def to_dict(self) -> dict[str, str]:
        """Return the fields."""
        return {"a": self.a, "b": self.b, "reason": self.reason, "hint": self.hint}


@dataclass(frozen=True, eq=False)
class PairwiseComparison:
    """Holds the comparisons of several sides of column `by` in pairs, each at the largest compute that its two sides share.

    pairs: those that could be compared. missing: the others. Intervals are those of each pair alone; which pairs differ is decided by
    `p_adjusted`, so that all verdicts together are right as often as `level` says.
    """

    by: str
    sides: tuple[str, ...]
    metric: str
    x: str
    level: float
    pairs: tuple[Comparison, ...]
    missing: tuple[NotCompared, ...] = ()

    @cached_property
    def p_adjusted(self) -> tuple[float, ...]:
        """Return the p-value of each pair at its largest shared compute, after Holm's correction for their number."""
        return tuple(holm([pair.p_value_at_largest for pair in self.pairs]))

    @cached_property
    def better(self) -> tuple[str | None, ...]:
        """Return the better side of each pair after the correction; None where the difference may be noise, or no winner is named."""
        return tuple(
            pair.better if adjusted < 1 - self.level else None for pair, adjusted in zip(self.pairs, self.p_adjusted, strict=True)
        )

    @property
    def best(self) -> str | None:
        """Return the side that is better than each other one, if there is one."""
        wins = [name for name in self.better if name is not None]
        return next((name for name in self.sides if wins.count(name) == len(self.sides) - 1), None)

    def detectable(self, pair: Comparison) -> float:
        """Return the least true difference of a pair that would have shown with a power of 80 % however the other pairs turn out.

        Holm's correction asks at most for a p-value below (1 − level) / number of pairs.
        """
        return pair.detectable_at(1 - (1 - self.level) / len(self.pairs))

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """Return each run that no pair counts, with its reason in the first."""
        left_out = [{entry.id: entry for entry in pair.excluded} for pair in self.pairs]
        used_by = {
            name: [out for pair, out in zip(self.pairs, left_out, strict=True) if name in (pair.a, pair.b)] for name in self.sides
        }
        found: dict[str, Excluded] = {}
        for own in used_by.values():
            for run in own[0] if own else {}:
                if all(run in other for other in own):
                    found.setdefault(run, own[0][run])
        return tuple(found.values())

    def sentence(self) -> str:
        """Return the verdict in words."""
        pairs = tuple(pair.in_words() for pair in self.pairs)
        named = {
            own: words for pair, told in zip(self.pairs, pairs, strict=True) for own, words in ((pair.a, told.a), (pair.b, told.b))
        }
        return verdict(replace(self, pairs=pairs, sides=tuple(named.get(side, side) for side in self.sides)))

    def table(self) -> pd.DataFrame:
        """List the pairs.

        The columns are a, b, `better`, the largest shared `x`, `ratio` (of a over b) with `ratio_low` and `ratio_high`, `p_value`,
        `p_adjusted`, `speed_up` with its ends, and `detectable`.
        """
        rows = [
            {
                "a": pair.a,
                "b": pair.b,
                "better": better,
                self.x: pair.found.shared[1],
                **_named("ratio", pair.difference_at_largest.exp()),
                "p_value": pair.p_value_at_largest,
                "p_adjusted": adjusted,
                **_named("speed_up", pair.speed_up_at_largest),
                "detectable": self.detectable(pair),
            }
            for pair, better, adjusted in zip(self.pairs, self.better, self.p_adjusted, strict=True)
        ]
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, object]:
        """Return the comparisons as JSON holds them, without `schema_version`; those of two sides have no `pairs`."""
        pairs = zip(self.pairs, self.better, self.p_adjusted, strict=True)
        return {
            "by": self.by,
            "sides": list(self.sides),
            "metric": self.metric,
            "x": self.x,
            "level": self.level,
            "best": self.best,
            "sentence": self.sentence(),
            "pairs": [
                {
                    **pair.to_dict(),
                    "better_of_all": better,
                    "p_adjusted": finite(adjusted),
                    "detectable_of_all": {"difference": finite(self.detectable(pair)), "power": POWER},
                }
                for pair, better, adjusted in pairs
            ],
            "missing": [entry.to_dict() for entry in self.missing],
        }

    def to_csv(self) -> str:
        """Return `table` as CSV."""
        return as_csv(self.table())


@takes_runs
def compare_sides(
    runs: pd.DataFrame,
    *,
    by: str = "family",
    a: str | None = None,
    b: str | None = None,
    metric: str = "val_loss",
    x: str = "core_hours",
    cell: Sequence[str] = (),
    level: float = 0.95,
) -> Comparison | PairwiseComparison:
    """Compare two sides as `compare` does; of a column with 3 … 8 values all pairs, or those of one named side.

    >>> analysis.compare_sides(runs, by="model").best
    'w48'

    Args: as of `compare`; with `a` alone it is compared with each other side.
    Raises: as `compare`; where no pair can be compared, what the first one raised.
    """
    asked: dict[str, Any] = {"by": by, "metric": metric, "x": x, "cell": cell, "level": level}
    runs = with_recipe(runs, by)
    sides = sides_of(runs, by)
    one = a if a is not None else b
    if (a is not None and b is not None) or not 2 < len(sides) <= MOST_SIDES or (one is not None and one not in sides):
        return compare(runs, a=a, b=b, **asked)
    pairs: list[Comparison] = []
    missing: list[NotCompared] = []
    refused: TooFewPoints | DataError | None = None
    for first, second in combinations(sides, 2):
        if one not in (None, first, second):
            continue
        if one == second:
            first, second = second, first
        try:
            pairs.append(compare(runs, a=first, b=second, **asked))
        except (TooFewPoints, DataError) as error:
            refused = refused or error
            missing.append(NotCompared(first, second, str(error), error.hint))
    if not pairs:
        assert refused is not None, "there are pairs"
        raise refused
    return PairwiseComparison(by, tuple(sides), metric, x, level, tuple(pairs), tuple(missing))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Return p-values (m,) corrected for their number, so that the chance of any false refusal is at most the level (Holm 1979).

    The i-th smallest is multiplied with m − i + 1, and none is smaller than one before it.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty(len(p))
    found[order] = np.minimum(raised, 1.0)
    return found


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}{end}": getattr(interval, part) for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))}
