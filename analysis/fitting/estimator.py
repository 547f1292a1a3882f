"""From the runs of a fit to an estimate: the optimum, its uncertainty, and what it cannot say."""

from __future__ import annotations

import numpy as np

from analysis.fitting.bootstrap import cell_weights, small_sample_factor
from analysis.fitting.estimate import Precision, Sample, exponent_status
from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.linearised import linearise
from analysis.fitting.log_least_squares import log_least_squares
from analysis.fitting.objective import Objective
from analysis.fitting.point import Points, fit_point
from analysis.laws.law import Law
from scaling.outcomes import FitStatus

__all__ = ["estimate"]


def estimate(law: Law, sample: Sample, objective: Objective, precision: Precision) -> LawEstimate:
    """The estimate of a law from a sample."""
    point = fit_point(law, sample.inputs, sample.y, objective=objective, weights=sample.weights)
    theta, p = point.theta[0], len(law.coefficients)
    tangent = linearise(law, sample, theta, objective)
    log_residual = np.log(sample.y) - law.log_curve(sample.inputs, point.theta)[0]
    scatter = float(np.sqrt(log_residual @ log_residual / max(1, sample.runs - p)))
    if sample.seeds_repeat_a_cell:
        covariance, degrees_of_freedom = tangent.jackknife_covariance(), sample.cells - 1
    elif law.name == "power" and objective.name == "log" and objective.is_least_squares:
        (theta, covariance), degrees_of_freedom = log_least_squares(sample), sample.runs - p
    else:
        covariance, degrees_of_freedom = tangent.plain_covariance(scatter**2), sample.runs - p
    draws = np.concatenate(
        [
            fit_point(
                law, sample.inputs, sample.y, objective=objective, weights=weights[:, sample.cell] * sample.weights, start=theta
            ).theta
            for weights in cell_weights(sample.cells, precision)
        ]
    )
    half = precision.t(degrees_of_freedom) * np.sqrt(np.diag(covariance))
    low, high = theta - half, theta + half
    if law.floor:
        low[0] = max(0.0, low[0])
    return LawEstimate(
        values=_named(law, theta),
        low=_named(law, low),
        high=_named(law, high),
        status=_status(law, point, low, high),
        degrees_of_freedom=degrees_of_freedom,
        seed_std=_seed_std(log_residual, sample.cell),
        lack_of_fit_std=0.0,
        law=law,
        theta=theta,
        covariance=covariance,
        draws=draws,
        spread=small_sample_factor(sample.cells, p, precision),
        scatter=scatter,
        precision=precision,
    )


def _seed_std(residual: np.ndarray, cell: np.ndarray) -> float:
    counts = np.bincount(cell)
    within = residual - (np.bincount(cell, residual) / counts)[cell]
    left = len(cell) - len(counts)
    return float(np.sqrt(within @ within / left)) if left else float("nan")


def _named(law: Law, theta: np.ndarray) -> dict[str, float]:
    return {name: float(value[0]) for name, value in law.values(theta[None]).items()}


def _status(law: Law, point: Points, low: np.ndarray, high: np.ndarray) -> FitStatus:
    if not point.converged[0]:
        return FitStatus.NOT_CONVERGED
    for name in ("a", "alpha", "beta"):
        if name in law.coefficients:
            place = law.coefficients.index(name)
            exponent = FitStatus.EXPONENT_NOT_IDENTIFIED if point.at_bound[0, place] else exponent_status(low[place], high[place])
            if exponent != FitStatus.OK:
                return exponent
    if law.floor and point.at_zero[0, 0]:
        return FitStatus.NO_FLOOR
    return FitStatus.FLOOR_NOT_IDENTIFIED if law.floor and low[0] <= 0 else FitStatus.OK
