"""`choose_law`: the one form whose coefficients, sentence and curve are shown as *the law* of some runs.

The law is the form that forecasts the larger runs best from the smaller, by the score of the back-test (`analysis.backtest.rule`); of forms that
are as good as one another the one with fewer coefficients is taken. *The forecast*, which may average several forms, gives every number beyond the runs. With too few budgets to
hold any out, both are the plainest form of the inputs: of compute, the power law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Literal

import pandas as pd

from analysis.automatic import AUTO, candidates, letters_of
from analysis.backtest.beyond import ChosenEstimate
from analysis.fitting.fit import columns_of, fit
from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.result import Fit
from analysis.laws import law_named
from analysis.numbers import as_factor
from analysis.prediction import runs_to_predict_from

__all__ = ["best_forecaster", "choose_law", "compared", "natural_choice"]


def choose_law(
    runs: pd.DataFrame,
    *,
    x: str | Sequence[str] | None = None,
    on: Literal["all", "frontier"] | None = None,
    **settings: Any,
) -> Fit:
    """Fit the law of these runs.

    >>> law = choose_law(runs, metric="val_loss")
    >>> law.equation(), law.forecast.predict([110_000])

    It costs what `fit(law="auto")` costs: the back-test and a fit of each form that has weight.

    Args:
        x: as in `analysis.fit`; the forms are those of so many inputs.
        on: None: the frontier of a grid, all runs of a bare table, see `natural_choice`.
        settings: of `analysis.fit`.

    Returns:
        The fit, with `chosen` true and `forecast` set. Its coefficients and intervals are those of `fit(law=<its name>)`.

    Raises: what `analysis.fit` raises.
    """
    forecast = fit(runs, x=x, law=AUTO, on=on or natural_choice(runs, x), **settings)
    letters = letters_of(len(forecast.axes))
    name = (forecast.backtest and forecast.backtest.best()) or candidates(letters)[0].name
    estimate = next(estimate for law, estimate in forecast.single_laws if law.name == name)
    axes = [forecast.axes[letters.index(letter)] for letter in law_named(name).axes]
    return replace(
        forecast,
        law=name,
        x=axes[0] if len(axes) == 1 else tuple(axes),
        estimate=_own(estimate),
        members=None,
        chosen=True,
        forecast=forecast,
        known_test=forecast.backtest or forecast.untested,
    )


def best_forecaster(fits: Sequence[Fit]) -> Fit:
    """Return, of fits of several laws to the same runs, the one that `choose_law` would choose. They are tested as laws of the inputs of the one that
    has most; with too few budgets for that, the one with fewest coefficients is taken."""
    test = max(fits, key=lambda each: len(each.axes)).tested
    name = None if test is None else test.best([each.law for each in fits])
    return next((each for each in fits if each.law == name), min(fits, key=lambda each: len(each.coefficients)))


def natural_choice(runs: pd.DataFrame, x: str | Sequence[str] | None = None) -> Literal["all", "frontier"]:
    """Which cells the law is of, when nobody says: those that a forecast is of, see `analysis.prediction.runs_to_predict_from`."""
    return runs_to_predict_from(runs, None if x is None else columns_of(x), AUTO)


def compared(law: Fit, plain: Fit) -> str:
    """How the plain form forecasts, against the chosen law: `forecasts ×/÷ 2.510 against ×/÷ 1.300`; empty where nothing was tested."""
    ours, theirs = law.forecast_error, plain.forecast_error
    if ours is None or theirs is None:
        return ""
    words = f"forecasts {as_factor(theirs)} against {as_factor(ours)}"
    if theirs >= ours:
        return words
    return f"{words}, but describes the runs {as_factor(plain.residual_std)} against {as_factor(law.residual_std)}"


def _own(estimate: LawEstimate) -> LawEstimate:
    """Without what the back-test adds to its interval beyond the runs: that is the forecast's."""
    if isinstance(estimate, ChosenEstimate) and estimate.beyond.floor_needs is not None:
        return replace(estimate, beyond=replace(estimate.beyond, error=None))
    return LawEstimate(**{field.name: getattr(estimate, field.name) for field in fields(LawEstimate)})
