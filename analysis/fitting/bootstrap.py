"""Bootstrap over cells, for any law and objective: the runs of a cell, its seeds, are drawn together.

Two kinds, both batched: every draw is a row of one array of weights or of outcomes, solved together from the point estimate on.

- pairs: cells are reweighted, whatever their noise is like. Right for robust objectives, where a residual says little about noise.
- wild: each cell keeps its place in the design. Its residuals, after making up for what the fit took from them, are multiplied by one
  random number of mean 0 and variance 1 (Webb 2014, Reworking wild bootstrap based inference for clustered errors).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.objective import Objective
from analysis.fitting.point import fit_point
from analysis.fitting.tangent import Tangent
from analysis.laws.law import Law

__all__ = ["cell_weights", "pairs_draws", "small_sample_factor", "webb_signs", "wild_draws"]

_NUMBERS_AT_ONCE = 4_000_000  # of one batch of weights: 32 MB
_OF_A_RUN = 0.125
_REFIT_UP_TO = 10_000_000
"""Runs × draws that are refitted in full, which takes some seconds. Beyond, each draw is one Newton step from the point estimate, which it
lies close to when there are so many runs (Kline and Santos 2012, A score based approach to wild bootstrap inference)."""


def cell_weights(cells: int, precision: Precision) -> Iterator[np.ndarray]:
    """Draw a weight for each cell, in batches of shape (draws, cells) that together are `precision.bootstrap` draws.

    The weights are independent exponentials divided by their mean over cells (Rubin 1981, The Bayesian bootstrap), not counts of
    drawing with replacement. Mean and variance are the same, but no draw loses so many of a handful of cells that the law cannot be
    fitted (Xu et al. 2020, Applications of the fractional-random-weight bootstrap).
    """
    generator = np.random.default_rng(precision.seed)
    for draws in _batches(cells, precision):
        weights = generator.exponential(size=(draws, cells))
        yield weights / weights.mean(axis=1, keepdims=True)


def webb_signs(cells: int, precision: Precision) -> Iterator[np.ndarray]:
    """Draw one of ±√1/2, ±1, ±√3/2 for each cell, in batches as `cell_weights`: 6^G outcomes, where signs alone have 2^G."""
    generator = np.random.default_rng(precision.seed)
    for draws in _batches(cells, precision):
        yield np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])[
            generator.integers(0, 6, (draws, cells))
        ]


def pairs_draws(
    law: Law, sample: Sample, objective: Objective, theta: np.ndarray, tangent: Tangent, precision: Precision
) -> np.ndarray:
    """Return theta of every draw of the pairs bootstrap, (bootstrap, p).

    Of a robust objective the runs of a cluster get a weight of their own as well. With equal weights, two seeds on either side of the curve
    cancel wherever it passes between them, so that draws hardly moved. Their standard deviation was .73 of the true one for two seeds of 12
    cells. Weights with `_OF_A_RUN` as variance gave .94 to 1.03 of it, for two to four seeds, with and without an effect of the cell.
    """
    if sample.runs * precision.bootstrap > _REFIT_UP_TO:
        return _one_step(law, theta, tangent, cell_weights(sample.clusters, precision))
    of_run = np.random.default_rng([precision.seed, 1])
    draws = []
    for of_cluster in cell_weights(sample.clusters, precision):
        weights = of_cluster[:, sample.cluster] * sample.weights
        if not objective.is_least_squares and sample.clusters_hold_several:
            weights = weights * of_run.gamma(1 / _OF_A_RUN, _OF_A_RUN, size=weights.shape)
        draws.append(fit_point(law, sample.inputs, sample.y, objective=objective, weights=weights, start=theta).theta)
    return np.concatenate(draws)


def wild_draws(
    law: Law, sample: Sample, objective: Objective, theta: np.ndarray, tangent: Tangent, precision: Precision
) -> np.ndarray:
    """Return theta of every draw of the wild bootstrap, (bootstrap, p); residuals of a cell are divided by 1 − its leverage (HC3)."""
    if sample.runs * precision.bootstrap > _REFIT_UP_TO:
        return _one_step(law, theta, tangent, webb_signs(sample.clusters, precision))
    leverage = np.einsum("gp,pg->g", tangent.mean_of_cells(tangent.jacobian), tangent.response)
    residual = tangent.residual / np.maximum(1 - leverage, 0.05)[sample.cluster]
    fitted = law.log_curve(sample.inputs, theta[None])[0]
    draws = []
    for signs in webb_signs(sample.clusters, precision):
        outcomes = np.exp(fitted + residual * signs[:, sample.cluster])
        draws.append(fit_point(law, sample.inputs, outcomes, objective=objective, weights=sample.weights, start=theta).theta)
    return np.concatenate(draws)


def small_sample_factor(cells: int, coefficients: int, precision: Precision, *, smooth: bool = False) -> float:
    """Return the factor by which draws must be spread about the point: `√(G/(G−p)) · t_{G−p} / t_∞` for G cells and p coefficients.

    The pairs bootstrap takes residuals for noise, but a fit with p coefficients has already absorbed some of it; and it does not know
    how uncertain the noise itself is. Least squares corrects for both in this way. It is 1.10 for 30 cells and 3 coefficients, 3.5 for 5.

    smooth: of an objective of squares, the first factor once more, as residuals divided by 1 − leverage have it (HC3). Without it, nominal
    95 % intervals of the mean held 91–92 %. Those of a robust objective, whose draws jump from run to run, held 95–97 % as they are.
    """
    left = max(1, cells - coefficients)
    return float((cells / left) ** (1.0 if smooth else 0.5)) * precision.t(left) / precision.t(10**9)


def _batches(cells: int, precision: Precision) -> Iterator[int]:
    at_once = max(1, _NUMBERS_AT_ONCE // cells)
    for start in range(0, precision.bootstrap, at_once):
        yield min(at_once, precision.bootstrap - start)


def _one_step(law: Law, theta: np.ndarray, tangent: Tangent, batches: Iterator[np.ndarray]) -> np.ndarray:
    """Return theta of every draw by one Newton step, with the scores of cells multiplied by the draw's factors.

    A draw that would step below E = 0 stops there, and its other coefficients take their best step given that.
    """
    scores = tangent.scores_of_cells
    score = np.concatenate([factors @ scores for factors in batches])
    step = score @ tangent.bread
    if law.floor and tangent.kept[0]:
        below = theta[0] + step[:, 0] < 0
        rest = np.flatnonzero(tangent.kept)[1:]
        gram = tangent.gram
        step[below, 0] = -theta[0]
        towards = score[below][:, rest] + gram[rest, 0] * theta[0]
        step[np.ix_(below, rest)] = np.linalg.lstsq(gram[np.ix_(rest, rest)], towards.T, rcond=None)[0].T
    return theta + step
