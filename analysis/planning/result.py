"""The result of a plan: what to run next, and how sure the prediction will be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.as_csv import as_csv
from analysis.diagnostics import Diagnostic, DiagnosticCode, apart_at, far_extrapolation, laws_disagree_at
from analysis.fitting.result import Fit
from analysis.interval import Interval
from analysis.numbers import finite, records
from analysis.planning.budget import Budget
from analysis.planning.design import Criterion
from analysis.planning.futures import DRAWS
from scaling.outcomes import FitStatus
from scaling.rounding import amount, money, significant

if TYPE_CHECKING:
    from analysis.selection import Excluded

__all__ = ["NextRuns", "log_width"]

_HARDLY = 0.8
"""A share of the width below which nobody would pay for the runs."""


@dataclass(frozen=True, eq=False)
class NextRuns:
    """Says what to run next, and how sure the prediction at the target will be.

    forecast: gives the values at the target, `at`, as `analysis.predict` does.
    fit: the law by which the candidates were weighed, which may be of other inputs; law_at: those at the target. Of it the values have
    only the factor by which intervals narrow.
    chosen: rows of the candidates, the most useful first, with `mean_low` and `mean_high`: the interval once that row and those above
    are done.
    now, after: intervals of the mean at the target; now_run, after_run: of a new run there. They keep the value of now: what the runs
    will say cannot be known, how much they will narrow it can, as far as the law holds.
    budget: in core-hours or money. core_hours: of the chosen runs; NaN where these are of several accelerators.
    cost: of the chosen runs, in money of `currency`, where prices are known; also a column of `chosen`.
    share_of_law: the part of the mean's variance that more runs are sure to narrow; the rest is lack of fit.
    members: of the forecast by which the candidates were judged together, member → weight; empty where one law judged them.
    notes: a sentence for each thing that was done to the candidates.
    """

    target: str
    at: dict[str, float]
    forecast: Fit
    fit: Fit
    law_at: dict[str, float]
    criterion: Criterion
    budget: Budget
    core_hours: float
    candidates: int
    chosen: pd.DataFrame
    now: Interval
    after: Interval
    now_run: Interval
    after_run: Interval
    share_of_law: float
    cost: float | None = None
    currency: str | None = None
    notes: tuple[str, ...] = ()
    members: Mapping[str, float] = field(default_factory=dict)

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """Return the runs that the law left out."""
        return self.fit.excluded

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what is wrong with the prediction, the law and the forecast, see `analysis.diagnostics`.

        Of the prediction: the target is further from the runs than anything tests, or law and forecast disagree there.
        """
        at = pd.DataFrame([self.at])
        here = [*far_extrapolation(self.forecast, at), *self._disagreement]
        for fit in (self.fit, self.forecast):
            said = {entry.code for entry in here}
            here += [entry for entry in fit.diagnostics if entry.code not in said]
        return tuple(here)

    @cached_property
    def _disagreement(self) -> tuple[Diagnostic, ...]:
        at = pd.DataFrame([self.at])
        return (*laws_disagree_at(self.forecast, at), *apart_at(self.fit, pd.DataFrame([self.law_at]), self.forecast, at))

    @property
    def status(self) -> DiagnosticCode | FitStatus:
        """Return the gravest that is known of the prediction at the target.

        Laws that disagree there come first (`laws-disagree`, `law-and-forecast-apart`), then the status of the law, then a target that is
        further from the runs than anything tests (`far-extrapolation`). `ok`: none of these.
        """
        if self._disagreement:
            return self._disagreement[0].code
        far = far_extrapolation(self.forecast, pd.DataFrame([self.at]))
        return far[0].code if self.fit.status == FitStatus.OK and far else self.fit.status

    @property
    def shrinkage(self) -> float:
        """Return the width of the mean's interval afterwards over its width now, in logarithms; 0.5 is half as wide."""
        return log_width(self.after) / log_width(self.now) if log_width(self.now) > 0 else float("nan")

    @property
    def least_width(self) -> float:
        """Return what any number of such runs would leave of the interval's width at least: what the form of the law may be off by."""
        return math.sqrt(max(0.0, 1.0 - self.share_of_law))

    def can_tell(self) -> str:
        """Say in a sentence whether runs like the candidates can tell what is asked for at all."""
        what = f"{self.fit.metric} at {self.target}"
        lost = f"{100 * (1 - self.share_of_law):.0f} % of the variance is what the form of the law may be off by there"
        if self.least_width > _HARDLY:
            return f"Runs like these can hardly tell {what}: {lost}, and however many of them leave {significant(self.least_width, 2)} of the interval's width."
        if self.least_width > 0.5:
            return f"Runs like these can tell {what} only in part: {lost}, so that they cannot halve its interval."
        if self.chosen.empty:
            return f"Runs like these can tell {what} better, but none that helps fits {self.budget.words}."
        if self.shrinkage > _HARDLY:
            return f"Runs like these can tell {what} better, but those that fit {self.budget.words} leave its interval about as wide as it is."
        return (
            f"Runs like these can tell {what} better: those planned leave {significant(self.shrinkage, 2)} of the interval's width."
        )

    def sentence(self) -> str:
        """Write the answer in words."""
        metric = self.fit.metric
        if self.chosen.empty:
            return f"Nothing among {self.candidates} candidates fits {self.budget.words} and helps: {metric} at {self.target} stays {self.now.words(4)}."
        return (
            f"{len(self.chosen)} of {self.candidates} candidates, {self._spent()}: "
            f"{metric} at {self.target} is now {self.now.words(4)}; afterwards about {significant(self.after.low)} … {significant(self.after.high)}, "
            f"{self._left()}.{self._wider()}{self._lack_of_fit()}{self._disagreement_words()}"
        )

    def _left(self) -> str:
        """Write how wide the interval will be."""
        return "about as wide as now" if 0.95 < self.shrinkage <= 1 else f"{significant(self.shrinkage, 2)} of the width"

    def _spent(self) -> str:
        """Write what of the budget is spent, with the other unit in brackets."""
        if self.budget.currency is None:
            other = "" if self.cost is None else f" ({money(self.cost, self.currency)})"
            return f"{significant(self.core_hours, 3)} of {self.budget.words}{other}"
        other = "" if math.isnan(self.core_hours) else f" ({amount(self.core_hours)} core-hours)"
        return f"{amount(self.cost)} of {self.budget.words}{other}"

    def price_words(self) -> str:
        """Write what the chosen runs cost: `45.0 core-hours (112 USD)`."""
        words = [] if math.isnan(self.core_hours) else [f"{significant(self.core_hours)} core-hours"]
        words += [] if self.cost is None else [money(self.cost, self.currency)]
        return f"{words[0]} ({words[1]})" if len(words) > 1 else words[0]

    def weighed_by(self) -> str:
        """Say by what, and where, the runs were weighed.

        E.g. `runs weighed by the chinchilla law of 60 runs in 30 cells, none left out, at the best size there: params 1.5e+09, …`.
        """
        of_law = f"the {self.fit.law} law of {self.fit.runs_words}, {self.fit.excluded_words}"
        if self.members:
            members = ", ".join(f"{name} {weight:.2f}" for name, weight in self.members.items())
            judged = f"runs judged by what the forecast ({members}) would say after them, in {DRAWS} draws of what the curve may be"
            return judged if self.law_at == self.at else f"{judged}; cells against the best of their compute by {of_law}"
        words = f"runs weighed by {of_law}"
        if self.law_at == self.at:
            return words
        return f"{words}, at the best size there: {', '.join(f'{name} {significant(value, 3)}' for name, value in self.law_at.items())}"

    def holds_as_far(self) -> str:
        """Say in a sentence what the width afterwards rests on."""
        if self.members:
            return "the value afterwards is what the runs will say; the width is the mean of what the forecast would say, if its members and their errors so far tell what may come"
        return f"the value afterwards is what the runs will say; the width is what they will narrow it to, as far as the {self.fit.law} law holds"

    def _wider(self) -> str:
        return " It may widen, since the runs may show that the forecast is off." if self.shrinkage > 1 else ""

    def _disagreement_words(self) -> str:
        if not self._disagreement:
            return ""
        return f" This may be wrong: {self._disagreement[0].message}."

    def _lack_of_fit(self) -> str:
        if self.share_of_law > 0.5:
            return ""
        return (
            f" {100 * (1 - self.share_of_law):.0f} % of the variance there is what the form of the {self.fit.law} law may be off by, which the plan takes to "
            "stay: try another law, or run nearer to the target."
        )

    def to_dict(self) -> dict[str, object]:
        """Return the plan as JSON holds it, without `schema_version`."""
        return {
            "metric": self.fit.metric,
            "status": self.status.value,
            "target": self.target,
            "at": self.at,
            "law": self.fit.law,
            "law_at": self.law_at,
            "lights": self.forecast.lights.to_dict(),
            "criterion": self.criterion,
            "share_of_law": self.share_of_law,
            "members": dict(self.members),
            "budget_core_hours": self.budget.amount if self.budget.currency is None else None,
            "budget_cost": None if self.budget.currency is None else self.budget.amount,
            "core_hours": finite(self.core_hours),
            "cost": self.cost,
            "currency": self.currency,
            "candidates": self.candidates,
            "sentence": self.sentence(),
            "can_tell": self.can_tell(),
            "least_width": self.least_width,
            "notes": list(self.notes),
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
            "now": {"mean": self.now.to_dict(), "new_run": self.now_run.to_dict()},
            "after": {"mean": self.after.to_dict(), "new_run": self.after_run.to_dict()},
            "chosen": records(self.chosen),
            "fit": self.fit.to_dict(),
            "forecast": self.forecast.to_dict(),
        }

    def to_csv(self) -> str:
        """Write `chosen` as CSV."""
        return as_csv(self.chosen)


def log_width(interval: Interval) -> float:
    """Return the width of an interval of a positive number, in log; infinite where an end is zero or infinite."""
    with np.errstate(divide="ignore"):
        return float(np.log(interval.high) - np.log(interval.low))
