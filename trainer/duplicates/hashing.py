"""PDQ, a perceptual hash of 256 bits, in the eight orientations of a square.

Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019: the signs, about their median, of the 16 × 16
lowest frequencies of the picture at 64 × 64 pixels. It comes with a quality of 0 … 100, which is low where there is little to hash.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np

from scaling.extras import needed_for

__all__ = ["BITS", "LEAST_QUALITY", "LEAST_SIDE_PX", "hashes"]

BITS = 256
LEAST_SIDE_PX = 64
"""PDQ looks at 64 × 64 pixels: of fewer it sees what the enlargement made up."""
LEAST_QUALITY = 20
"""ASSUMPTION: of a lower quality, hashes of different pictures agree, since next to nothing is in them. PDQ's authors advise 50 for matches
by the hash alone; here the pixels decide afterwards."""
_WORKED_ON_PX = 128
"""Larger images are shrunk first, by a whole factor, to a shorter side of at least this: PDQ blurs to 64 px in any case."""


def hashes(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """Hash pixels uint8 [H, W, 1 or 3]. Returns the hashes [8, 32] uint8, in the order of `ORIENTATIONS`, and the quality 0 … 100.

    An image with a side below `LEAST_SIDE_PX` has zeros, and quality 0.
    """
    if min(pixels.shape[:2]) < LEAST_SIDE_PX:
        return np.zeros((8, BITS // 8), np.uint8), 0
    bits, quality = _pdqhash().compute_dihedral(_colour(_shrunk(pixels)))
    return np.packbits(np.stack(bits).astype(np.uint8), axis=1), int(quality)


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    """Shrink by the whole factor that leaves `_WORKED_ON_PX`: means of squares of pixels, of which no part of the middle is lost."""
    height, width = pixels.shape[:2]
    factor = min(height, width) // _WORKED_ON_PX
    if factor < 2:
        return pixels
    rows, columns = height // factor, width // factor
    top, left = (height - rows * factor) // 2, (width - columns * factor) // 2
    part = pixels[top : top + rows * factor, left : left + columns * factor]
    cv2 = _cv2()
    return np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)).reshape(rows, columns, pixels.shape[2])


def _colour(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)


@cache
def _pdqhash() -> ModuleType:
    with needed_for("perceptual hashes need"):
        import pdqhash
    return pdqhash


@cache
def _cv2() -> ModuleType:
    with needed_for("perceptual hashes need"):
        import cv2
    cv2.setNumThreads(0)
    return cv2
