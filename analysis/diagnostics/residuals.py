"""Checks what residuals show that a law with equal, independent scatter would not.

Where the cells of a cluster err together, nothing is tested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from analysis.distributions import f_above, spearman, t_quantile
from analysis.listing import listed
from scaling.rounding import as_factor, significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["heteroscedastic", "outliers", "residual_trend"]

_LEVEL = 0.01
"""The level of each test: with ten of them, one sound fit in ten is told something."""

_LEAST_FOR_SCATTER = 12


def residual_trend(fit: Fit) -> list[Diagnostic]:
    """Test for a trend: an F test of a square and a cube of each log input beside the law's own tangent, on the means of cells."""
    if fit.errs_in_clusters:
        return []
    _, estimate = fit.single_laws[0]
    inputs, residual, seeds = _cells(fit)
    jacobian = estimate.log_mean_jacobian(inputs[list(fit.rows_of_heaviest)])
    root = np.sqrt(seeds)
    small, large = _basis(jacobian * root[:, None]), _basis(np.column_stack([jacobian, *_curve(np.log(inputs))]) * root[:, None])
    more, left = large.shape[1] - small.shape[1], len(residual) - large.shape[1]
    if more < 1 or left < 2:
        return []
    scaled = residual * root
    before, after = (float(np.sum((scaled - basis @ (basis.T @ scaled)) ** 2)) for basis in (small, large))
    if before <= 1e-18 * len(residual):
        return []  # exact to rounding
    p = f_above((before - after) / more / max(after / left, 1e-300), more, left)
    if p >= _LEVEL:
        return []
    share = 1 - after / before
    names = " and ".join(fit.axes)
    return [
        Diagnostic(
            DiagnosticCode.RESIDUAL_TREND,
            f"a curve in log {names} explains {100 * share:.0f} % of what the law leaves (p = {significant(p, 1)})",
        )
    ]


def heteroscedastic(fit: Fit) -> list[Diagnostic]:
    """Test for unequal scatter by the rank correlation of the size of residuals with the mean curve."""
    if fit.errs_in_clusters:
        return []
    table = fit.residuals
    residual, predicted = table["residual"].to_numpy(float), table["predicted"].to_numpy(float)
    if fit.objective == "mse":  # whose noise is alike in the unit of the metric, not in relative terms
        residual = residual * predicted
    if len(residual) < _LEAST_FOR_SCATTER or np.ptp(predicted) == 0 or np.abs(residual).max() < 1e-9:
        return []
    rank, p = spearman(np.abs(residual), predicted)
    if not p < _LEVEL:
        return []
    order = np.argsort(predicted)
    half = len(order) // 2
    at_low, at_high = (float(np.sqrt(np.mean(residual[part] ** 2))) for part in (order[:half], order[-half:]))
    where = "larger" if rank > 0 else "smaller"
    return [
        Diagnostic(
            DiagnosticCode.HETEROSCEDASTIC,
            f"residuals are {where} where {fit.metric} is high: {as_factor(at_high)} in its upper half, {as_factor(at_low)} in its lower "
            f"(rank correlation {rank:+.2f}, p = {significant(p, 1)})",
        )
    ]


def outliers(fit: Fit) -> list[Diagnostic]:
    """Report runs whose residual, judged by the scatter of all others, is beyond chance.

    These are deleted residuals with Bonferroni's correction. Of squares a run is judged twice, beside the law and beside a curve about it:
    where the law bends otherwise than the runs do, its own residuals hide a run.
    """
    if fit.errs_in_clusters:
        return []
    table = fit.residuals
    residual = table["residual"].to_numpy(float)
    if np.abs(residual).max() < 1e-9:
        return []
    _, estimate = fit.single_laws[0]
    inputs = fit.runs[list(fit.axes)].to_numpy(float).T
    jacobian = estimate.log_mean_jacobian(inputs[list(fit.rows_of_heaviest)])
    if fit.objective == "huber-log":
        tests = [_far_from_median(residual, _basis(jacobian), _LEVEL)]
    else:
        about = np.column_stack([jacobian, *_curve(np.log(inputs))])
        tests = [_far_from_others(residual, _basis(columns), _LEVEL / 2) for columns in (jacobian, about)]
    far = np.unique(np.concatenate(tests))
    if not len(far):
        return []
    far = far[np.argsort(-np.abs(residual[far]))]
    ids = tuple(str(run) for run in table["id"].iloc[far])
    worst = f"{significant(float(np.exp(residual[far[0]])), 3)} times what the law says"
    return [
        Diagnostic(
            DiagnosticCode.OUTLIER, f"{len(ids)} run{'s' if len(ids) > 1 else ''} far off: {listed(ids)}; the first is {worst}", ids
        )
    ]


def _far_from_others(residual: np.ndarray, basis: np.ndarray, level: float) -> np.ndarray:
    """Find the places in residual (n,) of runs far off what is left beside an orthonormal basis (n, p)."""
    residual = residual - basis @ (basis.T @ residual)
    left = len(residual) - basis.shape[1] - 1
    if left < 3:
        return np.array([], dtype=int)
    centred = residual / np.sqrt(1 - np.minimum(np.sum(basis**2, axis=1), 1 - 1e-6))
    others = np.maximum((np.sum(residual**2) - centred**2) / left, 1e-300)
    return _beyond_chance(centred / np.sqrt(others), left, level)


def _far_from_median(residual: np.ndarray, basis: np.ndarray, level: float) -> np.ndarray:
    """Find the places of runs far off in a robust fit, judged by the median.

    Such a fit leaves several runs at once far off, which would hide one another.
    """
    left = len(residual) - basis.shape[1] - 1
    if left < 3:
        return np.array([], dtype=int)
    centred = residual / np.sqrt(1 - np.minimum(np.sum(basis**2, axis=1), 1 - 1e-6))
    scale = 1.4826 * np.median(np.abs(centred)) * np.sqrt(len(residual) / (left + 1))
    return _beyond_chance(centred / max(float(scale), 1e-300), left, level)


def _beyond_chance(studentised: np.ndarray, left: int, level: float) -> np.ndarray:
    return np.flatnonzero(np.abs(studentised) > -t_quantile(level / 2 / len(studentised), left))


def _curve(logs: np.ndarray) -> list[np.ndarray]:
    """Return the square and cube of each log input (k, n) that varies, (n,) each."""
    span = np.ptp(logs, axis=1)
    z = (logs - logs.mean(1, keepdims=True))[span > 0] / span[span > 0, None]
    return [*(z**2), *(z**3)]


def _cells(fit: Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the inputs (k, G), mean residual (G,) and number of seeds (G,) of each cell."""
    _, cell, seeds = np.unique(fit.runs["cell"].to_numpy(), return_inverse=True, return_counts=True)
    logs = np.log(fit.runs[list(fit.axes)].to_numpy(float)).T
    residual = fit.residuals["residual"].to_numpy(float)
    return np.exp(np.stack([np.bincount(cell, row) / seeds for row in logs])), np.bincount(cell, residual) / seeds, seeds


def _basis(design: np.ndarray) -> np.ndarray:
    """Return orthonormal columns that span the design."""
    norm = np.linalg.norm(design, axis=0)
    u, size, _ = np.linalg.svd(design / np.where(norm > 0, norm, 1.0), full_matrices=False)
    return u[:, size > 1e-9 * max(size[0], 1e-300)]
