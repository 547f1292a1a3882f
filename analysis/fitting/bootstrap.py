"""Pairs bootstrap over cells, as random weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.fitting.estimate import Precision

__all__ = ["cell_weights", "small_sample_factor"]

_NUMBERS_AT_ONCE = 4_000_000  # of one batch of weights: 32 MB


def cell_weights(cells: int, precision: Precision) -> Iterator[np.ndarray]:
    """A weight for each cell in each draw, in batches of shape (draws, cells) that together are `precision.bootstrap` draws.

    The weights are independent exponentials divided by their mean over cells (Rubin 1981, The Bayesian bootstrap), not counts of
    drawing with replacement: mean and variance are the same, but no draw loses so many of a handful of cells that the law cannot be
    fitted (Xu et al. 2020, Applications of the fractional-random-weight bootstrap).
    """
    generator = np.random.default_rng(precision.seed)
    at_once = max(1, _NUMBERS_AT_ONCE // cells)
    for start in range(0, precision.bootstrap, at_once):
        weights = generator.exponential(size=(min(at_once, precision.bootstrap - start), cells))
        yield weights / weights.mean(axis=1, keepdims=True)


def small_sample_factor(cells: int, coefficients: int, precision: Precision) -> float:
    """How much the draws must be spread about the point estimate: `√(G/(G−p)) · t_{G−p} / t_∞` for G cells and p coefficients.

    The bootstrap takes residuals for noise, but a fit with p coefficients has already absorbed some of it; and it does not know how
    uncertain the noise itself is. Least squares corrects for both in this way. 1.10 for 30 cells and 3 coefficients, 3.5 for 5.
    """
    left = cells - coefficients
    return float(np.sqrt(cells / left)) * precision.t(left) / precision.t(10**9)
