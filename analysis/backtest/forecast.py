"""`ForecastEstimate`: the laws' average among the runs, and beyond them what the recent runs say, by the weights of the back-test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.backtest.backtest import Backtest
from analysis.backtest.beyond import AveragedEstimate, Band
from analysis.backtest.learnt import LEARNT, Learnt
from analysis.backtest.recent import FREEDOM, Recent
from analysis.fitting.estimate import Estimate, Precision
from analysis.fitting.law_estimate import LawEstimate
from scaling.outcomes import FitStatus

__all__ = ["ForecastEstimate", "Laws"]

_NEAR, _FAR = 0.5, 0.75
"""The laws' share is whole up to the first, and zero from the second on: parts of the runs' log range, beyond them."""


@dataclass(frozen=True, eq=False)
class Laws:
    """Holds the average of the laws that describe the runs, and the back-test that weighs them."""

    estimate: AveragedEstimate
    test: Backtest


class ForecastEstimate(Estimate):
    """Forecasts a curve of one input.

    Among the runs it is the laws' average. Over the last part of their log range (`Learnt.recency`) it goes over to the forecast:
    `share` of that average and the rest of the recent forecast. From half of that range beyond the runs on the share falls, and is zero
    from three quarters on. Both intervals are averaged alike; to it is added how far the two lie apart. The laws are fitted when they are
    first asked for: where their share is zero, they are not needed.

    recent: of all runs. slope: of its back-test, None where it has none. share: of the laws, beyond the runs.
    """

    def __init__(
        self,
        recent: Recent,
        slope: float | None,
        share: float,
        precision: Precision,
        make_laws: Callable[[], Laws],
        learnt: Learnt = LEARNT,
    ) -> None:
        self.__dict__.update(  # its base is frozen
            recent=recent, slope=slope, share=share, precision=precision, make_laws=make_laws, learnt=learnt
        )

    recent: Recent
    slope: float | None
    share: float
    precision: Precision
    make_laws: Callable[[], Laws]
    learnt: Learnt

    def __repr__(self) -> str:  # that of its base reads what this one has none of
        return f"<ForecastEstimate: laws {self.share:.2g}, the recent runs {1 - self.share:.2g}>"

    @cached_property
    def laws(self) -> Laws:
        return self.make_laws()

    @property
    def members(self) -> Sequence[LawEstimate]:
        return self.laws.estimate.members

    @property
    def rows(self) -> Sequence[Sequence[int]]:
        return self.laws.estimate.rows

    @property
    def values(self) -> Mapping[str, float]:
        return {}

    low = high = values

    @property
    def status(self) -> FitStatus:
        return self.laws.estimate.status

    @property
    def status_about(self) -> tuple[str, ...]:
        return self.laws.estimate.status_about

    @property
    def degrees_of_freedom(self) -> float:
        return FREEDOM

    @property
    def seed_std(self) -> float:
        return self.laws.estimate.seed_std

    @property
    def lack_of_fit_std(self) -> float:
        return self.laws.estimate.lack_of_fit_std

    def log_mean(self, inputs: np.ndarray) -> np.ndarray:
        return self._mixed(inputs, lambda: self.laws.estimate.log_mean(inputs), self._recent_mean(inputs))

    def log_band(self, inputs: np.ndarray) -> Band:
        return self._band(inputs, self._half_width(inputs, of_mean=True), lambda: self.laws.estimate.log_band(inputs))

    def log_new_run(self, inputs: np.ndarray) -> Band:
        return self._band(inputs, self._half_width(inputs, of_mean=False), lambda: self.laws.estimate.log_new_run(inputs))

    def log_mean_draws(self, inputs: np.ndarray) -> np.ndarray:
        count = self.precision.bootstrap
        error = np.random.default_rng(self.precision.seed + 3).standard_t(FREEDOM, size=(count, 1))
        scale = self._half_width(inputs, of_mean=True) / self.precision.t(FREEDOM)
        return self._mixed(inputs, lambda: self.laws.estimate.log_mean_draws(inputs), self._recent_mean(inputs) + error * scale)

    def of_recent(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what the recent runs alone say at inputs (1, n): log mean and its interval, (n,) each."""
        mean, half = self._recent_mean(inputs), self._half_width(inputs, of_mean=True)
        return mean, mean - half, mean + half

    def part(self, inputs: np.ndarray) -> np.ndarray:
        """Return the weight of the recent forecast at inputs (1, n), (n,)."""
        ahead = (np.log(inputs[0]) - self.recent.edge[0]) / self.recent.range[0]
        of_laws = self.share * np.clip((_FAR - ahead) / (_FAR - _NEAR), 0.0, 1.0)
        return (1.0 - of_laws) * np.clip(1.0 + ahead / self.learnt.recency, 0.0, 1.0)

    def _recent_mean(self, inputs: np.ndarray) -> np.ndarray:
        return self.recent.log_mean(np.log(inputs[0]))[0]

    def _half_width(self, inputs: np.ndarray, *, of_mean: bool) -> np.ndarray:
        variance = self.recent.variance(np.log(inputs[0]), self.slope, self.learnt, of_mean=of_mean)[0]
        return self.precision.t(FREEDOM) * np.sqrt(variance)

    def _mixed(self, inputs: np.ndarray, of_laws: Callable[[], np.ndarray], of_recent: np.ndarray) -> np.ndarray:
        part = self.part(inputs)
        return of_recent if (part == 1).all() else (1 - part) * of_laws() + part * of_recent

    def _band(self, inputs: np.ndarray, half: np.ndarray, of_laws: Callable[[], Band]) -> Band:
        part, recent = self.part(inputs), self._recent_mean(inputs)
        if (part == 1).all():
            return recent - half, recent + half
        laws = self.laws.estimate.log_mean(inputs)
        low, high = of_laws()
        mean = (1 - part) * laws + part * recent
        apart = self.precision.t(10**9) * np.sqrt(part * (1 - part)) * np.abs(laws - recent)
        below, above = (np.hypot((1 - part) * side + part * half, apart) for side in (laws - low, high - laws))
        return mean - below, mean + above
