"""The result of a comparison: its numbers, and where to find its answer in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.comparison.crossing import Crossing, crossing_of
from analysis.comparison.difference import POWER, Difference
from analysis.comparison.sentence import caveats, edge_words, no_crossing_words, rates_words, sentence
from analysis.interval import Interval
from analysis.numbers import finite, records
from analysis.reading.prices import unit_of
from analysis.selection import Excluded, excluded_payload

if TYPE_CHECKING:
    from analysis.diagnostics import Diagnostic

__all__ = ["Comparison", "UnequalRates"]

_POINTS = 25


@dataclass(frozen=True)
class UnequalRates:
    """Says that the sides tried unlike numbers of learning rates a cell, `of_a` and `of_b` on average; `searched`, 0 or 1, tried more.

    count: how many of them count in a cell. decide: whether the side that tried fewer is better only while no more count.
    """

    searched: int
    count: int
    of_a: float
    of_b: float
    decide: bool = False


@dataclass(frozen=True, eq=False)
class Comparison:
    """Holds the comparison of side `a` with side `b` of column `by`, at equal compute.

    The answer is the difference at the largest shared compute and where the sides cross; averages over compute or budgets come second.

    found: the difference of log metric with its standard errors. budgets: one row a pair (paired) or a cell (joint).
    runs_used: how many runs the cells that count have. excluded: every other run of the two sides, with its reason.
    notes: a sentence for each thing that was taken for granted. diagnostics: whether runs of either side do no better than guessing.
    rates: how unequally the sides searched their learning rates; None where they searched alike. currency: of their costs, if one is known.
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
    notes: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    rates: UnequalRates | None = None
    currency: str | None = None

    @property
    def unit(self) -> str:
        """Return what words say after a number of `x`: its name, of money the currency."""
        return unit_of(self.x, self.currency)

    @cached_property
    def difference(self) -> Interval:
        """Return log(metric of a / metric of b), the mean over the shared budgets; 0.02 is 2 % worse for a."""
        return self.found.interval(self.found.mean, self.level)

    @cached_property
    def ratio(self) -> Interval:
        """Return metric of a / metric of b at equal compute, the geometric mean over the shared budgets."""
        return self.difference.exp()

    @cached_property
    def p_value(self) -> float:
        """Return the p-value of the hypothesis that the sides do not differ on average over the shared budgets (two-sided t)."""
        return self.found.p_value(self.found.mean)

    @cached_property
    def difference_on_frontier(self) -> Interval:
        """Return the log ratio averaged over compute with each side at its best cell.

        `difference` averages over all shared budgets, good and bad.
        """
        return self.found.interval(self.found.on_frontier, self.level)

    @cached_property
    def p_value_on_frontier(self) -> float:
        return self.found.p_value(self.found.on_frontier)

    @cached_property
    def difference_at_largest(self) -> Interval:
        """Return the log ratio at the largest shared compute."""
        return self.found.interval(self.found.at_largest, self.level)

    @cached_property
    def p_value_at_largest(self) -> float:
        return self.found.p_value(self.found.at_largest)

    @cached_property
    def trend(self) -> Interval:
        """Return the change of the log ratio for each e-fold of compute."""
        return self.found.interval(self.found.trend, self.level)

    @cached_property
    def p_value_trend(self) -> float:
        return self.found.p_value(self.found.trend)

    @cached_property
    def speed_up(self) -> Interval:
        """Return how much more compute a needs to equal b: 1.3 is 30 % more; below 1, a needs less. Its test is that of `difference`."""
        return self.found.log_speed_up(self.found.mean, self.found.slope, self.level).exp()

    @cached_property
    def speed_up_at_largest(self) -> Interval:
        return self.found.log_speed_up(self.found.at_largest, self.found.slope_at_largest, self.level).exp()

    @cached_property
    def detectable(self) -> float:
        """Return the least true difference at the largest shared compute that would have shown with a power of 80 %; 0.03 is 3 %.

        See `Difference.detectable`: it is of the standard error behind the interval, at its level.
        """
        return self.detectable_at(self.level)

    def detectable_at(self, level: float) -> float:
        """Return `detectable` of a test at another level, such as that of one of several pairs."""
        return float(np.expm1(self.found.detectable(self.found.at_largest, level)))

    @cached_property
    def crossing(self) -> Crossing:
        """Return where the sides cross within the shared range, with its interval, or why they do not."""
        if self.withheld or (self.found.edges and not self.found.narrowed):
            return Crossing(Interval(float("nan"), -np.inf, np.inf), None, False, no_crossing_words(self))
        return crossing_of(self.found, (self.a, self.b), self.x, self.level, unit=self.unit)

    @property
    def better(self) -> str | None:
        """Return the side with the lower metric at the largest shared compute, or None where no winner is named.

        None is named where the difference there may be noise or says something else (`withheld`).
        """
        return None if self.withheld else self._lower_at_largest

    @property
    def _lower_at_largest(self) -> str | None:
        if not self.difference_at_largest.excludes(0.0):
            return None
        return self.b if self.difference_at_largest.value > 0 else self.a

    @cached_property
    def withheld(self) -> str | None:
        """Return why no winner is named though one side may seem better, a sentence with what to do; None where the answer stands.

        A side that is better at its size nearest to the other's best, too, does not win by its sizes.
        """
        if self.rates is not None and self.rates.decide:
            return rates_words(self)
        edges = self.found.edges
        if not edges or self.found.narrowed:
            return None
        ahead, near = self._lower_at_largest, self.found.at_near_sizes
        if near is not None:
            same = (self.b if near.value > 0 else self.a) == ahead and self.found.interval(near, self.level).excludes(0.0)
        else:
            ends = {(self.a, self.b)[edge.side] for edge in edges if edge.high >= self.found.shared[1] * (1 - 1e-9)}
            same = ends == {ahead}
        return None if same else edge_words(self)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Return sentences on which compute and which learning rates the answer is about; they end `sentence`."""
        return caveats(self.in_words())

    @property
    def end(self) -> str:
        """Return what `shared[1]` is called: the largest shared compute, or the largest at which the sizes tried allow a comparison."""
        return "the largest comparable" if self.found.narrowed else "the largest shared"

    def sentence(self) -> str:
        """Return the answer in words."""
        return sentence(self.in_words())

    def in_words(self) -> Comparison:
        """Return the comparison with its sides as a sentence names them: `sam 0.05` where a side is a bare number."""
        named = {side: f"{self.by} {side}" if _is_number(side) else side for side in (self.a, self.b)}
        return self if list(named.values()) == list(named) else replace(self, a=named[self.a], b=named[self.b])

    def speed_ups(self) -> tuple[tuple[float, Interval], ...]:
        """Return how many times the compute of b side a needs at the smallest, the middle and the largest shared compute: (x, interval)."""
        u = self.found.along.u
        rows = (0, len(u) // 2, len(u) - 1)
        return tuple((float(np.exp(u[row])), self.found.log_speed_up_along(row, self.level).exp()) for row in rows)

    def curve(self, points: int = _POINTS) -> pd.DataFrame:
        """Return the ratio along the shared compute, each side at its best cell, and how many times the compute of b side a needs there.

        The columns are x, `ratio`, `low`, `high`, `speed_up`, `speed_up_low`, `speed_up_high`.
        """
        along = self.found.along
        rows = np.linspace(0, len(along.u) - 1, points).round().astype(int)
        half = self.found.quantile(self.level) * along.error[rows]
        value = along.value[rows]
        with np.errstate(over="ignore"):
            ends = {"ratio": np.exp(value), "low": np.exp(value - half), "high": np.exp(value + half)}
        needs = [self.found.log_speed_up_along(int(row), self.level).exp() for row in rows]
        speeds = {
            "speed_up": [each.value for each in needs],
            "speed_up_low": [each.low for each in needs],
            "speed_up_high": [each.high for each in needs],
        }
        return pd.DataFrame({self.x: np.exp(along.u[rows]), **ends, **speeds})

    def to_dict(self) -> dict[str, object]:
        """Return the comparison as JSON holds it, without `schema_version`."""
        return {
            "by": self.by,
            "a": self.a,
            "b": self.b,
            "metric": self.metric,
            "x": self.x,
            "currency": self.currency,
            "level": self.level,
            "design": self.found.design,
            "better": self.better,
            "withheld": self.withheld,
            "caveats": list(self.caveats),
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
                "detectable": {"difference": finite(self.detectable), "power": POWER},
            },
            "crossing": self.crossing.to_dict(self.x),
            "curve": records(self.curve()),
            "trend": self.trend.to_dict() | {"p_value": finite(self.p_value_trend)},
            "shared": list(self.found.shared),
            "observations": self.found.pairs,
            "degrees_of_freedom": self.found.degrees_of_freedom,
            "noise_std": finite(self.found.noise_std),
            "budgets": records(self.budgets),
            "runs_used": self.runs_used,
            "excluded": excluded_payload(self.excluded),
            "notes": list(self.notes),
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
        }

    def to_csv(self) -> str:
        """Return `budgets` as CSV."""
        return as_csv(self.budgets)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
