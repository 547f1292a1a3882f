"""What an estimator takes and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from scaling.outcomes import FitStatus

__all__ = ["Estimate", "Estimator", "Precision", "Sample", "exponent_status"]


@dataclass(frozen=True, eq=False)
class Sample:
    """The runs of a fit as arrays of one length: positive `x` and `y`, and `cell`, a number 0 … `cells` − 1 for each run."""

    x: np.ndarray
    y: np.ndarray
    cell: np.ndarray

    @property
    def cells(self) -> int:
        return int(self.cell.max()) + 1

    @property
    def seeds_repeat_a_cell(self) -> bool:
        return self.cells < len(self.x)


@dataclass(frozen=True)
class Precision:
    """How intervals are made: nominal `level`, number of `bootstrap` draws and their `seed`."""

    level: float = 0.95
    bootstrap: int = 1000
    seed: int = 0

    def t(self, degrees_of_freedom: int) -> float:
        """Two-sided t quantile; 1.96 for level 0.95 and many degrees of freedom."""
        return float(stats.t.ppf(0.5 + self.level / 2, max(1, degrees_of_freedom)))


@dataclass(frozen=True, eq=False)
class Estimate(ABC):
    """Coefficients with intervals, and the band of the mean curve.

    values, low, high: by the letters of the law's formula. degrees_of_freedom: of the t quantiles used.
    """

    values: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    status: FitStatus
    degrees_of_freedom: int

    @abstractmethod
    def log_band(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Interval of the log of the mean curve at each x, as (low, high)."""


Estimator = Callable[[Sample, Precision], Estimate]


def exponent_status(low: float, high: float) -> FitStatus:
    """What the interval of an exponent a allows to say; the metric falls where a is positive."""
    if high < 0:
        return FitStatus.RISES
    return FitStatus.EXPONENT_NOT_IDENTIFIED if low <= 0 else FitStatus.OK
