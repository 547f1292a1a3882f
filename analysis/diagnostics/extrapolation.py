"""Predictions that nothing in the runs tests, or that the law and the forecast do not agree about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.backtest.forecast import ForecastEstimate
from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from scaling.rounding import significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["apart_at", "far_extrapolation", "law_and_forecast_apart", "laws_disagree_at"]

FAR = 10.0
"""ASSUMPTION: times the largest run, for a fit without a back-test. Published extrapolations that were checked reach about so far."""

SHARE_OF_RANGE = 0.5
"""A forecast further beyond the runs than this part of their own range of log compute is far, whatever the factor."""


_PLACES = 9
_ROUNDING = 1e-9  # of numbers that are equal but for it


def law_and_forecast_apart(fit: Fit) -> list[Diagnostic]:
    """Report where the law's curve leaves the interval of the forecast, or the forecast leaves that of the law.

    Both are compared from the largest run to as far beyond it as the back-test looks.
    """
    if fit.forecast is None or fit.forecast.backtest is None:
        return []
    times = np.geomspace(1.0, fit.forecast.backtest.horizon, _PLACES) ** (1 / len(fit.forecast.axes))
    largest = {name: ends[1] for name, ends in fit.forecast.ranges.items()}
    at = pd.DataFrame({name: times * end for name, end in largest.items()})
    law, forecast = fit.predict(at), fit.forecast.predict(at)
    places = np.flatnonzero(_outside(law, forecast) | _outside(forecast, law))
    if not len(places):
        return []
    last = int(places[-1])
    return [_said(fit.law, at.iloc[last], law.iloc[last], forecast.iloc[last])]


def apart_at(fit: Fit, law_at: pd.DataFrame, forecast: Fit, at: pd.DataFrame) -> list[Diagnostic]:
    """Report a law and a forecast that each lie outside the interval of the other, at one row of a table of their own inputs.

    The law may be of more runs and other inputs than the forecast, and then surer than it by far, so that one of the two is not enough.
    """
    law, other = fit.predict(law_at), forecast.predict(at)
    if not (_outside(law, other) & _outside(other, law))[0]:
        return []
    return [_said(fit.law, at.iloc[0], law.iloc[0], other.iloc[0])]


def laws_disagree_at(forecast: Fit, at: pd.DataFrame) -> list[Diagnostic]:
    """Report that the laws of all runs and the recent runs, both members of a forecast, lie outside each other's interval at one row."""
    estimate = forecast.estimate
    if not isinstance(estimate, ForecastEstimate):
        return []
    inputs, average = forecast.inputs_at(at), estimate.laws.estimate
    laws, recent = (
        pd.DataFrame(dict(zip(("mean", "low", "high"), map(np.exp, each), strict=True)))
        for each in ((average.log_mean(inputs), *average.log_band(inputs)), estimate.of_recent(inputs))
    )
    if not (_outside(laws, recent) & _outside(recent, laws))[0]:
        return []
    where = " and ".join(f"{name} {significant(value, 3)}" for name, value in at.iloc[0].items())
    return [
        Diagnostic(
            DiagnosticCode.LAWS_DISAGREE,
            f"at {where} the laws of all runs say {_words(laws.iloc[0])}, the recent runs alone {_words(recent.iloc[0])}",
        )
    ]


def _outside(mean: pd.DataFrame, other: pd.DataFrame) -> np.ndarray:
    """Say where the one lies outside the interval of the other, (n,) of booleans."""
    return ((mean["mean"] < other["low"] * (1 - _ROUNDING)) | (mean["mean"] > other["high"] * (1 + _ROUNDING))).to_numpy()


def _said(law: str, at: pd.Series, ours: pd.Series, forecast: pd.Series) -> Diagnostic:
    where = " and ".join(f"{name} {significant(value, 3)}" for name, value in at.items())
    return Diagnostic(
        DiagnosticCode.LAW_AND_FORECAST_APART, f"at {where} the {law} law says {_words(ours)}, the forecast {_words(forecast)}"
    )


def _words(row: pd.Series) -> str:
    return f"{significant(row['mean'])} ({significant(row['low'])} … {significant(row['high'])})"


def far_extrapolation(fit: Fit, x: pd.DataFrame | ArrayLike) -> list[Diagnostic]:
    """Report a prediction at x, as `Fit.predict` takes it, that is far beyond the runs, towards larger or smaller ones.

    Far is further than the back-test looked (`FAR` without one), or than half the range of the runs.
    """
    inputs = np.log(fit.inputs_at(x))
    runs = np.log(fit.runs[list(fit.axes)].to_numpy(float).T)
    low, high = runs.min(1, keepdims=True), runs.max(1, keepdims=True)
    reach = np.log(fit.backtest.horizon if fit.backtest is not None else FAR)
    allowed = np.minimum(reach, SHARE_OF_RANGE * (high - low))
    beyond = np.maximum(inputs - high, low - inputs)
    if not (beyond > allowed + 1e-9).any():
        return []
    axis, _ = np.unravel_index((beyond - allowed).argmax(), beyond.shape)
    times = significant(float(np.exp(beyond[axis].max())), 3)
    span = significant(float(np.exp(high[axis, 0] - low[axis, 0])), 3)
    name = fit.axes[axis]
    return [
        Diagnostic(
            DiagnosticCode.FAR_EXTRAPOLATION,
            f"{name} is {times} times beyond the runs, whose own range is a factor of {span}",
            (name,),
        )
    ]
