"""A perceptual hash of 256 bits in the eight orientations of a square: PDQ's, made steady where a picture has little to say.

PDQ (Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019) takes the 16 × 16 lowest frequencies of a
picture's cosine transform at 64 × 64 px, and of each a bit: whether it is above their median. `pdqhash` gives the coefficients. Three things
differ here from its own hashes, each measured on pictures that were made smaller, stored anew as JPEG or flipped (docs/duplicates.md):

- The picture comes as area means at 64 × 64 px. PDQ's own reduction depends on the picture's size, so a smaller copy has another hash.
- A fixed offset of `_OFFSET`, up or down, is added to each coefficient before its sign is taken. Half of the coefficients of a symmetric
  picture are 0, and their signs are noise; so they get the sign of the offset, the same one each time.
- The orientations are exact: turning a picture changes signs and exchanges rows and columns. PDQ's own are off by some 30 bits.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np

from scaling.extras import needed_for
from trainer.duplicates.orientation import FLIPPED_AND_QUARTERS

__all__ = ["BITS", "LEAST_DETAIL", "SIDE_PX", "hashes"]

BITS = 256
SIDE_PX = 64
"""Smaller images have no hash: it would be of what an enlargement makes up."""
LEAST_DETAIL = 64
"""Coefficients that say something, below which hashes are not compared: those of different pictures would agree in the fixed offset.
A tenth of clip art and icons is so; features propose their copies."""
_OFFSET = 3.0
"""Grey levels (of 255) of an orthonormal coefficient: JPEG's rounding at quality 50 is below it nearly always."""
_SAYS_SOMETHING = 4.0
_FREQUENCIES = 16


def hashes(luma: np.ndarray) -> tuple[np.ndarray, int]:
    """Hash a picture of luma uint8 [64, 64], its area means. Returns [8, 32] uint8, in the order of `ORIENTATIONS`, and its detail.

    The detail is the number of coefficients, at most 255, above 4 grey levels. A picture of another size has zeros, and no detail.
    """
    if luma.shape != (SIDE_PX, SIDE_PX):
        return np.zeros((8, BITS // 8), np.uint8), 0
    found, _ = _pdqhash().compute_float(np.repeat(luma[..., None], 3, axis=2))
    coefficients = found[::-1].reshape(_FREQUENCIES, _FREQUENCIES).astype(np.float32)
    detail = int((np.abs(coefficients) > _SAYS_SOMETHING).sum())
    places, signs = _turns()
    bits = coefficients.ravel()[places] * signs + _offsets() > 0
    return np.packbits(bits, axis=1), min(detail, 255)


@cache
def _turns() -> tuple[np.ndarray, np.ndarray]:
    """Return for each orientation, [8, 256]: which coefficient comes where, and with which sign.

    Swapping left and right changes the sign of the columns of odd frequency. A quarter against the clock exchanges rows and columns, and
    then swaps top and bottom, which changes the sign of the rows of odd frequency.
    """
    odd = np.where(np.arange(1, _FREQUENCIES + 1) % 2, -1, 1)
    places, signs = [], []
    for is_flipped, quarters in FLIPPED_AND_QUARTERS:
        place, sign = np.arange(BITS).reshape(_FREQUENCIES, -1), np.ones((_FREQUENCIES, _FREQUENCIES), int)
        if is_flipped:
            sign = sign * odd
        for _ in range(quarters):
            place, sign = place.T, sign.T * odd[:, None]
        places.append(place.ravel())
        signs.append(sign.ravel())
    return np.stack(places), np.stack(signs).astype(np.float32)


@cache
def _offsets() -> np.ndarray:
    """Return what is added to the coefficients, [256] float32, the same in every orientation."""
    return np.random.default_rng(BITS).choice(np.array([-_OFFSET, _OFFSET], np.float32), BITS)


@cache
def _pdqhash() -> ModuleType:
    with needed_for("perceptual hashes need"):
        import pdqhash
    return pdqhash
