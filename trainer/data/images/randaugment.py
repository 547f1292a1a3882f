"""RandAugment: a few random operations in a row, all of one magnitude.

Cubuk et al. 2019 (arXiv 1909.13719). Operations, their ranges and the scale of magnitudes (0 … 30) are those that torchvision documents
for its `RandAugment`; magnitudes between its 31 steps are allowed. Space that a shear, shift or rotation opens is black.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

__all__ = ["OPERATIONS", "randaugment"]

LARGEST_MAGNITUDE = 30.0

Operation = Callable[[Image.Image, float], Image.Image]
"""(image, strength): strength is magnitude / 30, negative for the opposite direction where an operation has two."""


def randaugment(pixels: np.ndarray, layers: int, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """Apply `layers` operations in a row, each drawn anew from `OPERATIONS`.

    Args:
        pixels: [H, W, C] uint8, C of 1 or 3.
        magnitude: 0 … 30.
    """
    strength = magnitude / LARGEST_MAGNITUDE
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    names = tuple(OPERATIONS)
    for choice, opposite in zip(rng.integers(len(names), size=layers), rng.random(layers) < 0.5, strict=True):
        operation, has_opposite = OPERATIONS[names[choice]]
        image = operation(image, -strength if opposite and has_opposite else strength)
    return np.asarray(image).reshape(pixels.shape)


def _shear(image: Image.Image, strength: float, *, horizontal: bool) -> Image.Image:
    """Shear by up to atan 0.3, about the upper left corner for x and for y, as torchvision does."""
    factor = 0.3 * strength
    matrix = (1, -factor, 0, 0, 1, 0) if horizontal else (1, 0, 0, -factor, 1, 0)
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def _translate(image: Image.Image, strength: float, *, horizontal: bool) -> Image.Image:
    """Shift by up to 150/331 of the side."""
    offset = int(strength * 150 / 331 * (image.width if horizontal else image.height))
    matrix = (1, 0, -offset, 0, 1, 0) if horizontal else (1, 0, 0, 0, 1, -offset)
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def _rotate(image: Image.Image, strength: float) -> Image.Image:
    """Rotate by up to 30 degrees."""
    return image.rotate(30 * strength)


def _enhance(image: Image.Image, strength: float, *, kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Image.Image:
    """Change brightness, colour, contrast or sharpness to 0.1 … 1.9 times what it is."""
    return kind(image).enhance(1 + 0.9 * strength)


def _posterize(image: Image.Image, strength: float) -> Image.Image:
    """Keep 8 to 4 bits of each value."""
    return ImageOps.posterize(image, 8 - round(4 * strength))


def _solarize(image: Image.Image, strength: float) -> Image.Image:
    """Invert values from a threshold up that falls from 255 to 0."""
    return ImageOps.solarize(image, round(255 * (1 - strength)))


OPERATIONS: dict[str, tuple[Operation, bool]] = {
    "identity": (lambda image, strength: image, False),
    "shear x": (partial(_shear, horizontal=True), True),
    "shear y": (partial(_shear, horizontal=False), True),
    "translate x": (partial(_translate, horizontal=True), True),
    "translate y": (partial(_translate, horizontal=False), True),
    "rotate": (_rotate, True),
    "brightness": (partial(_enhance, kind=ImageEnhance.Brightness), True),
    "color": (partial(_enhance, kind=ImageEnhance.Color), True),
    "contrast": (partial(_enhance, kind=ImageEnhance.Contrast), True),
    "sharpness": (partial(_enhance, kind=ImageEnhance.Sharpness), True),
    "posterize": (_posterize, False),
    "solarize": (_solarize, False),
    "autocontrast": (lambda image, strength: ImageOps.autocontrast(image), False),
    "equalize": (lambda image, strength: ImageOps.equalize(image), False),
}
"""Name → operation, and whether it has an opposite direction."""
