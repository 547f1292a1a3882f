"""Makes many small images of few: each copy is turned, scaled, stretched, moved, sheared and made noisy a little, once for all runs.

A few hundred images are seen too often by any run that is long enough to show a law. Distorted copies (P. Simard, D. Steinkraus, J. Platt,
"Best practices for convolutional neural networks applied to visual document analysis", ICDAR 2003) are new images of the same kind, so that
an epoch over all of them repeats none. They are no new handwriting: what a network learns from them is bounded by the originals.
"""

from __future__ import annotations

import numpy as np

__all__ = ["VERSION", "distorted"]

VERSION = 1
"""Part of the fingerprint: counted up whenever other copies come out."""

_TURN = np.radians(10.0)
_SCALE, _ASPECT, _SHEAR = 0.1, 0.05, 0.1
_MOVE = 0.06
"""Largest shift, as a share of the side."""
_NOISE = 0.03
"""Standard deviation, of full scale."""


def distorted(images: np.ndarray, *, copies: int, key: int) -> np.ndarray:
    """Make `copies` distorted versions of each image, all first copies before all second ones.

    Args:
        images: [n, side, side] with values 0 … 1; zero is background.
        copies: of each.
        key: another key gives other copies.

    Returns:
        [copies · n, side, side] uint8, 255 at full scale. The same on every machine whose floating-point library rounds alike.
    """
    count, side = len(images), images.shape[1]
    random = np.random.Generator(np.random.Philox(key=key))
    out = np.empty((copies, count, side, side), np.uint8)
    for copy in out:
        turn, scale, aspect, shear, down, right = random.uniform(-1, 1, (6, count, 1, 1))
        size, stretch = np.exp(_SCALE * scale), np.exp(_ASPECT * aspect)
        cos, sin = np.cos(_TURN * turn), np.sin(_TURN * turn)
        # Where each pixel of the copy comes from, measured from the middle of the image.
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        y, x = y - _MOVE * side * down, x - _MOVE * side * right
        x = x - _SHEAR * shear * y
        rows = (cos * y - sin * x) / (size * stretch) + (side - 1) / 2
        columns = (sin * y + cos * x) / size * stretch + (side - 1) / 2
        noise = _NOISE * random.standard_normal((count, side, side))
        copy[:] = np.rint(255 * np.clip(_between_pixels(images, rows, columns) + noise, 0, 1))
    return out.reshape(-1, side, side)


def _between_pixels(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Interpolate bilinearly at the places (rows, columns), each [n, side, side]; zero outside of the image."""
    side = images.shape[1]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    rows, columns = np.clip(rows + 1, 0, side + 1), np.clip(columns + 1, 0, side + 1)
    top, left = np.minimum(rows.astype(int), side), np.minimum(columns.astype(int), side)
    down, right = rows - top, columns - left
    image = np.arange(len(images))[:, None, None]
    upper = padded[image, top, left] * (1 - right) + padded[image, top, left + 1] * right
    lower = padded[image, top + 1, left] * (1 - right) + padded[image, top + 1, left + 1] * right
    return upper * (1 - down) + lower * down
