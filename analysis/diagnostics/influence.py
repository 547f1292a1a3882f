"""Cells that carry the forecast: the law is fitted again without each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode, listed
from analysis.fitting.objective import objective_named
from analysis.fitting.point import fit_point
from analysis.numbers import significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["influential_runs"]

AHEAD = 4.0
"""The forecast is judged at so many times the largest of each input."""

_MOST_CELLS = 200  # refitted without; of more, no one carries a forecast


def influential_runs(fit: Fit) -> list[Diagnostic]:
    """Cells without which the forecast leaves its own interval."""
    law, estimate = fit.single_laws[0]
    if fit.cells > _MOST_CELLS or fit.cells <= len(law.coefficients) + 1:
        return []
    inputs = fit.runs[list(fit.axes)].to_numpy(float).T[list(fit.rows_of_heaviest)]
    at = AHEAD * inputs.max(axis=1, keepdims=True)
    names, cell = np.unique(fit.runs["cell"].to_numpy(), return_inverse=True)
    without = 1.0 - np.eye(len(names))[:, cell]
    points = fit_point(
        law,
        inputs,
        fit.runs[fit.metric].to_numpy(float),
        objective=objective_named(fit.objective, fit.envelope),
        weights=without * fit.weights,
        start=estimate.theta,
    )
    moved = law.log_curve(at, points.theta)[:, 0] - estimate.log_mean(at)[0]
    low, high = estimate.log_band(at)
    half = np.where(moved < 0, estimate.log_mean(at) - low, high - estimate.log_mean(at))
    far = np.flatnonzero((np.abs(moved) > half) & (np.abs(moved) > 1e-6))
    if not len(far):
        return []
    far = far[np.argsort(-np.abs(moved[far]))]
    ids = tuple(str(run) for place in far for run in fit.runs.loc[fit.runs["cell"] == names[place], "id"])
    factor = significant(float(np.exp(moved[far[0]])), 3)
    return [
        Diagnostic(
            DiagnosticCode.INFLUENTIAL_RUN,
            f"without the cell of {listed(ids)} the {law.name} law's forecast at {AHEAD:g} times the largest run is {factor} times what it is, "
            f"outside its {fit.level_words} interval",
            ids,
        )
    ]
