"""How the error of a forecast grows with its distance beyond the runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ForecastError", "forecast_error"]

_DISTANCE_AT_LEAST = 0.05  # of log compute; a cell just beyond a window says nothing about growth


@dataclass(frozen=True)
class ForecastError:
    """A forecast at `distance` in log compute beyond the largest run has, besides what the runs' scatter explains, a standard deviation of
    `slope · distance` in log metric. degrees_of_freedom: how many independent forecasts that is known from."""

    slope: float
    degrees_of_freedom: float

    def variance(self, distance: np.ndarray) -> np.ndarray:
        """In squared log metric; zero among the runs."""
        return (self.slope * np.maximum(distance, 0.0)) ** 2


def forecast_error(
    errors: np.ndarray, ahead: np.ndarray, held_out: np.ndarray, residual_std: float, own_variance: np.ndarray | float = 0.0
) -> ForecastError:
    """From the forecasts of a back-test.

    The slope is the root of `Σ excess / Σ ahead²` over what was held out: far forecasts count most, since they say most about growth. The
    excess of a window is its `Σ (error² − residual_std² − own_variance)`, or 0: a cell's scatter and what the window itself did not know
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
    # Windows overlap: their forecasts of one cell are nearly the same error, so no more of them are independent than cells were held out,
    # nor than windows.
    independent = float(min(np.count_nonzero(used.any(0)), np.count_nonzero(used.any(1))))
    slope = np.sqrt(np.sum(np.maximum(excess, 0.0)) / np.sum(ahead[used] ** 2))
    return ForecastError(float(slope), independent)
