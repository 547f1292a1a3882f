"""What an estimator takes and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from scaling.outcomes import FitStatus

__all__ = ["Ends", "Estimate", "Precision", "Sample"]


@dataclass(frozen=True, eq=False)
class Sample:
    """Holds the runs of a fit as arrays, `inputs` (k, n) and `y` (n,), both positive.

    cell: (n,), a number 0 … `cells` − 1 for each run; runs that repeat one setting have the same.
    weights: (n,), by which the objective counts runs.
    cluster: (n,), numbered as `cell`: runs that err together and are resampled as one. When not given, those of a cell.
    """

    inputs: np.ndarray
    y: np.ndarray
    cell: np.ndarray
    weights: np.ndarray
    cluster: np.ndarray = None  # type: ignore[assignment]  # filled below

    def __post_init__(self) -> None:
        if self.cluster is None:
            object.__setattr__(self, "cluster", self.cell)

    @property
    def runs(self) -> int:
        return len(self.y)

    @property
    def cells(self) -> int:
        return int(self.cell.max()) + 1

    @property
    def clusters(self) -> int:
        return int(self.cluster.max()) + 1

    @property
    def clusters_are_cells(self) -> bool:
        return self.clusters == self.cells and bool(np.array_equal(self.cluster, self.cell))

    @property
    def clusters_hold_several(self) -> bool:
        return self.clusters < self.runs


@dataclass(frozen=True)
class Precision:
    """Says how intervals are made: nominal `level`, number of `bootstrap` draws and their `seed`."""

    level: float = 0.95
    bootstrap: int = 1000
    seed: int = 0

    def t(self, degrees_of_freedom: Any) -> Any:
        """Return the two-sided t quantile, elementwise; 1.96 for level 0.95 and many degrees of freedom."""
        quantile = special.stdtrit(np.maximum(1.0, degrees_of_freedom), 0.5 + self.level / 2)
        return quantile if np.ndim(quantile) else float(quantile)

    def stricter(self, by: float) -> Precision:
        """Return the same with tails that are smaller by this factor: level 99.9 % for 95 % by 50."""
        return replace(self, level=1 - (1 - self.level) / by)


@dataclass(frozen=True)
class Ends:
    """Holds the intervals of coefficients, and what they say.

    low, high: by the letters of the law's formula. status: the gravest of what the data leave open. about: the letters that the status is
    about; where all coefficients are identified, those that are so only narrowly.
    """

    low: Mapping[str, float]
    high: Mapping[str, float]
    status: FitStatus
    about: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Estimate(ABC):
    """Holds coefficients with intervals, and predicts the mean curve and one more run from them.

    values: by the letters of the law's formula. make_ends: makes their intervals when they are first asked for, which a forecast does not.
    degrees_of_freedom: of the t quantiles used.
    seed_std: standard deviation of log metric between the runs of a cell; NaN when no cell has two.
    lack_of_fit_std: standard deviation of cells about the law in log metric, beyond what seeds explain; 0 when nothing shows.
    """

    values: Mapping[str, float]
    make_ends: Callable[[], Ends]
    degrees_of_freedom: float
    seed_std: float
    lack_of_fit_std: float

    @property
    def low(self) -> Mapping[str, float]:
        return self.make_ends().low

    @property
    def high(self) -> Mapping[str, float]:
        return self.make_ends().high

    @property
    def status(self) -> FitStatus:
        return self.make_ends().status

    @property
    def status_about(self) -> tuple[str, ...]:
        return self.make_ends().about

    @abstractmethod
    def log_mean(self, inputs: np.ndarray) -> np.ndarray:
        """Return the log of the mean curve at inputs (k, m), (m,)."""

    @abstractmethod
    def log_band(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the interval of the log of the mean curve at inputs (k, m), as (low, high), each (m,)."""

    @abstractmethod
    def log_new_run(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the interval of the log of the metric of one more run in a new cell, as (low, high), each (m,)."""

    @abstractmethod
    def log_mean_draws(self, inputs: np.ndarray) -> np.ndarray:
        """Return the log of the mean curve as the coefficients vary within their uncertainty, (draws, m)."""
