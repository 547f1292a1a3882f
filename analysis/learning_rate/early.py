"""The trend while there are few cells: the same law, held in place by what is usual until the runs say more.

A search asks for a rate when one cell is known, or three. Least squares would then know no exponent, or one of any size. Here each exponent
has a prior, so that there is an answer with an interval from the first cell on. The share of the prior fades as cells come in.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from analysis.fitting.shared_parabola import Curves
from analysis.learning_rate.law import TERMS, RateLaw

__all__ = ["UNKNOWN_DIRECTION", "EarlyTrend", "Prior", "Trial", "early_trend"]

_ROUNDS = 15
_LEAST_CURVATURE = 0.003
_STANDARD_ERRORS = 1.96


@dataclass(frozen=True)
class Trial:
    """Holds a finished run of a search: `cell`, its name; `params` and `epochs` of the cell; `loss` at `learning_rate`.

    Of a trend of another setting, its value stands in place of the rate.
    """

    cell: Hashable
    params: float
    epochs: float
    learning_rate: float
    loss: float


@dataclass(frozen=True)
class Prior:
    """Holds the mean and standard deviation of s, t, u and κ, and the noise of a log loss, worth `noise_runs` runs.

    ASSUMPTION: the best rate falls slowly, as Smith et al. 2023 (arXiv 2310.16764, sec. 2) saw: by a tenth for twice the epochs, give or
    take as much again. Of κ, how much a wrong rate costs, next to nothing is supposed. It was 0.01 to 0.6 in studies seen, and a κ held too
    low puts the optimum of an uneven parabola too far out.
    """

    s: tuple[float, float] = (0.15, 0.2)
    t: tuple[float, float] = (0.1, 0.15)
    u: tuple[float, float] = (0.03, 0.05)
    curvature: tuple[float, float] = (0.1, 1.0)
    noise: float = 0.02
    noise_runs: float = 1.0


UNKNOWN_DIRECTION = Prior(s=(0.0, 0.4), t=(0.0, 0.3), u=(0.0, 0.05))
"""The priors of a setting that may rise or fall with epochs and size, as the best weight decay or batch size does."""


@dataclass(frozen=True, eq=False)
class EarlyTrend:
    """Holds the posterior: `coefficients` (κ, κ·log c, κ·s, κ·t, κ·u) and their `covariance`.

    Sizes and budgets count from the smallest of the trials; `middle` is the log rate that log c counts from.
    """

    law: RateLaw
    least_epochs: float
    middle: float
    coefficients: np.ndarray
    covariance: np.ndarray

    def at(self, *, params: float, epochs: float) -> tuple[float, float, float]:
        """Return the natural log of the best rate of a cell, and 1.96 standard errors to either side.

        These are logs, since a first cell may say next to nothing.
        """
        row = self.law.row(("",), epochs / self.least_epochs, params)
        curvature = max(float(self.coefficients[0]), _LEAST_CURVATURE)
        value = float(row @ self.coefficients[1:]) / curvature
        weights = np.concatenate([[-value], row])
        error = math.sqrt(float(weights @ self.covariance @ weights)) / curvature
        log_rate = value + self.middle
        return log_rate, log_rate - _STANDARD_ERRORS * error, log_rate + _STANDARD_ERRORS * error


def early_trend(trials: Sequence[Trial], prior: Prior = Prior()) -> EarlyTrend:
    """Fit `log loss = log L*(cell) + κ·(log rate − log rate*(cell))²` with priors, for as few as one cell.

    The law is that of `learning_rate_trend`, and the priors on its exponents and on κ are normal. A prior is a further row of the least
    squares: κ·s − κ·mean(s), which has the standard deviation κ·sd(s), in units of the noise. That needs κ and the noise, so it is solved a
    fixed number of times over. The answer depends on the trials alone, not on their order.

    trials: of at least one cell with two rates.
    """
    ordered = sorted(trials, key=lambda trial: (trial.epochs, trial.params, str(trial.cell), trial.learning_rate, trial.loss))
    least_params, least_epochs = min(trial.params for trial in ordered), min(trial.epochs for trial in ordered)
    names = list(dict.fromkeys(trial.cell for trial in ordered))
    cells = {trial.cell: trial for trial in ordered}
    law = RateLaw((("",),), TERMS, least_params)
    rows = np.array([law.row(("",), cells[name].epochs / least_epochs, cells[name].params) for name in names])
    log_rates = np.log([trial.learning_rate for trial in ordered])
    middle = float(log_rates.mean())
    curves = Curves(
        log_rates - middle, np.log([trial.loss for trial in ordered]), np.array([names.index(trial.cell) for trial in ordered])
    )
    design, y = curves.design(rows), curves.without_means(curves.y)
    curvature, noise = prior.curvature[0], prior.noise
    degrees = max(1.0, len(y) - len(names) - 1 + prior.noise_runs)
    for _ in range(_ROUNDS):
        extra, target = _prior_rows(prior, curvature, noise)
        augmented, wanted = np.vstack([design, extra]), np.concatenate([y, target])
        coefficients, _, _, _ = linalg.lstsq(augmented, wanted)
        residual = wanted - augmented @ coefficients
        variance = (float(residual @ residual) + prior.noise_runs * prior.noise**2) / degrees
        curvature, noise = max(float(coefficients[0]), _LEAST_CURVATURE), math.sqrt(variance)
    covariance = noise**2 * linalg.pinvh(augmented.T @ augmented)
    return EarlyTrend(law, least_epochs, middle, coefficients, covariance)


def _prior_rows(prior: Prior, curvature: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rows, target = np.zeros((4, 5)), np.zeros(4)
    mean, deviation = prior.curvature
    rows[0, 0], target[0] = noise / deviation, noise * mean / deviation
    for number, term in enumerate(TERMS, 1):
        mean, deviation = getattr(prior, term)
        weight = noise / (curvature * deviation)
        rows[number, 0], rows[number, 1 + number] = -weight * mean, weight
    return rows, target
