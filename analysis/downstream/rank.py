"""Rank correlations, plain and partial, with intervals."""

from __future__ import annotations

import math

import numpy as np

from analysis.distributions import normal_quantile, ranks
from analysis.interval import Interval

__all__ = ["partial", "rank_interval"]


def rank_interval(rho: float, n: int, level: float) -> Interval:
    """Return the interval of Spearman's ρ of n values, by Fisher's z.

    Its standard error is √((1 + ρ²/2)/(n − 3)) of Bonett and Wright 2000 (Psychometrika 65). Three values or fewer say nothing.
    """
    if not math.isfinite(rho) or n <= 3:
        return Interval(rho, -1.0, 1.0)
    half = normal_quantile(0.5 + level / 2) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    # At |ρ| = 1 Fisher's z is infinite: the largest ρ below 1 that n ranks can have stands in.
    most = 1 - 12 / (n * (n**2 - 1))
    centre = math.atanh(min(max(rho, -most), most))
    low, high = math.tanh(centre - half), math.tanh(centre + half)
    return Interval(rho, min(low, rho), max(high, rho))


def partial(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> float:
    """Compute the partial rank correlation of a and b, with the rank of `given` held fixed; NaN where one of the three is constant."""
    if len(a) < 3 or min(np.ptp(values) for values in (a, b, given)) == 0:
        return float("nan")
    ranked = np.array([ranks(values) for values in (a, b, given)])
    ab, ag, bg = (float(np.corrcoef(ranked[i], ranked[j])[0, 1]) for i, j in ((0, 1), (0, 2), (1, 2)))
    left = (1 - ag**2) * (1 - bg**2)
    return (ab - ag * bg) / math.sqrt(left) if left > 1e-12 else float("nan")
