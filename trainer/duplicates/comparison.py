"""Decides whether two pictures are copies of each other, by their aligned pixels.

Hashes and features find candidates; what is here has the last word. Two pictures are copies if one is the other made smaller or larger,
stored anew, turned by right angles, flipped, or changed in brightness and contrast. Two pairs of trousers with the same outline are none,
and neither is an icon in another colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np

from trainer.duplicates.agreement import NOISE, Disagreement, disagreement
from trainer.duplicates.grey import grey
from trainer.duplicates.orientation import ORIENTATIONS, oriented

__all__ = ["Comparison", "Prepared", "compare", "prepared"]

_SIDE_PX: Final = 64
_COARSE: Final = 8
_LEAST_COARSE: Final = 0.9
_NEXT_BEST: Final = 0.03
_MOST: Final = Disagreement(finest=0.15, fine=0.0045, coarse=0.002, anywhere=1.2)
_MOST_COLOUR: Final = 10.0

_TURNS = np.stack([oriented(np.arange(_COARSE**2).reshape(_COARSE, _COARSE), k).ravel() for k in range(len(ORIENTATIONS))])


@dataclass(frozen=True, eq=False)
class Prepared:
    """Holds of a picture what comparisons need: at most 6 kB."""

    height: int
    width: int
    luma: np.ndarray
    """[H, W] uint8, sides of at most 64 px, whatever the picture's aspect ratio."""
    colour: np.ndarray | None
    """[8, 8, 2] float16: red and blue less luma; None for a grey picture."""

    @cached_property
    def coarse(self) -> np.ndarray:
        """Return luma at 8 × 8 px, [64] float32, centred and of unit length; zeros for a flat picture."""
        luma = self.luma.astype(np.float32)
        small = cv2.resize(luma, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA).ravel()
        small -= small.mean()
        length = float(np.linalg.norm(small))
        return np.zeros_like(small) if float(luma.std()) < NOISE or length == 0 else small / length


@dataclass(frozen=True)
class Comparison:
    """Says whether two pictures are copies."""

    distance: float
    """0 for the same pixels; a copy up to 1; infinite where they do not even agree coarsely."""
    orientation: str
    """How the first was turned to fit the second: of `ORIENTATIONS`."""
    is_duplicate: bool


def prepared(pixels: np.ndarray) -> Prepared:
    """Reduce pixels [H, W, 1 or 3] uint8 to what `compare` reads."""
    height, width = pixels.shape[:2]
    small = _at_most(pixels, _SIDE_PX, _SIDE_PX).reshape(min(height, _SIDE_PX), min(width, _SIDE_PX), -1)
    luma, colour = grey(small), None
    if pixels.shape[2] == 3:
        smallest = cv2.resize(small, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA).astype(np.float32)
        if np.ptp(smallest, axis=-1).max() >= 1:
            colour = (smallest[..., ::2] - grey(smallest)[..., None]).astype(np.float16)
    return Prepared(height, width, np.rint(luma).astype(np.uint8), colour)


def compare(a: Prepared, b: Prepared) -> Comparison:
    """Say whether two pictures are copies, and how the first is turned to fit the second.

    Flat pictures have nothing to be recognised by: they are copies only if the prepared pixels are the same.
    """
    same_size = (a.height, a.width) == (b.height, b.width)
    if same_size and np.array_equal(a.luma, b.luma) and _colour_distance(a, b, 0, 1.0) == 0:
        return Comparison(0.0, ORIENTATIONS[0], is_duplicate=True)
    likeness = a.coarse[_TURNS] @ b.coarse
    best, found = int(likeness.argmax()), np.inf
    for k in np.flatnonzero(likeness >= max(_LEAST_COARSE, float(likeness.max()) - _NEXT_BEST)):
        distance = _distance(a, b, int(k))
        if distance < found:
            best, found = int(k), distance
    return Comparison(found, ORIENTATIONS[best], is_duplicate=found <= 1)


def _distance(a: Prepared, b: Prepared, turn: int) -> float:
    one, other = np.ascontiguousarray(oriented(a.luma, turn)).astype(np.float32), b.luma.astype(np.float32)
    height, width = np.minimum(one.shape, other.shape)
    one, other = _at_most(one, height, width), _at_most(other, height, width)
    found = disagreement(one, other)
    distance = max(value / most for value, most in zip(found, _MOST, strict=True))
    if distance > 1:
        return max(distance, 0.0)
    return max(distance, _colour_distance(a, b, turn, float(other.std() / one.std())) / _MOST_COLOUR, 0.0)


def _colour_distance(a: Prepared, b: Prepared, turn: int, gain: float) -> float:
    """Return the mean absolute difference of colour in grey levels; 0 where one of the two is grey."""
    if a.colour is None or b.colour is None:
        return 0.0
    return float(np.abs(gain * oriented(a.colour, turn).astype(np.float32) - b.colour).mean())


def _at_most(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrink values [H, W, …] by area means so that neither side is longer than this."""
    size = (min(values.shape[1], int(width)), min(values.shape[0], int(height)))
    return values if size == values.shape[1::-1] else cv2.resize(values, size, interpolation=cv2.INTER_AREA)
