"""The best size in slices of equal compute: local curves of one shape, each slice with its own height, bend and place.

Loss at equal compute against v = log N is `a + p·exp(−α·v) + q·exp(β·v)`: too small a model on the left, too few examples on the right.
Curves of that kind stay so when moved along v, and a parabola is their limit where α and β are small. α ≠ β makes them lopsided, which
a parabola is not: that is why isoFLOP parabolas are biased (arXiv 2603.22339). One slice tells little of α and β; all together do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.optimum.equal_compute import Slice

__all__ = ["LocalCurves", "local_curves", "lopsided_parabola"]

_SHAPES = np.array(
    [
        (0.0, 0.0),
        *((steep, lopsided) for steep in (0.1, 0.2, 0.3, 0.4, 0.55, 0.7) for lopsided in np.linspace(-0.8, 0.8, 17)),
    ]
)
"""(α + β)/2 and (β − α)/(α + β) of the shapes tried; the first is the parabola."""

_USUAL_STEEP, _STEEP_STD = 0.3, 0.3
_LOPSIDED_STD = 0.4
"""ASSUMPTION: what is believed of a shape before losses speak, as a normal prior; published exponents lie between 0.1 and 0.6. It counts
where few losses are near the minimum, and then keeps the curve close to symmetric."""

_REACH = np.log(20.0)  # losses weigh by the tricube of log distance from the minimum, and none at this factor from it
_NEAREST, _BEYOND_NEAREST = 4, 1.5  # but the fourth nearest size always counts: the reach is at least 1.5 times its distance


@dataclass(frozen=True, eq=False)
class LocalCurves:
    """Holds the curves of S slices: `a + b·s(w) + c·k(w)` with w = log size − centre, s and k of `lopsided_parabola`.

    best: (draws, S), log size of each minimum, kept within `reach`; NaN where a curve has none.
    reach: (S, 2), the ends of twice the range of log sizes of the slice, about its middle.
    coefficients: S times (draws, 3). weights: S times (m,), of the losses. centre: (S,). alpha, beta: (draws,), the shape; 0 of a
    parabola.
    """

    best: np.ndarray
    reach: np.ndarray
    coefficients: Sequence[np.ndarray]
    weights: Sequence[np.ndarray]
    centre: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray

    def height(self, number: int, log_size: Sequence[float]) -> np.ndarray:
        """Return log losses of the curves of a slice at sizes (m,), (draws, m); beyond `reach` they stay as at its ends."""
        w = np.clip(np.asarray(log_size, dtype=float), *self.reach[number]) - self.centre[number]
        s, k = lopsided_parabola(w, self.alpha[:, None], self.beta[:, None])
        a, b, c = self.coefficients[number].T[..., None]
        return np.asarray(a + b * s + c * k)


def local_curves(slices: Sequence[Slice], noise: float) -> LocalCurves:
    """Fit local curves to all draws of the slices' losses.

    The first draw is taken for the point estimate, about whose minima the weights are laid.

    noise: standard deviation of a log loss, against which the prior of the shape is weighed; NaN where it is not known.
    """
    first = [Slice(own.at, own.size, own.data, own.model, own.loss[:1]) for own in slices]
    # Of the first look, the place alone counts: the tried size of least loss where a curve has no minimum.
    centre = np.array([float(own.size[np.argmin(own.loss[0])]) for own in slices])
    for _ in range(2):
        weights = [_weights(own.size - at) for own, at in zip(slices, centre, strict=True)]
        look = _fitted(first, weights, centre, noise).best[0]
        ends = np.array([[own.size[0], own.size[-1]] for own in slices])
        centre = np.where(np.isfinite(look), np.clip(look, *ends.T), centre)
    weights = [_weights(own.size - at) for own, at in zip(slices, centre, strict=True)]
    return _fitted(slices, weights, centre, noise)


def _weights(w: np.ndarray) -> np.ndarray:
    away = np.abs(w)
    reach = max(_REACH, _BEYOND_NEAREST * np.sort(away)[min(_NEAREST, len(w)) - 1])
    return np.clip(1 - (away / reach) ** 3, 0.0, None) ** 3


def _fitted(slices: Sequence[Slice], weights: Sequence[np.ndarray], centre: np.ndarray, noise: float) -> LocalCurves:
    draws = len(slices[0].loss)
    variance = noise**2 if np.isfinite(noise) and noise > 0 else 1e-16
    steep, lopsided = _SHAPES.T
    prior = ((steep - _USUAL_STEEP) / _STEEP_STD) ** 2 + (lopsided / _LOPSIDED_STD) ** 2
    misfit = np.tile(variance * prior[:, None], draws)  # (shapes, draws)
    solved = []
    for own, weight, at in zip(slices, weights, centre, strict=True):
        root = np.sqrt(weight)
        basis = root[:, None] * _bases(own.size - at)
        target = root * own.loss
        theta = target @ np.linalg.pinv(basis).swapaxes(1, 2)  # (shapes, draws, 3)
        misfit += np.sum((target - theta @ basis.swapaxes(1, 2)) ** 2, axis=2)
        solved.append(theta)
    least = misfit.argmin(axis=0)
    coefficients = [theta[least, np.arange(draws)] for theta in solved]
    best = np.empty((draws, len(slices)))
    middle, width = (np.array([measure(own.size) for own in slices]) for measure in (np.mean, np.ptp))
    reach = np.stack([middle - width, middle + width], axis=-1)
    for number, (theta, at) in enumerate(zip(coefficients, centre, strict=True)):
        best[:, number] = np.clip(at + _minimum(theta, steep[least], lopsided[least]), *reach[number])
    return LocalCurves(best, reach, coefficients, weights, centre, *_exponents(steep[least], lopsided[least]))


def lopsided_parabola(w: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute s(w) = w + … and its integral k(w) = w²/2 + …, which with 1 span 1, exp(−αw) and exp(βw).

    They are w and w²/2 where the exponents are 0.
    """
    flat = alpha + beta == 0
    alpha, beta = np.where(flat, 1.0, alpha), np.where(flat, 1.0, beta)
    falling, rising = np.expm1(-alpha * w), np.expm1(beta * w)
    s = (rising - falling) / (alpha + beta)
    k = (beta * falling + alpha * rising) / (alpha * beta * (alpha + beta))
    return np.where(flat, w, s), np.where(flat, w**2 / 2, k)


def _bases(w: np.ndarray) -> np.ndarray:
    """Compute 1, s(w) and k(w) for every shape, (shapes, m, 3)."""
    alpha, beta = _exponents(*_SHAPES.T)
    s, k = lopsided_parabola(w, alpha[:, None], beta[:, None])
    return np.stack([np.ones_like(s), s, k], axis=-1)


def _minimum(theta: np.ndarray, steep: np.ndarray, lopsided: np.ndarray) -> np.ndarray:
    """Return w of the minimum for coefficients (draws, 3) of shapes (draws,); NaN where there is none."""
    b, c = theta[:, 1], theta[:, 2]
    alpha, beta = _exponents(steep, lopsided)
    left, right = c - alpha * b, c + beta * b  # α·p and β·q, up to one factor
    with np.errstate(divide="ignore", invalid="ignore"):
        curved = np.where((left > 0) & (right > 0), np.log(left / right) / (alpha + beta), np.nan)
        return np.where(steep > 0, curved, np.where(c > 0, -b / c, np.nan))


def _exponents(steep: np.ndarray, lopsided: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return α and β of shapes."""
    return steep * (1 - lopsided), steep * (1 + lopsided)
