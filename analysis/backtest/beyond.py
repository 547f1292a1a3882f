"""Estimates that know from a back-test how far to trust themselves beyond the runs: one law, or an average of several.

Without a back-test of any law with a floor nobody has tested whether the loss stops falling. The upper end of an interval then never falls
below what it is at the largest run. So a loss that stops falling there lies inside the interval, however far one looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from analysis.backtest.forecast_error import ForecastError
from analysis.fitting.estimate import Ends, Estimate, Precision
from analysis.fitting.law_estimate import LawEstimate

__all__ = ["AveragedEstimate", "Beyond", "ChosenEstimate", "averaged", "chosen"]

Band = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Beyond:
    """Says how uncertain forecasts beyond the largest run are.

    error: of forecasts; None without a back-test. edge: log compute of the largest run.
    compute_rows: the inputs whose product is compute.
    floor_needs: how many distinct budgets it takes to test a law with a floor, where there are fewer; None where one was tested.
    """

    error: ForecastError | None
    edge: float
    compute_rows: tuple[int, ...]
    floor_needs: int | None = None

    def distance(self, inputs: np.ndarray) -> np.ndarray:
        """Return how far inputs (k, n) lie beyond the largest run in log compute, (n,); zero among the runs."""
        return np.maximum(0.0, np.log(inputs[list(self.compute_rows)]).sum(0) - self.edge)

    def half_width(self, inputs: np.ndarray, precision: Precision) -> np.ndarray:
        """Return the half-width of the interval of a forecast, in log metric, (n,); zero without a back-test."""
        if self.error is None:
            return np.zeros(np.shape(inputs)[1])
        t = precision.t(self.error.degrees_of_freedom)
        return t * np.sqrt(self.error.variance(self.distance(inputs)))

    def open_above(self, inputs: np.ndarray, band: Band, band_at: Callable[[np.ndarray], Band]) -> Band:
        """Raise the upper end of the band beyond the largest run to what it is there, where no floor was considered.

        band_at: inputs → band.
        """
        if self.floor_needs is None:
            return band
        low, high = band
        distance = self.distance(inputs)
        nearest = inputs.copy()
        nearest[list(self.compute_rows)] *= np.exp(-distance / len(self.compute_rows))
        return low, np.where(distance > 0, np.maximum(high, band_at(nearest)[1]), high)


def _widened(mean: np.ndarray, band: Band, *half_widths: np.ndarray) -> Band:
    """Widen the band by half-widths, added in quadrature: the errors have different sources."""
    low, high = (np.sqrt(side**2 + sum(half**2 for half in half_widths)) for side in (mean - band[0], band[1] - mean))
    return mean - low, mean + high


@dataclass(frozen=True, eq=False)
class ChosenEstimate(LawEstimate):
    """Holds the estimate of one law, with the back-test's error in what it says beyond the runs."""

    beyond: Beyond

    def log_band(self, inputs: np.ndarray) -> Band:
        return self._beyond(inputs, super().log_band)

    def log_new_run(self, inputs: np.ndarray) -> Band:
        return self._beyond(inputs, super().log_new_run)

    def _beyond(self, inputs: np.ndarray, band_at: Callable[[np.ndarray], Band]) -> Band:
        band = _widened(self.log_mean(inputs), band_at(inputs), self.beyond.half_width(inputs, self.precision))
        return self.beyond.open_above(inputs, band, band_at)

    def log_mean_draws(self, inputs: np.ndarray) -> np.ndarray:
        draws = super().log_mean_draws(inputs)
        return draws + _forecast_draws(self.beyond, inputs, len(draws), self.precision)


