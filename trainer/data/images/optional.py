"""Loads the parts that use OpenCV, Pillow and simplejpeg, each when an image asks for it. Data sets of plain pixels, as digits, do without.

All of them raise `MissingExtra` where the extra `images` is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from scaling.extras import needed_for

if TYPE_CHECKING:
    from trainer.data.images.decode import EncodedPicture

__all__ = ["encoded_picture", "mirrored", "randaugmented", "resized"]

Augmented = Callable[[np.ndarray, int, float, np.random.Generator], np.ndarray]


@cache
def encoded_picture() -> type[EncodedPicture]:
    """Return the class `decode.EncodedPicture`."""
    with needed_for("image files need"):
        from trainer.data.images.decode import EncodedPicture

    return EncodedPicture


@cache
def resized() -> Callable[[np.ndarray, tuple[int, int]], np.ndarray]:
    """Return the function `resize.resized`."""
    with needed_for("images that are resized or cropped need"):
        from trainer.data.images.resize import resized
    return resized


@cache
def mirrored() -> Callable[[np.ndarray], np.ndarray]:
    """Return the function `resize.mirrored`."""
    with needed_for("images that are flipped need"):
        from trainer.data.images.resize import mirrored
    return mirrored


@cache
def randaugmented() -> Augmented:
    """Return the function `randaugment.randaugment`."""
    with needed_for("RandAugment's operations need"):
        from trainer.data.images.randaugment import randaugment
    return randaugment
