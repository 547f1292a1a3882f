"""Two lights for a law: *identified* and *forecasts well*.

Identified: the runs determine its coefficients; it is not known where they barely do. Forecasts well: it predicted the larger runs from
the smaller. Neither implies the other: two coefficients of a straight line are identified by runs that bend, and a law may forecast well
with a floor that nobody knows. A law forecasts well unless one of these is so, in this order:

1. a column explains the scatter inside its cells (`cells-mixed`): it averages over settings that a forecast does not name;
2. its residuals show a trend (the diagnostic `residual-trend`, an F test at 1 %): where the law bends otherwise than the runs do, its
   forecasts beyond them are wrong, however well it did so far;
3. without the runs that are far off (`outlier`) its forecast at 4 times the largest run leaves its own interval;
4. its floor lies above the lowest loss that was seen, which a floor cannot: the lowest mean of a cell, since a single seed may be lucky;
5. in the back-test its errors are larger than was to be expected of scatter and the doubt about its coefficients (`Excess`, a χ² test at
   `LEVEL`);
6. in the back-test another form did so much better that this one has no weight in the forecast (`analysis.backtest.rule`).

With too few budgets to hold any out, or where the cells of a cluster err together, it is not known. That is neither good nor bad, and is
never shown as good.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.automatic import automatic, letters_of, named
from analysis.diagnostics import DiagnosticCode
from analysis.diagnostics.influence import AHEAD
from analysis.fitting.objective import objective_named
from analysis.listing import listed
from scaling.errors import ScalingError
from scaling.outcomes import FitStatus
from scaling.rounding import as_factor, significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["LEVEL", "Light", "Lights", "lights_of"]

LEVEL = 0.05
"""The level of the test of forecasts: of laws that are right, one in twenty is called bad. Of 480 right laws of simulated curves of 6 to 20
budgets, 22 were. So were all 120 power laws that were fitted to 12 or 20 budgets of a curve with a floor."""


@dataclass(frozen=True)
class Light:
    """Says whether a fit passes one of the two tests, and why.

    ok: None where it is not known. reason: a sentence with its full stop.
    """

    name: str
    ok: bool | None
    reason: str

    @property
    def mark(self) -> str:
        return {True: "✓", False: "✗", None: "?"}[self.ok]

    def __str__(self) -> str:
        return f"{self.name} {self.mark}  {self.reason}"

    def to_dict(self) -> dict[str, object]:
        return {"ok": self.ok, "reason": self.reason}


@dataclass(frozen=True)
class Lights:
    """Holds both lights of a fit."""

    identified: Light
    forecasts_well: Light

    def lines(self) -> list[str]:
        """Return a line for each light: `identified ✓  …` and `forecasts well ✗  …`."""
        return [str(self.identified), str(self.forecasts_well)]

    def to_dict(self) -> dict[str, object]:
        """Return `{"identified": {"ok", "reason"}, "forecasts_well": {"ok", "reason"}}`, `ok` None where it is not known."""
        return {"identified": self.identified.to_dict(), "forecasts_well": self.forecasts_well.to_dict()}


def lights_of(fit: Fit) -> Lights:
    """Judge a fit by both lights. This costs the back-test of the fit's runs, where nobody has made it yet."""
    return Lights(_identified(fit), _forecasts_well(fit))


def _identified(fit: Fit) -> Light:
    ok = {FitStatus.OK: True, FitStatus.BARELY_IDENTIFIED: None}.get(fit.status, False)
    of = "" if fit.members is None else f"of {fit.single_laws[0][0].name}, the heaviest: "
    return Light("identified", ok, f"{of}{'' if ok else f'{fit.status.value}: '}{fit.advice}")


def _forecasts_well(fit: Fit) -> Light:
    ok, reason = _verdict(fit)
    return Light("forecasts well", ok, f"{reason}.")


def _verdict(fit: Fit) -> tuple[bool | None, str]:
    mixed = next((found for found in fit.diagnostics if found.code == DiagnosticCode.CELLS_MIXED), None)
    if mixed is not None:
        return False, f"Its cells hold runs of several settings: {mixed.message} (cells-mixed)"
    if fit.errs_in_clusters:
        return None, f"Not tested: the rows of {fit.clusters_used} clusters err together, and the tests take cells as independent"
    if any(found.code == DiagnosticCode.RESIDUAL_TREND for found in fit.diagnostics):
        return False, "Its residuals show a trend (residual-trend)"
    for contradicted in (_hangs_on_outliers(fit), _floor_above(fit)):
        if contradicted:
            return False, contradicted
    test = fit.tested
    if test is None:
        return None, f"Not tested: {fit.untested}"
    if fit.members is None and fit.law not in test.excesses:
        return None, f"Not tested: {test.left_out[fit.law]}"
    excess = test.excesses[fit.law]
    off = f"its forecasts of runs held out were off by {as_factor(fit.forecast_error or 0.0)} (one sd)"
    than_expected = f"{significant(excess.ratio, 2)} times what was to be expected"
    if excess.p_value < LEVEL:
        return False, f"{off[:1].upper()}{off[1:]}, {than_expected} (p = {significant(excess.p_value, 1)})"
    best = next(iter(test.members))
    if fit.members is None and not test.weights[test.same_as.get(fit.law, fit.law)]:
        return False, f"The {best} law forecasts clearly better: {off}, against {as_factor(test.forecast_errors[best])}"
    return True, f"{off[:1].upper()}{off[1:]}, {than_expected}"


def _hangs_on_outliers(fit: Fit) -> str:
    """Say how far the forecast moves without the outliers, where it leaves its interval; else return an empty text.

    A fit by squares lets one run bend a law, or decide for another law.
    """
    outliers = next((found.about for found in fit.diagnostics if found.code == DiagnosticCode.OUTLIER), ())
    if not outliers:
        return ""
    rest = fit.sample(~fit.runs["id"].astype(str).isin(outliers).to_numpy())
    objective, precision = objective_named(fit.objective, fit.envelope), replace(fit.precision, bootstrap=100)
    try:
        if fit.members is None:
            without = named(fit.form, rest, objective=objective, precision=precision, intervals="auto")
        else:
            without = automatic(rest, letters_of(fit.axes), objective=objective, precision=precision, without=fit.without)
    except ScalingError:
        return ""  # too few are left
    at = AHEAD * fit.runs[list(fit.axes)].to_numpy(float).T.max(axis=1, keepdims=True)
    low, high = fit.estimate.log_band(at)
    moved = without.estimate.log_mean(at)[0]
    if low[0] <= moved <= high[0]:
        return ""
    factor = significant(float(np.exp(moved - fit.estimate.log_mean(at)[0])), 3)
    return (
        f"Without {listed(outliers)}, far off (outlier), its forecast at {AHEAD:g} times the largest run is {factor} times what it is, outside "
        "its interval"
    )


def _floor_above(fit: Fit) -> str:
    lowest = float(fit.runs.groupby("cell")[fit.metric].mean().min())
    for law, estimate in fit.single_laws:
        floor = estimate.values["E"] if law.floor else 0.0
        if floor > lowest:
            of = "" if fit.members is None else f" of the {law.name} law"
            return f"The floor{of}, {significant(floor)}, lies above the lowest {fit.metric} seen, {significant(lowest)}"
    return ""
