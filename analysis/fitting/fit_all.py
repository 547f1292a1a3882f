"""Several laws fitted to several choices of runs, the law first: what the command and the pages show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import pandas as pd

from analysis.as_csv import as_csv
from analysis.automatic import AUTO
from analysis.backtest.backtest import Backtest
from analysis.choice import choose_law, natural_choice
from analysis.fitting.fit import columns_of, fit
from analysis.fitting.result import Fit
from analysis.laws import law_named
from analysis.selection import Excluded
from analysis.unfinished import takes_runs
from scaling.errors import TooFewPoints

__all__ = ["BESIDE", "Fits", "fit_all"]

BESIDE = ("power", "power-floor")
"""The laws that are fitted beside the law of compute when no law is named: the form of the study, and the same with a floor."""

Once = Callable[[str, str, Callable[[], Fit]], Fit]
"""Name of a law, choice of runs, and what makes their fit → that fit, made now or remembered."""


class Fits(NamedTuple):
    """Holds several laws of the same runs, of each choice of runs the chosen one first, and what could not be fitted.

    not_fitted: what has too few points, `{"law", "on", "reason", "have", "need"}` each.
    """

    fits: list[Fit]
    not_fitted: list[dict[str, Any]]

    @property
    def law(self) -> Fit | None:
        """Return the first chosen law, by default that of the cells of `analysis.choice.natural_choice`; None where laws were named."""
        return next((fit for fit in self.fits if fit.chosen), None)

    @property
    def excluded(self) -> tuple[Excluded, ...]:
        """Return the runs that were not used, of the fit with the most of them."""
        return max(self.fits, key=lambda fit: len(fit.excluded)).excluded

    def to_dict(self) -> dict[str, Any]:
        """Return the fits as JSON holds them, `{"answer", "the_law", "fits", "not_fitted"}`.

        - `answer`: what the law says, see `analysis.sentence`. `the_law`: `{"law", "on"}`. Both are None where laws were named.
        - `fits`: `Fit.to_dict()` each. Of each choice of cells one is `chosen`, the best forecaster of these cells, `chosen_of`.
        - `not_fitted`: `{"law", "on", "reason", "have", "need"}` each.
        """
        return {
            "answer": None if self.law is None else self.law.answer.to_dict(),
            "the_law": None if self.law is None else {"law": self.law.law, "on": self.law.on},
            "fits": [fit.to_dict() for fit in self.fits],
            "not_fitted": list(self.not_fitted),
        }

    def to_csv(self) -> str:
        """Return the coefficients as CSV, a row each."""
        rows = [
            {
                "law": fit.law,
                "on": fit.on,
                "coefficient": name,
                "value": value,
                "low": fit.interval()["low"][name],
                "high": fit.interval()["high"][name],
                "status": fit.status.value,
                "identified": fit.lights.identified.ok,
                "forecasts_well": fit.lights.forecasts_well.ok,
                "chosen": fit.chosen,
                "forecast_error": fit.forecast_error,
                "runs_used": fit.runs_used,
            }
            for fit in self.fits
            for name, value in fit.coefficients.items()
        ]
        return as_csv(pd.DataFrame(rows))


@takes_runs
def fit_all(
    runs: pd.DataFrame,
    *,
    laws: Sequence[str] = (),
    on: Literal["frontier", "all", "both"] | None = None,
    x: str | Sequence[str] | None = None,
    once: Once = lambda law, on, make: make(),
    **settings: Any,
) -> Fits:
    """Fit several laws to the same runs.

    Args:
        runs: a table of runs.
        laws: names; when empty the law that `choose_law` chooses and, for laws of compute, `BESIDE`.
        on: which cells. None: all for surfaces, else the frontier of a grid, all of a bare table, see `analysis.choice.natural_choice`.
            "both": those first, then the others, and a surface to all.
        x, settings: of `analysis.fit`.
        once: remembers fits, for a caller that asks again with other `laws` or another `on`; `auto` is the name of the chosen law.

    Raises:
        TooFewPoints: of the law that lacks the fewest, when nothing could be fitted. Otherwise as `analysis.fit`.
    """
    fits: list[Fit] = []
    refused: list[tuple[str, str, TooFewPoints]] = []
    surface = x is not None and len(columns_of(x)) > 1
    if on is None and laws and all(law != AUTO and law_named(law).is_surface for law in laws):
        on = "all"  # a frontier is one of compute
    for choice in _choices(runs, on, x):
        here: list[Fit] = []
        if not laws and not (surface and on == "both" and choice == "frontier"):
            try:
                here.append(once(AUTO, choice, partial(choose_law, runs, x=x, on=choice, **settings)))
            except TooFewPoints as error:
                refused.append((AUTO, choice, error))
        for law in laws or (() if surface else BESIDE):
            if here and here[0].chosen and here[0].law == law:
                continue
            if on == "both" and choice == "frontier" and (surface if law == AUTO else law_named(law).is_surface):
                continue
            try:
                here.append(once(law, choice, partial(fit, runs, law=law, on=choice, x=x, **settings)))
            except TooFewPoints as error:
                refused.append((law, choice, error))
        fits += _sharing_a_test(here)
    if not fits:
        raise min((error for _, _, error in refused), key=lambda error: error.need - error.have)
    not_fitted = (
        {"law": law, "on": choice, "reason": str(error), "have": error.have, "need": error.need} for law, choice, error in refused
    )
    return Fits(fits, list(not_fitted))


def _choices(
    runs: pd.DataFrame, on: Literal["frontier", "all", "both"] | None, x: str | Sequence[str] | None
) -> tuple[Literal["frontier", "all"], ...]:
    if on in ("frontier", "all"):
        return (on,)
    first = natural_choice(runs, x)
    return (first,) if on is None else (first, "all" if first == "frontier" else "frontier")


def _sharing_a_test(fits: list[Fit]) -> Iterator[Fit]:
    """Give fits to the same runs, of the same inputs, one back-test, which is made once. A law with pins or ties has its own."""
    tests: dict[tuple[str, ...], Backtest | TooFewPoints | None] = {
        each.axes: each.tested for each in fits if each.backtest is not None
    }
    for each in fits:
        if each.pin or each.tie:
            yield each
            continue
        if len(fits) > 1 and each.axes not in tests:
            tests[each.axes] = each.tested or each.untested
        yield replace(each, known_test=tests[each.axes]) if each.axes in tests and each.known_test is None else each
