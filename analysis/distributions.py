"""Quantiles and tail probabilities for tests and intervals.

They are those of `scipy.stats`, taken from `scipy.special`: `scipy.stats` takes a third of a second to import, and each command would wait for it.
"""

from __future__ import annotations

import numpy as np
from scipy import special

__all__ = ["f_above", "f_below", "normal_quantile", "ranks", "spearman", "t_quantile", "t_two_sided"]


def normal_quantile(share: float) -> float:
    """The value that a standard normal deviate stays below with this probability."""
    return float(special.ndtri(share))


def t_quantile(share: float, degrees_of_freedom: float) -> float:
    """The value that Student's t stays below with this probability."""
    return float(special.stdtrit(degrees_of_freedom, share))


def t_two_sided(t: float, degrees_of_freedom: float) -> float:
    """The probability that Student's t is farther from zero than this."""
    return float(2 * special.stdtr(degrees_of_freedom, -abs(t)))


def f_above(ratio: float, above: float, below: float) -> float:
    """The probability that F is above a ratio of mean squares; 1 of a ratio below zero, which rounding makes. above, below: degrees of freedom."""
    return float(special.fdtrc(above, below, max(ratio, 0.0)))


def f_below(ratio: float, above: float, below: float) -> float:
    """The probability that F is below a ratio of mean squares; see `f_above`."""
    return float(special.fdtr(above, below, max(ratio, 0.0)))


def spearman(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Spearman's rank correlation of two samples (n,), n ≥ 3, and its two-sided p-value by Student's t with n − 2 degrees of freedom.

    Ties share the mean of their ranks. Neither sample may be constant.
    """
    rho = float(np.clip(np.corrcoef(ranks(a), ranks(b))[0, 1], -1.0, 1.0))
    left = len(a) - 2
    if abs(rho) == 1.0:
        return rho, 0.0
    return rho, t_two_sided(rho * np.sqrt(left / ((1 + rho) * (1 - rho))), left)


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value (n,), from 1; ties share the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]
