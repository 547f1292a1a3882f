"""Features that bring the near-copies of an image close to it: its shape with local contrast made equal.

Perceptual hashes are blind below 64 px: they keep 256 bits of the coarsest structure, which two shirts share. The features here are the
image itself, at 16 × 16 px, less its local mean and over its local spread. They are fixed, so no network has to be trained. On
Fashion-MNIST they find more copies than thumbnails of equal size, and than random convolutions with twice the numbers
(docs/duplicates.md): an overlay or a change of brightness alters the features where it is, and no others.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from trainer.duplicates.grey import grey

__all__ = ["LEAST_SIMILARITY", "NEIGHBOURS", "features"]

NEIGHBOURS: Final = 6
"""Nearest neighbours that are candidates, for each of 8 orientations.

Of copies planted among the 60,000 images of Fashion-MNIST, the original was among the 4 nearest for .997 of resized and .98 of overlaid ones,
and for .998 of re-encoded and brightened ones. Among 19,300 pictures from 64 px up, the 4 nearest had it for .97 of re-encoded and the 8
nearest for .995: those pictures have many real copies, which come first.
"""
LEAST_SIMILARITY: Final = 0.65
"""Cosine below which a neighbour is no candidate. Of copies in Fashion-MNIST, .99 of resized ones reach .93, of brightened .95, of overlaid .70;
of pictures, .99 of resized and re-encoded ones reach .97, and half of the cropped ones .8."""

_SIDE_PX: Final = 16
_LOCAL_PX: Final = 2.0
"""Standard deviation of the window of local means and spreads. With 4 px, .967 of the overlaid copies were among the 4 nearest."""
_SHARE_OF_SPREAD: Final = 0.3
"""Share of the whole image's spread added to the local one, so that flat parts stay small."""
_LEAST_SPREAD: Final = 1e-3
_FLAT: Final = 0.3
"""Standard deviation in grey levels below which there is nothing but rounding."""


def features(pixels: np.ndarray) -> np.ndarray:
    """Return features [256] float32 of unit length (cosine similarity) of pixels [H, W, C] uint8; zeros for a flat image.

    With t the grey image at 16 × 16 px, m and s² its mean and variance under a Gaussian window, and S the standard deviation of t − m as
    a whole: (t − m) / (s + 0.3 S), centred. Brightness and contrast drop out.
    """
    small = cv2.resize(grey(pixels), (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    if small.std() < _FLAT:
        return np.zeros(small.size, np.float32)
    detail = small - _local_mean(small)
    spread = np.sqrt(_local_mean(detail * detail))
    values = detail / (spread + _SHARE_OF_SPREAD * detail.std() + _LEAST_SPREAD)
    values -= values.mean()
    unit: np.ndarray = values.ravel() / max(float(np.linalg.norm(values)), _LEAST_SPREAD)
    return unit


def _local_mean(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), _LOCAL_PX, borderType=cv2.BORDER_REFLECT)
