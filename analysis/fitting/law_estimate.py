"""The estimate of one law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.estimate import Estimate, Precision
from analysis.laws.law import Law

__all__ = ["LawEstimate"]


@dataclass(frozen=True, eq=False)
class LawEstimate(Estimate):
    """theta: (p,), see `Law`. covariance: (p, p), of theta; rows of coefficients that are not there are zero.
    draws: (bootstrap, p). spread: the factor by which log means of draws are spread about that of theta."""

    law: Law
    theta: np.ndarray
    covariance: np.ndarray
    draws: np.ndarray
    spread: float
    scatter: float
    precision: Precision

    def log_mean(self, inputs: np.ndarray) -> np.ndarray:
        return self.law.log_curve(inputs, self.theta[None])[0]

    def log_mean_jacobian(self, inputs: np.ndarray) -> np.ndarray:
        return self.law.log_curve_jacobian(inputs, self.theta)

    def log_mean_draws(self, inputs: np.ndarray) -> np.ndarray:
        mean = self.log_mean(inputs)
        return mean + self.spread * (self.law.log_curve(inputs, self.draws) - mean)

    def log_band(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, half = self.log_mean(inputs), self._t * self._standard_error(inputs)
        return mean - half, mean + half

    def log_new_run(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, half = self.log_mean(inputs), self._t * np.hypot(self._standard_error(inputs), self.scatter)
        return mean - half, mean + half

    @property
    def _t(self) -> float:
        return self.precision.t(self.degrees_of_freedom)

    def _standard_error(self, inputs: np.ndarray) -> np.ndarray:
        jacobian = self.log_mean_jacobian(inputs)
        return np.sqrt(np.maximum(0.0, np.einsum("ni,ij,nj->n", jacobian, self.covariance, jacobian)))
