"""Decides whether two pictures are copies of each other, by their aligned pixels.

Hashes and features find candidates; what is here has the last word. Two pictures are copies if one is the other made smaller or larger,
stored anew, turned by right angles, flipped, made grey, or changed in brightness and contrast. From 48 px up, and of pictures that are
textured as photographs are, also if it was cropped or something was laid over it. Two pairs of trousers with the same outline are no copies,
and neither is an icon in another colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np

from trainer.duplicates.agreement import NOISE, Disagreement, disagreement, disagreement_beside, relative_sharpness, textured
from trainer.duplicates.alignment import IDENTITY, Frame, aligned, overlap
from trainer.duplicates.grey import grey
from trainer.duplicates.orientation import ORIENTATIONS, oriented

__all__ = ["Comparison", "Prepared", "compare", "prepared"]

_SIDE_PX: Final = 64
_COARSE: Final = 8
_SMALL_PX: Final = 48
"""Pictures with a shorter side below this have too few pixels to tell a crop or an overlay from another picture of the same kind.

A shirt with another print is, at 28 px, a shirt with something laid over it.
"""
_TINY_PX: Final = 16
"""Pictures with a shorter side below this are copies only if turned pixels are the same: two hands write the same digit at 8 × 8 px.

Of 1,797 such digits, by everybody's own hand, 11 pairs lay within the bounds of small pictures.
"""
_MOST_SMALL: Final = Disagreement(finest=0.2, fine=0.0045, coarse=0.006, anywhere=1.05)
"""Bounds at small sizes, by Fashion-MNIST: beyond a fine share of .005, pairs are different trousers; copies by a JPEG of quality 30 reach it."""
_MOST_SOFTENED: Final = Disagreement(finest=0.2, fine=0.011, coarse=0.006, anywhere=1.05)
_SOFTENED: Final = 0.55
"""Relative sharpness below which a small picture was made smaller and larger again, which moves its edges by a share of a pixel.

Of 9,906 pairs of Fashion-MNIST that are most alike and not copies, 2 differ so in sharpness; those had a fine share of more than .011.
"""
_MOST: Final = Disagreement(finest=0.16, fine=0.017, coarse=0.01, anywhere=1.1)
"""Bounds from 48 px up: of resized and re-encoded copies .98 stay below each. At a fine share of .018, two chessboards are copies."""
_MOST_CROPPED: Final = Disagreement(finest=0.3, fine=0.025, coarse=0.01, anywhere=1.6)
"""Bounds of cropped pictures, whose pixels lie between those of the whole one, so that both are resampled once more."""
_MOST_COLOUR: Final = 0.05
"""Share of the colour's energy that differs. Of re-encoded copies .99 stay below .035; an icon in another colour has more than .08."""
_LEAST_LIKENESS, _LEAST_LIKENESS_WHOLE = 0.5, 0.97
"""Correlation at 8 × 8 px below which nothing is tried, and below which the picture as a whole is not compared: .98 of copies reach .98."""
_ABOUT_AS_LIKELY: Final = 0.03
_MOST_CONTRAST: Final = 2.5
"""Ratio of contrasts beyond which nothing is tried: a wall in a gradient of light agrees with a faint gradient."""
_MOST_OVERLAID, _LEAST_TEXTURED_OVERLAID = 0.15, 0.97
"""Shares of the area that an overlay may cover, and that has to be textured in both pictures. Among 571 pairs of real pictures that agree but
for a part, those above .97 were variants of one texture; below .9 most were playing cards, clocks and signs, which share a frame."""
_LEAST_SHARED, _LEAST_TEXTURED_CROPPED = 0.75, 0.6
"""Shares of the area that both have to show, and that has to be textured: an Ü without its dots is a U."""
_COLOUR_SIDE: Final = 16
_COLOUR_NOISE: Final = 4.0

_NOT_AT_ALL: Final = (np.inf, IDENTITY)
_TURNS: Final = np.stack([oriented(np.arange(_COARSE**2).reshape(_COARSE, _COARSE), k).ravel() for k in range(len(ORIENTATIONS))])


