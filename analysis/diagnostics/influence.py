"""Cells that carry the forecast: the law is fitted again without each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from analysis.fitting.objective import objective_named
from analysis.fitting.point import fit_point
from analysis.listing import listed
from scaling.rounding import significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["influential_runs"]

AHEAD = 4.0
"""The forecast is judged at so many times the largest of each input."""

_MOST_CELLS = 200  # refitted without; of more, no one carries a forecast


def influential_runs(fit: Fit) -> list[Diagnostic]:
    """Report cells without which the forecast leaves the interval that equal scatter would give it."""
    law, estimate = fit.single_laws[0]
    if fit.cells > _MOST_CELLS or fit.cells <= len(law.free) + 1:
        return []
    inputs = fit.runs[list(fit.axes)].to_numpy(float).T[list(fit.rows_of_heaviest)]
    at = AHEAD * inputs.max(axis=1, keepdims=True)
    names, cell = np.unique(fit.runs["cell"].to_numpy(), return_inverse=True)
    kept = np.vstack([np.ones(len(cell)), 1.0 - np.eye(len(names))[:, cell]])  # all, then without each
    points = fit_point(
        law,
        inputs,
        fit.runs[fit.metric].to_numpy(float),
        objective=objective_named(fit.objective, fit.envelope),
        weights=kept * fit.weights,
        start=estimate.theta,
    )
    moved = law.log_curve(at, points.theta)[1:, 0] - estimate.log_mean(at)[0]
    # Judged by what equal, independent scatter would do to the forecast: the fit's own interval is made of these very moves (jackknife).
    # A cell far off adds to the scatter that it is judged by, so that of the others is taken.
    jacobian = estimate.log_mean_jacobian(at)[0]
    scatter = np.sqrt(points.loss / np.maximum(kept.sum(1) - len(law.free), 1.0))
    error = np.sqrt(jacobian @ estimate.tangent.plain_covariance() @ jacobian)
    half = fit.precision.t(fit.cells - len(law.free)) * error * np.minimum(1.0, scatter[1:] / max(float(scatter[0]), 1e-300))
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
            f"outside the {fit.level_words} interval of equal scatter",
            ids,
        )
    ]
