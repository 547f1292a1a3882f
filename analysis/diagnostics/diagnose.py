"""`diagnose` finds everything that is worth saying about one fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analysis.diagnostics.chance import chance_level
from analysis.diagnostics.design import collinear_design, families_pooled, few_cells, packed_mixed, rehearsed, too_few_sizes
from analysis.diagnostics.diagnostic import Diagnostic
from analysis.diagnostics.extrapolation import law_and_forecast_apart
from analysis.diagnostics.identification import exponent_not_identified, floor_not_considered, floor_not_identified
from analysis.diagnostics.influence import influential_runs
from analysis.diagnostics.mixture import cells_mixed
from analysis.diagnostics.optimum import best_model_at_edge, learning_rate_at_edge
from analysis.diagnostics.residuals import heteroscedastic, outliers, residual_trend

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["CHECKS", "diagnose"]

CHECKS: tuple[Callable[[Fit], list[Diagnostic]], ...] = (
    too_few_sizes,
    families_pooled,
    rehearsed,
    cells_mixed,
    chance_level,
    packed_mixed,
    few_cells,
    collinear_design,
    exponent_not_identified,
    floor_not_identified,
    floor_not_considered,
    learning_rate_at_edge,
    best_model_at_edge,
    residual_trend,
    heteroscedastic,
    outliers,
    influential_runs,
    law_and_forecast_apart,
)
"""The checks, in the order in which their findings are shown. A check is added as a function here."""


def diagnose(fit: Fit) -> tuple[Diagnostic, ...]:
    """Return what the checks find, without what can only be judged at a prediction (`far_extrapolation`)."""
    return tuple(found for check in CHECKS for found in check(fit))
