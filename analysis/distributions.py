"""Quantiles and tail probabilities for tests and intervals.

They are those of `scipy.stats`, taken from `scipy.special`, because `scipy.stats` takes a third of a second to import.
"""

from __future__ import annotations

import numpy as np
from scipy import special

__all__ = [
    "f_above",
    "f_below",
    "median_unbiased",
    "normal_quantile",
    "ranks",
    "spearman",
    "t_noncentrality",
    "t_quantile",
    "t_two_sided",
]


def normal_quantile(share: float) -> float:
    """Return the value that a standard normal deviate stays below with probability `share`."""
    return float(special.ndtri(share))


def t_quantile(share: float, degrees_of_freedom: float) -> float:
    """Return the value that Student's t stays below with probability `share`."""
    return float(special.stdtrit(degrees_of_freedom, share))


def t_noncentrality(t: float, power: float, degrees_of_freedom: float) -> float:
    """Return the noncentrality at which Student's t is above `t` with probability `power`: the true effect in its standard errors."""
    return float(special.nctdtrinc(degrees_of_freedom, 1 - power, t))


def median_unbiased(degrees_of_freedom: float) -> float:
    """Return what an estimated standard deviation is to be multiplied with to be too large as often as too small: √(ν / median of χ²)."""
    return float(np.sqrt(degrees_of_freedom / special.chdtri(degrees_of_freedom, 0.5)))


def t_two_sided(t: float, degrees_of_freedom: float) -> float:
    """Return the probability that Student's t is farther from zero than `t`."""
    return float(2 * special.stdtr(degrees_of_freedom, -abs(t)))


def f_above(ratio: float, above: float, below: float) -> float:
    """Return the probability that F is above a ratio of mean squares; 1 for a ratio below zero, which rounding makes.

    above, below: degrees of freedom.
    """
    return float(special.fdtrc(above, below, max(ratio, 0.0)))


def f_below(ratio: float, above: float, below: float) -> float:
    """Return the probability that F is below a ratio of mean squares; see `f_above`."""
    return float(special.fdtr(above, below, max(ratio, 0.0)))


def spearman(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Compute Spearman's rank correlation of two samples (n,), n ≥ 3, and its two-sided p-value.

    The p-value is that of Student's t with n − 2 degrees of freedom. Ties share the mean of their ranks. Neither sample may be
    constant.
    """
    rho = float(np.clip(np.corrcoef(ranks(a), ranks(b))[0, 1], -1.0, 1.0))
    left = len(a) - 2
    if abs(rho) == 1.0:
        return rho, 0.0
    return rho, t_two_sided(rho * np.sqrt(left / ((1 + rho) * (1 - rho))), left)


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, (n,), from 1; ties share the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]
