"""`choose_law`: the one form whose coefficients, sentence and curve are shown as *the law* of some runs.

The law is the form that forecasts the larger runs best from the smaller, by the score of the back-test (`analysis.backtest.rule`). Of
forms that are as good as one another, the one with fewer coefficients is taken. With few budgets a form may forecast well by chance. So
two kinds of form are passed over where another form is known: one whose fit did not converge, and one with an exponent that may be
anything. With fewer than two cells a coefficient, no coefficient may be so unbounded.

*The forecast*, which may average several forms, gives every number beyond the runs. With too few budgets to hold any out, both are the
plainest form of the inputs: of compute, the power law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Literal, Unpack

import numpy as np
import pandas as pd

from analysis.automatic import AUTO, candidates, letters_of
from analysis.backtest.beyond import ChosenEstimate, chosen
from analysis.backtest.forecast import ForecastEstimate
from analysis.diagnostics.design import CELLS_A_COEFFICIENT
from analysis.fitting.estimate import Estimate
from analysis.fitting.fit import FitSettings, columns_of, fit
from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.result import Fit
from analysis.laws import law_named
from analysis.prediction import runs_to_predict_from
from analysis.sentence import Answer
from analysis.unfinished import takes_runs
from scaling.outcomes import FitStatus
from scaling.rounding import as_factor

__all__ = ["LawSettings", "answer", "best_forecaster", "choose_law", "compared", "natural_choice"]


class LawSettings(FitSettings, total=False):
    """Holds the settings of `choose_law`."""

    x: str | Sequence[str] | None
    on: Literal["all", "frontier"] | None


@takes_runs
def choose_law(
    runs: pd.DataFrame,
    *,
    x: str | Sequence[str] | None = None,
    on: Literal["all", "frontier"] | None = None,
    **settings: Unpack[FitSettings],
) -> Fit:
    """Choose the law that forecasts the larger runs best from the smaller, and fit it to these runs.

    >>> law = scaling.choose_law(runs, x="train_flops")
    >>> law.equation()
    'val_loss = ... · train_flops^-0.6...'
    >>> list(law.forecast.predict([1e11]))
    ['mean', 'low', 'high']

    It costs what `fit(law="auto")` costs: the back-test and a fit of each form that has weight.

    Args:
        x: as in `analysis.fit`; the forms are those of so many inputs.
        on: None: the frontier of a grid, all runs of a bare table, see `natural_choice`.
        settings: of `analysis.fit`.

    Returns:
        The fit, with `chosen` true and `forecast` set. Its coefficients and intervals are those of `fit(law=<its name>)`.

    Raises: what `analysis.fit` raises.
    """
    choice = on or natural_choice(runs, x)
    forecast = fit(runs, x=x, law=AUTO, on=choice, **settings)
    if isinstance(forecast.estimate, ForecastEstimate):
        forecast = replace(forecast, backtest=forecast.estimate.laws.test)
    letters = letters_of(forecast.axes)
    test, estimates = forecast.backtest, {law.name: estimate for law, estimate in forecast.single_laws}
    known_test = test or forecast.untested
    if test is None:
        name = candidates(letters)[0].name
    elif kept := [law for law in test.members if law in estimates and _is_known(estimates[law], forecast.cells)]:
        name = str(test.best(kept))
    else:
        others = [law for law in test.laws if not test.weights[law]]
        while others:
            name = str(test.best(others))
            found = fit(
                runs, x=[forecast.axes[letters.index(letter)] for letter in law_named(name).axes], law=name, on=choice, **settings
            )
            if _is_known(found.estimate, found.cells):
                return replace(found, chosen=True, forecast=forecast, known_test=known_test)
            others.remove(name)
        name = str(test.best())
    axes = [forecast.axes[letters.index(letter)] for letter in law_named(name).axes]
    return replace(
        forecast,
        law=name,
        x=axes[0] if len(axes) == 1 else tuple(axes),
        estimate=_own(estimates[name], forecast.estimate),
        members=None,
        chosen=True,
        forecast=forecast,
        known_test=known_test,
    )


def answer(runs: pd.DataFrame, **settings: Unpack[LawSettings]) -> Answer:
    """Choose the law of these runs and put what it says into a sentence.

    >>> print(scaling.answer(runs, x="train_flops").sentence)
    val_loss falls as train_flops^-0.6... (95 %: ...

    Args:
        settings: of `analysis.choose_law`.

    Raises: what `analysis.choose_law` raises.
    """
    return choose_law(runs, **settings).answer


def _is_known(estimate: Estimate, cells: int) -> bool:
    """Say whether the fit converged with finite intervals of its exponents; with few cells a coefficient, of all coefficients."""
    if not isinstance(estimate, LawEstimate) or estimate.status == FitStatus.NOT_CONVERGED:
        return False
    law = estimate.law
    few = cells < CELLS_A_COEFFICIENT * len(law.free)
    names = law.free if few else [shape.name for shape in law.shapes if not shape.is_logged and shape.name in law.free]
    return all(np.isfinite([estimate.low[name], estimate.high[name]]).all() for name in names)


def best_forecaster(fits: Sequence[Fit]) -> Fit:
    """Return, of fits of several laws to the same runs, the one that `choose_law` would choose.

    They are tested as laws of the inputs of the one that has most. With too few budgets for that, the one with fewest coefficients is
    taken.
    """
    test = max(fits, key=lambda each: len(each.axes)).tested
    known = [each for each in fits if _is_known(each.estimate, each.cells)] or list(fits)
    name = None if test is None else test.best([each.law for each in known])
    return next((each for each in known if each.law == name), min(known, key=lambda each: len(each.coefficients)))


def natural_choice(runs: pd.DataFrame, x: str | Sequence[str] | None = None) -> Literal["all", "frontier"]:
    """Return which cells the law is of, when nobody says: those that a forecast is of, see `analysis.prediction.runs_to_predict_from`."""
    return runs_to_predict_from(runs, None if x is None else columns_of(x), AUTO)


def compared(law: Fit, plain: Fit) -> str:
    """Compare the forecasts of the plain form with the chosen law's: `forecasts ×/÷ 2.510 against ×/÷ 1.300`; empty if untested."""
    ours, theirs = law.forecast_error, plain.forecast_error
    if ours is None or theirs is None:
        return ""
    words = f"forecasts {as_factor(theirs)} against {as_factor(ours)}"
    if theirs >= ours:
        return words
    return f"{words}, but describes the runs {as_factor(plain.residual_std)} against {as_factor(law.residual_std)}"


def _own(estimate: LawEstimate, forecast: Estimate) -> LawEstimate:
    """Remove what the back-test adds to the interval beyond the runs: that is the forecast's. What no floor was tested for stays."""
    if isinstance(forecast, ForecastEstimate):
        estimate = chosen(estimate, forecast.laws.estimate.beyond)
    if isinstance(estimate, ChosenEstimate) and estimate.beyond.floor_needs is not None and not estimate.law.floor:
        return replace(estimate, beyond=replace(estimate.beyond, error=None))
    return LawEstimate(**{field.name: getattr(estimate, field.name) for field in fields(LawEstimate)})
