"""The interval of a ratio of two estimated coefficients."""

from __future__ import annotations

import math

__all__ = ["fieller_interval"]


def fieller_interval(
    numerator: float, denominator: float, variances: tuple[float, float], covariance: float, t: float
) -> tuple[float, float]:
    """Return the ends of all ρ for which `numerator − ρ·denominator` is within t standard errors of zero (Fieller 1954).

    Exact for normal estimates, and unlike the delta method honest when the denominator is hardly known: if it may be zero, no
    finite interval has the coverage, and the answer is (−∞, ∞).

    Args: `variances` of numerator and denominator; their `covariance`; `t`: the two-sided t quantile.
    """
    # (n − ρd)² ≤ t²·(v_n − 2ρ·c + ρ²·v_d) is a quadratic in ρ.
    square = denominator**2 - t**2 * variances[1]
    if square <= 0:
        return -math.inf, math.inf
    linear = numerator * denominator - t**2 * covariance
    constant = numerator**2 - t**2 * variances[0]
    root = math.sqrt(max(0.0, linear**2 - square * constant))
    return (linear - root) / square, (linear + root) / square
