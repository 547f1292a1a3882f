"""Objectives: what is smallest where a law fits best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isinf

import numpy as np

from scaling.errors import UnknownName, UsageError

__all__ = ["OBJECTIVES", "Objective", "objective_named"]


@dataclass(frozen=True)
class Objective:
    """Measures how badly a law fits: `Σ w·ρ(r)` over the runs, with ρ(r) = r²/2 up to |r| = `huber` and linear beyond.

    residual: `(f, y) -> (r, s)`: the residual of the mean curve f, and s = −dr/df.
    relative: whether an error counts in proportion to y; the linear solve that finds the basin then divides by y.
    envelope: τ in (0, 1), the weight of residuals above the curve, against 1 − τ below it (both doubled, so that 0.5 changes nothing).
        0.1 draws the curve towards the lower envelope: an expectile (Newey and Powell 1987) rather than the mean.
    """

    name: str
    residual: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    relative: bool = True
    huber: float = np.inf
    envelope: float | None = None

    @property
    def is_least_squares(self) -> bool:
        return isinf(self.huber) and self.envelope is None

    @property
    def is_least_squares_of_logs(self) -> bool:
        return self.is_least_squares and self.residual is _log

    def loss(self, r: np.ndarray) -> np.ndarray:
        """Return ρ(r), elementwise."""
        value = 0.5 * r * r
        if not isinf(self.huber):
            size = np.abs(r)
            value = np.where(size <= self.huber, value, self.huber * (size - 0.5 * self.huber))
        return value if self.envelope is None else value * self._side(r)

    def influence(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ψ = ρ′, its derivative ρ″, and the weight ψ/r of iteratively reweighted least squares, elementwise."""
        one = np.ones_like(r)
        if isinf(self.huber):
            psi, curvature, weight = r, one, one
        else:
            size = np.abs(r)
            inside = size <= self.huber
            weight = np.where(inside, 1.0, self.huber / np.maximum(size, self.huber))
            psi, curvature = r * weight, inside.astype(float)
        if self.envelope is not None:
            side = self._side(r)
            psi, curvature, weight = psi * side, curvature * side, weight * side
        return psi, curvature, weight

    def _side(self, r: np.ndarray) -> np.ndarray:
        tau = 0.5 if self.envelope is None else self.envelope
        return np.where(r > 0, 2 * tau, 2 * (1 - tau))


def _log(f: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.log(y / f), 1 / f


def _relative(f: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 1 - f / y, np.broadcast_to(1 / y, f.shape)


def _absolute(f: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return y - f, np.ones_like(f)


OBJECTIVES: dict[str, Objective] = {
    "log": Objective("log", _log),
    "huber-log": Objective("huber-log", _log, huber=1e-3),  # δ of Hoffmann et al. 2022, arXiv 2203.15556, appendix D.2
    "relative": Objective("relative", _relative),
    "mse": Objective("mse", _absolute, relative=False),
}
"""`log`: squares of log y − log f, as in log–log least squares; `huber-log`: the same, robust; `relative`: squares of 1 − f/y;
`mse`: plain squares of y − f."""


def objective_named(name: str, envelope: float | None = None) -> Objective:
    """Return the objective called `name`, towards the lower envelope if `envelope` is below 0.5.

    Raises: `UnknownName` with the nearest name; `UsageError` for an envelope outside (0, 1).
    """
    if name not in OBJECTIVES:
        raise UnknownName("objective", name, tuple(OBJECTIVES))
    if envelope is not None and not 0 < envelope < 1:
        raise UsageError(
            f"envelope {envelope:g} is not between 0 and 1", hint="0.5 is the plain mean; 0.1 draws towards the lowest runs"
        )
    return replace(OBJECTIVES[name], envelope=envelope)
