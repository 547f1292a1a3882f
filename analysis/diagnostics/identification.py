"""Coefficients that the runs do not determine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from scaling.rounding import significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit
    from analysis.laws.law import Law

__all__ = ["exponent_not_identified", "floor_not_considered", "floor_not_identified"]


def exponent_not_identified(fit: Fit) -> list[Diagnostic]:
    """Report exponents whose interval reaches zero or has no end."""
    found = [
        (law, name, estimate.low[name], estimate.high[name])
        for law, estimate in fit.single_laws
        for name in (shape.name for shape in law.shapes if not shape.is_logged and shape.name not in law.pinned)
        if estimate.low[name] <= 0 <= estimate.high[name] or not np.isfinite([estimate.low[name], estimate.high[name]]).all()
    ]
    if not found:
        return []
    letters = tuple(dict.fromkeys(name for _, name, _, _ in found))
    words = (f"{_named(fit, name, law)} {significant(low)} … {significant(high)}" for law, name, low, high in found)
    return [Diagnostic(DiagnosticCode.EXPONENT_NOT_IDENTIFIED, f"{fit.level_words} intervals: {'; '.join(words)}", letters)]


def floor_not_identified(fit: Fit) -> list[Diagnostic]:
    """Report a floor whose interval reaches zero, or an average of laws with and without one."""
    laws = fit.single_laws
    open_below = [(law, estimate.high["E"]) for law, estimate in laws if law.floor and estimate.low["E"] <= 0]
    without = [law.name for law, _ in laws if not law.floor]
    said = []
    if open_below:
        words = (f"{_named(fit, 'E', law)} 0 … {significant(high)}" for law, high in open_below)
        said.append(f"{fit.level_words} interval{'s' if len(open_below) > 1 else ''}: {'; '.join(words)}")
    if without and len(without) < len(laws):
        said.append(f"the {' and '.join(without)} law, which has none, is in the average")
    return [Diagnostic(DiagnosticCode.FLOOR_NOT_IDENTIFIED, "; ".join(said), ("E",))] if said else []


def floor_not_considered(fit: Fit) -> list[Diagnostic]:
    """Report runs that are too few to test a law with a floor by."""
    beyond = getattr(fit.estimate, "beyond", None)
    if beyond is None or beyond.floor_needs is None:
        return []
    return [
        Diagnostic(
            DiagnosticCode.FLOOR_NOT_CONSIDERED,
            f"no floor was considered: to test a law with one takes {beyond.floor_needs} distinct {fit.x_words}",
            ("E",),
        )
    ]


def _named(fit: Fit, letter: str, law: Law) -> str:
    return letter if fit.members is None else f"{letter} of {law.name}"