@dataclass(frozen=True, eq=False)
class AveragedEstimate(Estimate):
    """Averages the logs of several laws' mean curves by weight. It has no coefficients of its own.

    Its interval adds three variances:

    - the members' own: they are of the same runs, so their half-widths are averaged;
    - how far the members lie apart (Buckland et al. 1997, Model selection: an integral part of inference);
    - beyond the runs, the back-test's error.

    members: estimates, the heaviest first. weights: theirs. rows: which of the inputs each takes.
    """

    members: tuple[LawEstimate, ...]
    weights: np.ndarray
    rows: tuple[tuple[int, ...], ...]
    beyond: Beyond
    precision: Precision

    def log_mean(self, inputs: np.ndarray) -> np.ndarray:
        return self.weights @ self._means(inputs)

    def log_band(self, inputs: np.ndarray) -> Band:
        return self._interval(inputs, [member.log_band(inputs[list(rows)]) for member, rows in self._each])

    def log_new_run(self, inputs: np.ndarray) -> Band:
        return self._interval(inputs, [member.log_new_run(inputs[list(rows)]) for member, rows in self._each])

    def log_mean_draws(self, inputs: np.ndarray) -> np.ndarray:
        each = [
            member.log_mean_draws(inputs[list(rows)]) for member, rows in self._each
        ]  # one seed: draw i is of the same cells in all
        draws = np.einsum("m,mdn->dn", self.weights, np.stack(each))
        apart = self._means(inputs) - self.log_mean(inputs)
        member = np.random.default_rng(self.precision.seed + 1).choice(len(self.weights), size=len(draws), p=self.weights)
        return draws + apart[member] + _forecast_draws(self.beyond, inputs, len(draws), self.precision)

    @property
    def _each(self) -> Sequence[tuple[LawEstimate, tuple[int, ...]]]:
        return list(zip(self.members, self.rows, strict=True))

    def _means(self, inputs: np.ndarray) -> np.ndarray:
        """Return the log mean curve of each member, (members, n)."""
        return np.stack([member.log_mean(inputs[list(rows)]) for member, rows in self._each])

    def _interval(self, inputs: np.ndarray, bands: Sequence[Band]) -> Band:
        means, mean = self._means(inputs), self.log_mean(inputs)
        low = mean - self.weights @ np.stack([own - band[0] for own, band in zip(means, bands, strict=True)])
        high = mean + self.weights @ np.stack([band[1] - own for own, band in zip(means, bands, strict=True)])
        apart = self.precision.t(10**9) * np.sqrt(self.weights @ (means - mean) ** 2)
        return _widened(mean, (low, high), apart, self.beyond.half_width(inputs, self.precision))


def chosen(estimate: LawEstimate, beyond: Beyond) -> ChosenEstimate:
    return ChosenEstimate(**{field.name: getattr(estimate, field.name) for field in fields(LawEstimate)}, beyond=beyond)


def averaged(
    members: Sequence[LawEstimate], weights: Sequence[float], rows: Sequence[Sequence[int]], beyond: Beyond, precision: Precision
) -> AveragedEstimate:
    """Average estimates, the heaviest first; status and seed noise are those of the heaviest."""
    first = members[0]
    return AveragedEstimate(
        values={},
        make_ends=lambda: Ends({}, {}, first.status, first.status_about),
        degrees_of_freedom=min(member.degrees_of_freedom for member in members),
        seed_std=first.seed_std,
        lack_of_fit_std=float(np.dot(weights, [member.lack_of_fit_std for member in members])),
        members=tuple(members),
        weights=np.asarray(weights, dtype=float),
        rows=tuple(tuple(each) for each in rows),
        beyond=beyond,
        precision=precision,
    )


def _forecast_draws(beyond: Beyond, inputs: np.ndarray, draws: int, precision: Precision) -> np.ndarray:
    """Draw one forecast error a draw, in proportion to the distance, (draws, n) in log metric."""
    if beyond.error is None:
        return np.zeros((draws, np.shape(inputs)[1]))
    error = np.random.default_rng(precision.seed + 2).standard_t(max(1.0, beyond.error.degrees_of_freedom), size=draws)
    return error[:, None] * np.sqrt(beyond.error.variance(beyond.distance(inputs)))
