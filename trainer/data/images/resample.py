"""A part of an image at the size of the network's input; see `resize`."""

from __future__ import annotations

import numpy as np

from trainer.data.images.crop import Box
from trainer.data.images.optional import resized
from trainer.data.images.picture import Picture

__all__ = ["resample"]


def resample(image: Picture, box: Box, target: tuple[int, int]) -> np.ndarray:
    """Return the box of an image as pixels [*target, C], of the image's type.

    Raises `BadExample` when it cannot be decoded, `MissingExtra`.
    """
    wanted = max(target[0] / box.height, target[1] / box.width)
    pixels = image.pixels(min_scale=min(wanted, 1.0))
    if pixels.shape[:2] != (image.height, image.width):
        box = _scaled(box, pixels.shape[0] / image.height, pixels.shape[1] / image.width)
    part = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
    return part if part.shape[:2] == target else resized()(part, target)


def _scaled(box: Box, vertical: float, horizontal: float) -> Box:
    top, left = round(box.top * vertical), round(box.left * horizontal)
    return Box(top, left, max(1, round(box.height * vertical)), max(1, round(box.width * horizontal)))
