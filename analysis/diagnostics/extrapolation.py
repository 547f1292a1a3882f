"""Predictions that nothing in the runs tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from analysis.numbers import significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["far_extrapolation"]

FAR = 10.0
"""ASSUMPTION: times the largest run, for a fit without a back-test. Published extrapolations that were checked reach about so far."""

SHARE_OF_RANGE = 0.5
"""A forecast further beyond the runs than this part of their own range of log compute is far, whatever the factor."""


def far_extrapolation(fit: Fit, x: Any) -> list[Diagnostic]:
    """Whether a prediction at x, as `Fit.predict` takes it, is far beyond the runs: further than the back-test looked, or than half the
    range of the runs. Smaller runs than any count likewise."""
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
