"""Coefficients that the runs do not determine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from analysis.numbers import significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["exponent_not_identified", "floor_not_identified"]


def exponent_not_identified(fit: Fit) -> list[Diagnostic]:
    """An exponent whose interval reaches zero or has no end."""
    found = []
    for law, estimate in fit.single_laws:
        for name in (shape.name for shape in law.shapes if not shape.is_logged):
            low, high = estimate.low[name], estimate.high[name]
            if (low <= 0 <= high) or not np.isfinite([low, high]).all():
                found.append(
                    Diagnostic(
                        DiagnosticCode.EXPONENT_NOT_IDENTIFIED,
                        f"the {fit.level_words} interval of {name} in the {law.name} law is {significant(low)} … {significant(high)}",
                        (name,),
                    )
                )
    return found


def floor_not_identified(fit: Fit) -> list[Diagnostic]:
    """A floor whose interval reaches zero; or an average of laws with and without one."""
    laws = fit.single_laws
    found = [
        Diagnostic(
            DiagnosticCode.FLOOR_NOT_IDENTIFIED,
            f"the {fit.level_words} interval of the floor in the {law.name} law is "
            f"{significant(max(0.0, estimate.low['E']))} … {significant(estimate.high['E'])}",
            ("E",),
        )
        for law, estimate in laws
        if law.floor and estimate.low["E"] <= 0
    ]
    without = [law.name for law, _ in laws if not law.floor]
    if without and len(without) < len(laws):
        message = f"the average is of laws with a floor and of {', '.join(without)}, which has none"
        found.append(Diagnostic(DiagnosticCode.FLOOR_NOT_IDENTIFIED, message, ("E",)))
    return found
