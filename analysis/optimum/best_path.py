"""The path that the best size follows in log compute: a line, as far as the losses do not say otherwise.

Were the loss `E + A/N^α + B/D^β`, the best size would be a power of compute and slices at all computes would have one shape. Neither
need be: where `params` counts embeddings, both change along compute. A line through slices of one shape is then off, with an interval
that knows nothing of it. So the path may bend and the shape may drift, each held by a prior about zero as wide as what was found, and no
narrower than what is usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.distributions import t_two_sided
from analysis.optimum.equal_compute import Slice
from analysis.optimum.local_fit import LocalCurves
from analysis.optimum.noise import CellNoise
from analysis.optimum.valley import least_valley, unit_compute

__all__ = ["BestPath", "best_path"]

_BEND_STD = 0.003
"""ASSUMPTION: how much the exponent of the best size usually changes per e-fold of compute, one standard deviation."""
_DRIFT_A_BEND = 3.0
"""ASSUMPTION: how much more β − α of the slices then changes. Embeddings of 8,000 to 32,000 words at a width ∝ N^(1/3) make it 3 to 7 times."""


@dataclass(frozen=True, eq=False)
class BestPath:
    """Holds the path of the best size, in all draws.

    size: (draws, k), log of the best size at each slice that counts; the first is the point estimate.
    exponents: (draws, 2), of the best size at the smallest and at the largest of these computes.
    p_straight: of the test that they are one, with the bend free of its prior; NaN where noise is not known, or there are fewer than
    three slices.
    """

    size: np.ndarray
    exponents: np.ndarray
    p_straight: float


def best_path(
    slices: Sequence[Slice], curves: LocalCurves, chosen: np.ndarray, line: np.ndarray, *, noise: CellNoise, seed: int
) -> BestPath:
    """Fit the path of each draw to the slices that count.

    The prior of bend and of drift is normal about zero. Its variance is the square of the value that is found without a prior, less the
    variance of that value (the method of moments), and no less than the usual one. Draws are pulled towards a place drawn from the
    prior instead of zero, so that their spread is that of the posterior (randomise-then-optimise, Bardsley et al. 2014).

    Args:
        chosen: (S,), which slices count, with the first draw's `line` (2,), see `slices_on_line`.
        noise: of a cell; that of a log loss is weighed against the priors.
    """
    u, centre, unit = unit_compute(slices, chosen)
    draws = len(curves.best)
    start = np.tile([line[0] + line[1] * centre, line[1] * unit, 0.0, 0.0], (draws, 1))
    variance, p_straight = _believed(least_valley(slices, curves, chosen, start, free=4)[:, 2:], unit, noise)
    place = np.sqrt(variance) * np.random.default_rng([seed, 3]).standard_normal((draws, 2))
    place[0] = 0.0
    stiff = np.nan_to_num(noise.cell) ** 2 / variance
    valley = least_valley(slices, curves, chosen, start, free=4, pull=(stiff, place))
    ends = (valley[:, 1:2] + 2 * valley[:, 2:3] * u[[0, -1]]) / unit
    return BestPath(valley[:, :3] @ np.stack([np.ones_like(u), u, u**2]), ends, p_straight if len(u) > 2 else float("nan"))


def _believed(found: np.ndarray, unit: float, noise: CellNoise) -> tuple[np.ndarray, float]:
    """Return the prior's variance (2,) of bend and drift, and the p-value of no bend.

    found: (draws, 2), both without a prior. unit: e-folds of compute.
    """
    usual = _BEND_STD * unit**2 / 2
    moved = found[1:][np.isfinite(found[1:, 0])]
    if not np.isfinite(noise.cell) or len(moved) < 2:
        return np.array([usual, 2 / unit * _DRIFT_A_BEND * usual]) ** 2, float("nan")
    low, high = np.quantile(moved, [0.16, 0.84], axis=0)
    error = np.maximum((high - low) / 2, 1e-300)
    of_bend, of_drift = np.nan_to_num(found[0] ** 2 - error**2)
    bend = max(usual**2, of_bend)
    drift = max((2 / unit * _DRIFT_A_BEND) ** 2 * bend, of_drift)
    p = t_two_sided(found[0, 0] / error[0], max(1.0, noise.degrees_of_freedom))
    return np.array([bend, drift]), p