@dataclass(frozen=True, eq=False)
class Prepared:
    """Holds of a picture what comparisons need: at most 6 kB."""

    height: int
    width: int
    luma: np.ndarray
    """[H, W] uint8, both sides at most 64 px, whatever the picture's aspect ratio."""
    colour: np.ndarray | None
    """[16, 16, 2] float16: red and blue less luma; None for a grey picture."""

    @cached_property
    def contrast(self) -> float:
        """Return the standard deviation of luma, in grey levels."""
        return float(self.luma.std())

    @cached_property
    def coarse(self) -> np.ndarray:
        """Return luma at 8 × 8 px, [64] float32, centred and of unit length; zeros for a flat picture."""
        luma = self.luma.astype(np.float32)
        small = cv2.resize(luma, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA).ravel()
        small -= small.mean()
        length = float(np.linalg.norm(small))
        return np.zeros_like(small) if self.contrast < NOISE or length == 0 else small / length


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
        smallest = cv2.resize(small, (_COLOUR_SIDE, _COLOUR_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        if np.ptp(smallest, axis=-1).max() >= 1:
            colour = (smallest[..., ::2] - grey(smallest)[..., None]).astype(np.float16)
    return Prepared(height, width, np.rint(luma).astype(np.uint8), colour)


def compare(a: Prepared, b: Prepared) -> Comparison:
    """Say whether two pictures are copies, and how the first is turned to fit the second.

    Flat pictures have nothing to be recognised by: they are copies only if the prepared pixels and the sizes are the same.
    """
    if _is_same(a, b):
        return Comparison(0.0, ORIENTATIONS[0], is_duplicate=True)
    if min(*a.luma.shape, *b.luma.shape) < _TINY_PX:
        return _of_tiny(a, b)
    likeness = a.coarse[_TURNS] @ b.coarse
    best, found = int(likeness.argmax()), np.inf
    if likeness[best] < _LEAST_LIKENESS or not 1 / _MOST_CONTRAST <= a.contrast / b.contrast <= _MOST_CONTRAST:
        return Comparison(found, ORIENTATIONS[best], is_duplicate=False)
    turns = [int(k) for k in np.flatnonzero(likeness >= likeness[best] - _ABOUT_AS_LIKELY)]
    for way in (_as_a_whole, _under_an_overlay, _cropped):
        for turn in turns:
            distance, frame = way(_turned(a.luma, turn), b.luma.astype(np.float32), float(likeness[turn]))
            if distance <= 1:
                distance = max(distance, _colour_distance(a, b, turn, frame) / _MOST_COLOUR)
            if distance < found:
                best, found = turn, distance
        if found <= 1:
            break
    return Comparison(float(found), ORIENTATIONS[best], is_duplicate=bool(found <= 1))


def _of_tiny(a: Prepared, b: Prepared) -> Comparison:
    for turn, name in enumerate(ORIENTATIONS):
        if np.array_equal(oriented(a.luma, turn), b.luma) and (a.height, a.width) in ((b.height, b.width), (b.width, b.height)):
            distance = _colour_distance(a, b, turn, IDENTITY) / _MOST_COLOUR
            if distance <= 1 and np.ptp(a.luma) > 0:
                return Comparison(distance, name, is_duplicate=True)
    return Comparison(np.inf, ORIENTATIONS[0], is_duplicate=False)


def _as_a_whole(one: np.ndarray, other: np.ndarray, likeness: float) -> tuple[float, Frame]:
    if likeness < _LEAST_LIKENESS_WHOLE:
        return _NOT_AT_ALL
    one, other = _of_one_size(one, other)
    found = disagreement(one, other)
    if min(one.shape) >= _SMALL_PX:
        return _distance(found, _MOST), IDENTITY
    is_softened = found.fine <= _MOST_SOFTENED.fine and relative_sharpness(one, other) < _SOFTENED
    return _distance(found, _MOST_SOFTENED if is_softened else _MOST_SMALL), IDENTITY


def _under_an_overlay(one: np.ndarray, other: np.ndarray, likeness: float) -> tuple[float, Frame]:
    one, other = _of_one_size(one, other)
    if min(one.shape) < _SMALL_PX or min(textured(one), textured(other)) < _LEAST_TEXTURED_OVERLAID:
        return _NOT_AT_ALL
    found, kept = disagreement_beside(one, other)
    return (_distance(found, _MOST), IDENTITY) if 1 - kept.mean() <= _MOST_OVERLAID else _NOT_AT_ALL


def _cropped(one: np.ndarray, other: np.ndarray, likeness: float) -> tuple[float, Frame]:
    if min(*one.shape, *other.shape) < _SMALL_PX or min(textured(one), textured(other)) < _LEAST_TEXTURED_CROPPED:
        return _NOT_AT_ALL
    frame = aligned(one, other)
    if frame is None:
        return _NOT_AT_ALL
    one, other, share = overlap(one, other, frame)
    return (_distance(disagreement(one, other), _MOST_CROPPED), frame) if share >= _LEAST_SHARED else _NOT_AT_ALL


def _distance(found: Disagreement, most: Disagreement) -> float:
    return max(0.0, *(value / bound for value, bound in zip(found, most, strict=True)))


def _is_same(a: Prepared, b: Prepared) -> bool:
    if (a.height, a.width) != (b.height, b.width) or not np.array_equal(a.luma, b.luma):
        return False
    if a.colour is None or b.colour is None:
        return a.colour is b.colour
    return np.array_equal(a.colour, b.colour)


def _colour_distance(a: Prepared, b: Prepared, turn: int, frame: Frame) -> float:
    """Return the energy of the difference of colour, as a share; 0 where one of the two is grey.

    The stronger colours are weakened to fit the others, by half at most: a change of contrast changes them as well.
    """
    if a.colour is None or b.colour is None:
        return 0.0
    pairs = (
        overlap(_turned(a.colour[..., k], turn), b.colour[..., k].astype(np.float32), frame)[:2] for k in range(a.colour.shape[2])
    )
    x, y = (
        np.stack([cv2.resize(each, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) for each in side])
        for side in zip(*pairs, strict=True)
    )
    if np.vdot(x, x) < np.vdot(y, y):
        x, y = y, x
    gain = np.clip(np.vdot(x, y) / max(float(np.vdot(x, x)), 1e-6), 0.5, 1)
    return float(np.square(gain * x - y).mean() / (np.square(y).mean() + _COLOUR_NOISE**2))


def _turned(values: np.ndarray, turn: int) -> np.ndarray:
    return np.ascontiguousarray(oriented(values, turn)).astype(np.float32)


def _of_one_size(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = min(one.shape[0], other.shape[0]), min(one.shape[1], other.shape[1])
    return _at_most(one, height, width), _at_most(other, height, width)


def _at_most(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrink values [H, W, …] by area means so that neither side is longer than this."""
    size = (min(values.shape[1], int(width)), min(values.shape[0], int(height)))
    return values if size == values.shape[1::-1] else cv2.resize(values, size, interpolation=cv2.INTER_AREA)
