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


def forecast_error(errors: np.ndarray, ahead: np.ndarray, held_out: np.ndarray, residual_std: float) -> ForecastError:
    """From the forecasts of a back-test.

    The slope is the root of `Σ(error² − residual_std²) / Σ ahead²`, over what was held out: far forecasts count most, since they say
    most about growth, and a cell's own scatter is taken off.

    Args:
        errors: (windows, n), log of forecast over metric. ahead, held_out: as in `Windows`.
        residual_std: of cells about the curve, in log metric.
    """
    used = held_out & (ahead >= _DISTANCE_AT_LEAST)
    if not used.any():
        return ForecastError(0.0, 1.0)
    square = float(np.sum(errors[used] ** 2 - residual_std**2))
    # Windows overlap: their forecasts of one cell are nearly the same error, so no more of them are independent than cells were held out,
    # nor than windows.
    independent = float(min(np.count_nonzero(used.any(0)), np.count_nonzero(used.any(1))))
    return ForecastError(float(np.sqrt(max(0.0, square) / np.sum(ahead[used] ** 2))), independent)
