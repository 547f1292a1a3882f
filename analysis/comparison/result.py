"""What a comparison says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.comparison.difference import Difference
from analysis.interval import Interval
from analysis.numbers import finite, records, significant
from analysis.selection import Excluded, excluded_payload

__all__ = ["Comparison"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Side `a` against side `b` of column `by`, at equal compute.

    found: the difference of log metric with its standard errors. budgets: one row a pair (paired) or a cell (joint).
    runs_used: of both sides. excluded: every other run of the two sides, with its reason.
    """

    by: str
    a: str
    b: str
    metric: str
    x: str
    level: float
    found: Difference
    budgets: pd.DataFrame
    runs_used: int
    excluded: tuple[Excluded, ...]

    @cached_property
    def difference(self) -> Interval:
        """log(metric of a / metric of b), mean over the shared budgets; 0.02 is 2 % worse for a."""
        return self.found.interval(self.found.mean, self.level)

    @cached_property
    def ratio(self) -> Interval:
        """metric of a / metric of b at equal compute, geometric mean over the shared budgets."""
        return self.difference.exp()

    @cached_property
    def p_value(self) -> float:
        """Of the hypothesis that the sides do not differ on average over the shared budgets (two-sided t)."""
        return self.found.p_value(self.found.mean)

    @cached_property
    def difference_on_frontier(self) -> Interval:
        """The log ratio averaged over compute with each side at its best epochs; `difference` averages over all shared budgets, good and bad."""
        return self.found.interval(self.found.on_frontier, self.level)

    @cached_property
    def p_value_on_frontier(self) -> float:
        return self.found.p_value(self.found.on_frontier)

    @cached_property
    def difference_at_largest(self) -> Interval:
        """The log ratio at the largest shared compute."""
        return self.found.interval(self.found.at_largest, self.level)

    @cached_property
    def p_value_at_largest(self) -> float:
        return self.found.p_value(self.found.at_largest)

    @cached_property
    def trend(self) -> Interval:
        """Change of the log ratio for each e-fold of compute."""
        return self.found.interval(self.found.trend, self.level)

    @cached_property
    def p_value_trend(self) -> float:
        return self.found.p_value(self.found.trend)

    @cached_property
    def speed_up(self) -> Interval:
        """How much more compute a needs to equal b: 1.3 is 30 % more; below 1, a needs less. Its test is that of `difference`."""
        return self.found.log_speed_up(self.found.mean, self.found.slope, self.level).exp()

    @cached_property
    def speed_up_at_largest(self) -> Interval:
        return self.found.log_speed_up(self.found.at_largest, self.found.slope_at_largest, self.level).exp()

    @property
    def better(self) -> str | None:
        """The side with the lower metric, or None where the difference may be noise."""
        if not self.difference.excludes(0.0):
            return None
        return self.b if self.difference.value > 0 else self.a

    def sentence(self) -> str:
        """The answer in words."""
        basis = (
            f"{self.found.pairs} shared budgets" if self.found.design == "paired" else f"{self.found.pairs} cells that do not pair"
        )
        if self.better is None:
            worst = max(abs(self.difference.low), abs(self.difference.high))
            return (
                f"No difference between {self.a} and {self.b} beyond noise: {self.metric} {_percent(self.difference)} at equal {self.x}, "
                f"{basis}, p = {self.p_value:.2g}. A difference above {100 * math.expm1(worst):.2g} % is ruled out at {100 * self.level:g} %.{self._at_scale()}"
            )
        other = self.a if self.better == self.b else self.b
        shown = self.difference if self.better == self.a else _negative(self.difference)
        needs = self.speed_up if other == self.a else _inverse(self.speed_up)
        more = (
            f"{other} needs {needs.words()} times the {self.x} to equal it"
            if needs.bounded
            else f"how much {self.x} that is worth is not determined"
        )
        return (
            f"{self.better} is better than {other} at equal {self.x}: {self.metric} {_percent(shown)}, {basis}, p = {self.p_value:.2g}; "
            f"{more}.{self._at_scale()}"
        )

    def _at_scale(self) -> str:
        at = f"at the largest shared {self.x} ({significant(self.found.shared[1], 3)})"
        end = self.difference_at_largest
        changes = self.p_value_trend < 1 - self.level
        if not changes:
            return f" The gap shows no change with {self.x}; {at} the ratio {self.a}/{self.b} is {end.exp().words(4)}."
        how = "grows" if self.trend.value * end.value > 0 else "shrinks"
        tail = "" if end.excludes(0.0) else ", which may be noise"
        return f" The gap {how} with {self.x}: {at} the ratio {self.a}/{self.b} is {end.exp().words(4)}{tail}."

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON holds it, without `schema_version`."""
        return {
            "by": self.by,
            "a": self.a,
            "b": self.b,
            "metric": self.metric,
            "x": self.x,
            "level": self.level,
            "design": self.found.design,
            "better": self.better,
            "sentence": self.sentence(),
            "log_ratio": self.difference.to_dict(),
            "ratio": self.ratio.to_dict(),
            "p_value": finite(self.p_value),
            "speed_up": self.speed_up.to_dict(),
            "on_frontier": {"log_ratio": self.difference_on_frontier.to_dict(), "p_value": finite(self.p_value_on_frontier)},
            "at_largest": {
                self.x: self.found.shared[1],
                "log_ratio": self.difference_at_largest.to_dict(),
                "p_value": finite(self.p_value_at_largest),
                "speed_up": self.speed_up_at_largest.to_dict(),
            },
            "trend": self.trend.to_dict() | {"p_value": finite(self.p_value_trend)},
            "shared": list(self.found.shared),
            "observations": self.found.pairs,
            "degrees_of_freedom": self.found.degrees_of_freedom,
            "noise_std": finite(self.found.noise_std),
            "budgets": records(self.budgets),
            "runs_used": self.runs_used,
            "excluded": excluded_payload(self.excluded),
        }

    def to_csv(self) -> str:
        """`budgets` as CSV."""
        return self.budgets.to_csv(index=False)


def _percent(log_ratio: Interval) -> str:
    """`2.1 % lower (1.8 … 2.4)`, of the log of a ratio; a positive one is higher."""
    ends = [100 * math.expm1(end) for end in (log_ratio.value, log_ratio.low, log_ratio.high)]
    if log_ratio.value > 0:
        return f"{ends[0]:.2g} % higher ({ends[1]:.2g} … {ends[2]:.2g})"
    return f"{0 - ends[0]:.2g} % lower ({0 - ends[2]:.2g} … {0 - ends[1]:.2g})"


def _negative(interval: Interval) -> Interval:
    return Interval(-interval.value, -interval.high, -interval.low)


def _inverse(interval: Interval) -> Interval:
    return Interval(1 / interval.value, 1 / interval.high, 1 / interval.low if interval.low > 0 else math.inf)
