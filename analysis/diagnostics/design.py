"""Checks whether the runs were laid out so that a law can be read off them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis import selection
from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from analysis.laws.axes import AXIS_COLUMNS
from analysis.listing import listed

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["collinear_design", "families_pooled", "few_cells", "packed_mixed", "rehearsed", "too_few_sizes"]

LEAST_SIZES = 3
CELLS_A_COEFFICIENT = 2
MOST_INFLATION = 10.0
"""Variance inflation beyond which inputs count as collinear, the usual rule (Belsley, Kuh and Welsch 1980); 10 is a correlation of 0.95."""


def too_few_sizes(fit: Fit) -> list[Diagnostic]:
    column = next((name for name in (AXIS_COLUMNS["N"], "model") if name in fit.runs and fit.runs[name].notna().all()), None)
    if column is None or (column == "model" and (fit.runs[column] == "").any()):
        return []  # a bare table of compute and loss does not say
    sizes = fit.runs[column].nunique()
    if sizes >= LEAST_SIZES:
        return []
    what = "one size" if sizes == 1 else f"{sizes} sizes"
    return [Diagnostic(DiagnosticCode.TOO_FEW_SIZES, f"the runs are of {what} of model ({column})", (column,))]


def families_pooled(fit: Fit) -> list[Diagnostic]:
    families = tuple(sorted(set(fit.runs["family"]) - {""}))
    if len(families) < 2:
        return []
    return [Diagnostic(DiagnosticCode.FAMILIES_POOLED, f"{len(families)} families in one law ({listed(families)})", families)]


def rehearsed(fit: Fit) -> list[Diagnostic]:
    """Report runs that were not trained; `usable_runs` leaves them out where there are others."""
    if not selection.rehearsed(fit.runs).any():
        return []
    return [Diagnostic(DiagnosticCode.REHEARSED, "these runs are simulated")]


def packed_mixed(fit: Fit) -> list[Diagnostic]:
    """Report models of which some runs were packed and others not, or packed otherwise: their core-hours are not of one rate."""
    if "packed" not in fit.runs or not any("core_hours" in axis for axis in fit.axes):
        return []
    known = fit.runs[fit.runs["packed"].notna() & (fit.runs["model"] != "")]
    sizes = known.groupby("model")["packed"].unique()
    mixed = sizes[sizes.map(len) > 1]
    if mixed.empty:
        return []
    models = tuple(map(str, mixed.index))
    at_once = ", ".join(f"{size:.0f}" for size in sorted({size for found in mixed for size in found}))
    return [
        Diagnostic(
            DiagnosticCode.PACKED_MIXED, f"the runs of {listed(models)} were not trained equally many at once ({at_once})", models
        )
    ]


def few_cells(fit: Fit) -> list[Diagnostic]:
    coefficients = max((len(law.free) for law, _ in fit.single_laws), default=0)
    if fit.cells >= CELLS_A_COEFFICIENT * coefficients:
        return []
    return [Diagnostic(DiagnosticCode.FEW_CELLS, f"{fit.cells} cells for {coefficients} coefficients")]


def collinear_design(fit: Fit) -> list[Diagnostic]:
    if len(fit.axes) < 2:
        return []
    logs = np.log(fit.runs[list(fit.axes)].to_numpy(float))
    varied = [place for place in range(logs.shape[1]) if np.ptp(logs[:, place]) > 0]
    if len(varied) < 2:
        return []
    correlation = np.corrcoef(logs[:, varied].T)
    inflation = (
        np.diag(np.linalg.pinv(correlation, rcond=1e-12)) if np.linalg.cond(correlation) < 1e12 else np.full(len(varied), np.inf)
    )
    if inflation.max() <= MOST_INFLATION:
        return []
    names = tuple(fit.axes[place] for place, value in zip(varied, inflation, strict=True) if value > MOST_INFLATION)
    largest = float(np.abs(correlation - np.eye(len(varied))).max())
    return [
        Diagnostic(
            DiagnosticCode.COLLINEAR_DESIGN, f"{' and '.join(names)} rise together (correlation of logs {largest:.3f})", names
        )
    ]
