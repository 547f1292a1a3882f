"""How far two aligned grey pictures disagree once brightness, contrast and sharpness are fitted: the numbers that decide."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np

__all__ = ["NOISE", "Disagreement", "blurred", "disagreement", "disagreement_beside", "relative_sharpness", "textured"]

NOISE: Final = 2.0
"""Grey levels (of 255) of difference that say nothing: below a JPEG's rounding."""

_SHARPNESS_PX: Final = (0.7, 1.4)
_PULL: Final = 0.5
"""Grey levels squared a pixel that hold the coefficients of sharpness together where the picture has no detail to tell them apart."""
_LEAK: Final = 0.03
"""Share of the finest difference's energy that is forgiven in the fine one: a re-encoded image has noise in both. White noise would put .061
of it there; half of that keeps resized copies, whose difference is redder, apart from strangers."""
_WHERE_PX, _DETAIL_PX = 1.5, 2.0
_SHARE_OF_CONTRAST: Final = 0.02
_ROUNDING: Final = 9.0
_OVERLAY: Final = 10.0
_OVERLAY_STEPS: Final = 4


class Disagreement(NamedTuple):
    """Holds numbers from 0, none, upwards."""

    finest: float
    """1 − correlation of detail finer than a Gaussian of 1 px."""
    fine: float
    """Energy of the difference between Gaussians of 1 and 2 px, less what noise explains, as a share of the detail's energy there."""
    coarse: float
    """Energy of the difference of all that is coarser, as a share."""
    anywhere: float
    """The largest local ratio of difference to detail, each an energy under a Gaussian of 1.5 px."""


def blurred(values: np.ndarray, px: float) -> np.ndarray:
    """Smooth values [H, W] by a Gaussian of a standard deviation in pixels; the border is mirrored."""
    return cv2.GaussianBlur(values, (0, 0), px, borderType=cv2.BORDER_REFLECT)


def disagreement(one: np.ndarray, other: np.ndarray) -> Disagreement:
    """Compare two grey pictures [H, W] float32 of 0 … 255, of one size and aligned.

    The sharper of the two, x, is fitted to the other by least squares as a x + b G(x, 0.7 px) + c G(x, 1.4 px) + d. So a copy that was made
    brighter, or smoother by making it smaller, leaves little. `NOISE` squared is added to the energies in all ratios.
    """
    parts, y = _sharper_first(one, other)
    return _told(_fitted(parts, y, np.ones_like(y)), y)


def disagreement_beside(one: np.ndarray, other: np.ndarray) -> tuple[Disagreement, np.ndarray]:
    """Compare as `disagreement`, but leave out where the two differ most, such as text or a logo laid over one of them.

    Returns which pixels [H, W] were kept as well. What is left out is found by fitting again to what agrees within 10 grey levels, or three
    times the difference that 70 % of the pixels stay below.
    """
    parts, y = _sharper_first(one, other)
    kept = np.ones_like(y)
    fitted = _fitted(parts, y, kept)
    for _ in range(_OVERLAY_STEPS):
        size = blurred(np.abs(y - fitted), 1.0)
        kept = (size < max(_OVERLAY, 3.0 * float(np.quantile(size, 0.7)))).astype(np.float32)
        fitted = _fitted(parts, y, kept)
    return _told(fitted, np.where(kept > 0, y, fitted)), kept > 0


def relative_sharpness(one: np.ndarray, other: np.ndarray) -> float:
    """Return the softer picture's share of energy finer than 1 px, over that of the sharper one: 1 where both [H, W] are as sharp."""
    shares = [_energy(values - blurred(values, 1.0)) / max(_energy(values - values.mean()), 1e-6) for values in (one, other)]
    return min(shares) / max(*shares, 1e-6)


def textured(values: np.ndarray) -> float:
    """Return the share of the area of a grey picture [H, W] that has detail above rounding: near 1 for photographs, near 0 for clip art."""
    return float((_local_detail(values) > _ROUNDING).mean())


def _sharper_first(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sharper picture at three degrees of sharpness and 1 everywhere [4, H, W], and the other one, both centred."""
    x, y = one - one.mean(), other - other.mean()
    soft_x, soft_y = blurred(x, 1.0), blurred(y, 1.0)
    if _energy(y - soft_y) * _energy(x) > _energy(x - soft_x) * _energy(y):
        x, y = y, x
    return np.stack([x, *(blurred(x, px) for px in _SHARPNESS_PX), np.ones_like(x)]), y


def _fitted(parts: np.ndarray, y: np.ndarray, kept: np.ndarray) -> np.ndarray:
    rows = parts.reshape(len(parts), -1)
    weighted = rows * kept.ravel()
    gram, aims = weighted @ rows.T, weighted @ y.ravel()
    gain = float(aims[0]) / max(float(gram[0, 0]), 1e-6)
    pull = _PULL * y.size
    gram[np.diag_indices(4)] += (pull, pull, pull, 1e-3)
    aims[:3] += pull * gain / 3
    return (np.linalg.solve(gram, aims) @ rows).reshape(y.shape)


def _told(fitted: np.ndarray, y: np.ndarray) -> Disagreement:
    difference = y - fitted
    bands, apart = _bands(y), _bands(difference)
    energies = [_energy(band) for band in bands]
    noise = NOISE**2
    finest, fine, coarse = (_energy(band) for band in apart)
    ratio = blurred(difference * difference, _WHERE_PX) / (_local_detail(y) + _SHARE_OF_CONTRAST * _energy(y) + _ROUNDING)
    return Disagreement(
        _one_less_correlation(bands[0] - apart[0], bands[0]),
        max(0.0, fine - _LEAK * finest) / (energies[1] + noise),
        coarse / (energies[2] + noise),
        float(ratio.max()),
    )


def _bands(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    once = blurred(values, 1.0)
    twice = blurred(once, 2.0)
    return values - once, once - twice, twice - twice.mean()


def _local_detail(values: np.ndarray) -> np.ndarray:
    return blurred((values - blurred(values, _DETAIL_PX)) ** 2, _WHERE_PX)


def _one_less_correlation(one: np.ndarray, other: np.ndarray) -> float:
    noise = NOISE**2
    both = float(np.vdot(one, other)) / one.size
    return 1.0 - (both + noise) / float(np.sqrt((_energy(one) + noise) * (_energy(other) + noise)))


def _energy(values: np.ndarray) -> float:
    return float(np.vdot(values, values)) / values.size
