"""How far two aligned grey pictures disagree once brightness, contrast and sharpness are fitted: the numbers that decide."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np

__all__ = ["NOISE", "Disagreement", "blurred", "disagreement"]

NOISE: Final = 2.0
"""Grey levels (of 255) of difference that say nothing: below a JPEG's rounding."""

_SHARPNESS_PX: Final = (0.7, 1.4)
_PULL: Final = 0.5
"""Grey levels squared a pixel that hold the three coefficients of sharpness together where the picture has no detail to tell them apart."""
_WHERE_PX: Final = 1.5
_SHARE_OF_CONTRAST: Final = 0.02
_ROUNDING: Final = 9.0


class Disagreement(NamedTuple):
    """Holds numbers from 0, none, upwards."""

    finest: float
    """1 − correlation of detail finer than a Gaussian of 1 px."""
    fine: float
    """1 − correlation of detail between Gaussians of 1 and 2 px."""
    coarse: float
    """1 − correlation of all that is coarser."""
    anywhere: float
    """The largest local ratio of difference to detail, each an energy under a Gaussian of 1.5 px."""


def blurred(values: np.ndarray, px: float) -> np.ndarray:
    """Smooth values [H, W] by a Gaussian of a standard deviation in pixels; the border is mirrored."""
    return cv2.GaussianBlur(values, (0, 0), px, borderType=cv2.BORDER_REFLECT)


def disagreement(one: np.ndarray, other: np.ndarray) -> Disagreement:
    """Compare two grey pictures [H, W] float32 of 0 … 255, of one size and aligned.

    The sharper of the two, x, is fitted to the other by least squares as a x + b G(x, 0.7 px) + c G(x, 1.4 px) + d. So a copy that was made
    brighter, or smoother by making it smaller, leaves little. Correlations are of what the fit gives with what is there, and `NOISE` squared
    is added to all three energies in them.
    """
    x, y = one - one.mean(), other - other.mean()
    if _fine_energy(y) * _energy(x) > _fine_energy(x) * _energy(y):
        x, y = y, x
    fitted = _fitted(x, y)
    finest, fine, coarse = (_one_less_correlation(*pair) for pair in zip(_bands(fitted), _bands(y), strict=True))
    detail = blurred((y - blurred(y, 2.0)) ** 2, _WHERE_PX)
    ratio = blurred((y - fitted) ** 2, _WHERE_PX) / (detail + _SHARE_OF_CONTRAST * _energy(y) + _ROUNDING)
    return Disagreement(finest, fine, coarse, float(ratio.max()))


def _fitted(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    parts = np.stack([x, *(blurred(x, px) for px in _SHARPNESS_PX)]).reshape(3, -1)
    gram, aims = parts @ parts.T, parts @ y.ravel()
    gain = aims[0] / max(float(gram[0, 0]), 1e-6)
    pull = _PULL * y.size
    weights = np.linalg.solve(gram + pull * np.eye(3, dtype=np.float32), aims + pull * gain / 3)
    return (weights @ parts).reshape(y.shape)


def _bands(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    once = blurred(values, 1.0)
    twice = blurred(once, 2.0)
    return values - once, once - twice, twice - twice.mean()


def _one_less_correlation(one: np.ndarray, other: np.ndarray) -> float:
    noise = NOISE**2
    both = float(np.vdot(one, other)) / one.size
    return 1.0 - (both + noise) / float(np.sqrt((_energy(one) + noise) * (_energy(other) + noise)))


def _fine_energy(values: np.ndarray) -> float:
    return _energy(values - blurred(values, 1.0))


def _energy(values: np.ndarray) -> float:
    return float(np.vdot(values, values)) / values.size
