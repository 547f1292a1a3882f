"""How large the errors of forecasts are: beside what scatter explains, and as they grow with the distance beyond the runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

__all__ = ["Excess", "ForecastError", "excess", "forecast_error", "independent"]

_DISTANCE_AT_LEAST = 0.05  # of log compute; a cell just beyond a window says nothing about growth
_EXACT = 1e-9  # log metric; below, residuals are rounding


@dataclass(frozen=True)
class ForecastError:
    """Says how the error of forecasts grows with their distance beyond the largest run.

    slope: per unit of log compute. A forecast at `distance` has a standard deviation of `slope · distance` in log metric, besides what the
    runs' scatter explains. degrees_of_freedom: how many independent forecasts that is known from.
    """

    slope: float
    degrees_of_freedom: float

    def variance(self, distance: np.ndarray) -> np.ndarray:
        """Return the variance of forecasts at these distances in log compute, in squared log metric; zero among the runs."""
        return (self.slope * np.maximum(distance, 0.0)) ** 2


@dataclass(frozen=True)
class Excess:
    """Compares the errors of forecasts with what their windows could expect.

    ratio: root mean square of errors, each over what its window could expect from scatter and from the doubt about its coefficients; about
    1 for a law that is right. p_value: how often a law that is right has as large a ratio (χ² test).
    """

    ratio: float
    p_value: float


def excess(errors: np.ndarray, held_out: np.ndarray, variances: np.ndarray, freedom: np.ndarray) -> Excess:
    """Test whether forecasts are further off than each window could expect, had it been asked for an interval.

    An error over the standard deviation that its window expects of it is a t variable with the window's degrees of freedom. It is turned
    into the normal deviate of the same probability, so that windows of few and of many runs count alike.

    Args:
        errors: (windows, n), log of forecast over metric. held_out: as in `Windows`.
        variances: (windows, n), as a window expects them: scatter of a cell and doubt about the curve. freedom: (windows,), of them.
    """
    t = np.abs(errors[held_out]) / np.sqrt(np.maximum(variances[held_out], _EXACT**2))
    tail = special.stdtr(np.broadcast_to(freedom[:, None], held_out.shape)[held_out], -t)
    deviate = special.ndtri(np.maximum(tail, 1e-300))
    square, count = float(np.mean(deviate**2)), independent(held_out)
    return Excess(float(np.sqrt(square)), float(special.gammaincc(count / 2, count * square / 2)))


def independent(used: np.ndarray) -> float:
    """Count the forecasts that are independent, of those used, (windows, n) of booleans.

    Windows overlap: their forecasts of one cell are nearly the same error. So no more of them are independent than cells were held out, nor
    than windows.
    """
    return float(min(np.count_nonzero(used.any(0)), np.count_nonzero(used.any(1))))


def forecast_error(
    errors: np.ndarray, ahead: np.ndarray, held_out: np.ndarray, residual_std: float, own_variance: np.ndarray | float = 0.0
) -> ForecastError:
    """Estimate from the forecasts of a back-test how their error grows with distance.

    The slope is the root of `Σ excess / Σ ahead²` over what was held out: far forecasts count most, since they say most about growth. The
    excess of a window is its `Σ (error² − residual_std² − own_variance)`, or 0. A cell's scatter and what the window itself did not know
    are taken off, since the interval of the fit to all runs has its own of both.

    Args:
        errors: (windows, n), log of forecast over metric. ahead, held_out: as in `Windows`.
        residual_std: of cells about the curve, in log metric.
        own_variance: (windows, n), of the forecast, from the uncertainty of the coefficients of a window.
    """
    used = held_out & (ahead >= _DISTANCE_AT_LEAST)
    if not used.any():
        return ForecastError(0.0, 1.0)
    excess = np.sum(np.where(used, errors**2 - residual_std**2 - own_variance, 0.0), axis=1)
    slope = np.sqrt(np.sum(np.maximum(excess, 0.0)) / np.sum(ahead[used] ** 2))
    return ForecastError(float(slope), independent(used))
