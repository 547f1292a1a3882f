"""Which part of an image is used: chosen at random for training, in the centre for evaluation."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

__all__ = ["FULL_MARGIN_FROM_PX", "Box", "center_crop", "margin_px", "random_resized_crop", "whole"]

_ASPECT = (3 / 4, 4 / 3)
_TRIES = 10
_MARGIN_PX, FULL_MARGIN_FROM_PX = 32.0, 224


class Box(NamedTuple):
    """Marks a part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def whole(height: int, width: int) -> Box:
    """Return the box of a whole image."""
    return Box(0, 0, height, width)


def random_resized_crop(height: int, width: int, min_area: float, rng: np.random.Generator) -> Box:
    """Draw a box of a random share of the area, uniform in `min_area` … 1, and a random aspect ratio, log-uniform in 3/4 … 4/3.

    Ten boxes are drawn; if none fits, it is the largest centred one whose aspect ratio is within the bounds. Szegedy et al. 2014
    (arXiv 1409.4842); the rules are those of torchvision's `RandomResizedCrop`.
    """
    shares = rng.uniform(min_area, 1.0, _TRIES)
    aspects = np.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1]), _TRIES))
    offsets = rng.random(2)
    areas = shares * (height * width)
    widths, heights = np.rint(np.sqrt(areas * aspects)).astype(int), np.rint(np.sqrt(areas / aspects)).astype(int)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    if fits.any():
        first = int(fits.argmax())
        box_height, box_width = int(heights[first]), int(widths[first])
        top, left = offsets * (height - box_height + 1, width - box_width + 1)
        return Box(int(top), int(left), box_height, box_width)
    aspect = width / height
    box_width = width if aspect <= _ASPECT[1] else round(height * _ASPECT[1])
    box_height = height if aspect >= _ASPECT[0] else round(width / _ASPECT[0])
    return Box((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)


def margin_px(target: tuple[int, int]) -> float:
    """Return by how many pixels a held-out image's shorter side exceeds the target's before its centre is cut out.

    This is the default, unless a data set says otherwise: 32 px from 224 px up, as in the released NFNet evaluation (256 for 224, 288 for
    256), and the same proportion, a seventh, below.
    """
    return _MARGIN_PX * min(1.0, min(target) / FULL_MARGIN_FROM_PX)


def center_crop(height: int, width: int, target: tuple[int, int], margin: float | None = None) -> Box:
    """Return the centred box for evaluation at `target` (height, width).

    Resizing the box equals resizing the shorter side and cutting out the centre. The shorter side becomes the target's plus `margin`
    pixels; None is `margin_px` of the target. An image that is already of the target's size is used whole.
    """
    if (height, width) == target:
        return whole(height, width)
    beyond = margin_px(target) if margin is None else margin
    scale = min(height / (target[0] + beyond), width / (target[1] + beyond))
    box_height, box_width = max(1, round(target[0] * scale)), max(1, round(target[1] * scale))
    return Box((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)
