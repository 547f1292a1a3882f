"""Finds which part of a picture another one shows: copies that were cropped have another frame.

The frame of one is moved and scaled along each axis until it fits the other: Gauss–Newton on the squared difference of grey levels, with
brightness and contrast fitted in the same step (Baker & Matthews 2004, "Lucas–Kanade 20 years on"), on 16 × 16 px and then on 32 × 32.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np

__all__ = ["IDENTITY", "Frame", "aligned", "overlap"]

_LEVELS: Final = ((16, 10), (32, 6))
"""Side in pixels, and steps at most. At 16 px, a crop of a fifth moves the picture by 3 px at most, which the first step can see."""
_STILL: Final = 2e-4
_LEAST_SCALE, _MOST_SCALE = 0.7, 1.4
_SMOOTH_PX: Final = 0.8
_MOST_UNEXPLAINED: Final = 0.25
"""Share of the differences in grey that a fit may leave, at either level: of cropped copies that are found, .95 leave .17 at 16 px."""
_LARGEST_STEP: Final = 0.1
_LEAST_GAIN: Final = 0.1


class Frame(NamedTuple):
    """Maps places of one picture to places of another, both 0 … 1 along each side: x' = x scale_x + left, y' = y scale_y + top."""

    scale_x: float
    left: float
    scale_y: float
    top: float


IDENTITY: Final = Frame(1.0, 0.0, 1.0, 0.0)


def aligned(one: np.ndarray, other: np.ndarray) -> Frame | None:
    """Find where each place of `other` [h, w] lies in `one` [H, W], both float32; None where nothing fits.

    It starts from the same frame. A scale outside 0.7 … 1.4 is none of a copy's.
    """
    frame = np.array(IDENTITY)
    for side, steps in _LEVELS:
        source, target = _square(one, side), _square(other, side)
        places = (np.arange(side, dtype=np.float32) + 0.5) / side
        for _ in range(steps):
            found = _step(source, target, places, frame)
            if found is None:
                return None
            step, unexplained = found
            frame = frame + step
            if not (_LEAST_SCALE < frame[0] < _MOST_SCALE and _LEAST_SCALE < frame[2] < _MOST_SCALE):
                return None
            if np.abs(step).max() < _STILL:
                break
        if unexplained > _MOST_UNEXPLAINED:
            return None
    return Frame(*map(float, frame))


def overlap(one: np.ndarray, other: np.ndarray, frame: Frame) -> tuple[np.ndarray, np.ndarray, float]:
    """Cut out what both show, at the pixels of the coarser one. Returns both, and the smaller share of its picture that either shows."""
    if frame == IDENTITY and one.shape == other.shape:
        return one, other, 1.0
    (x0, x1), (y0, y1) = _shared(frame.scale_x, frame.left), _shared(frame.scale_y, frame.top)
    share = (x1 - x0) * (y1 - y0) * min(1.0, frame.scale_x * frame.scale_y)
    if x1 <= x0 or y1 <= y0:
        return one, other, 0.0
    theirs = (x0, x1, y0, y1)
    ours = (
        x0 * frame.scale_x + frame.left,
        x1 * frame.scale_x + frame.left,
        y0 * frame.scale_y + frame.top,
        y1 * frame.scale_y + frame.top,
    )
    width = max(8, round(min((x1 - x0) * other.shape[1], (ours[1] - ours[0]) * one.shape[1])))
    height = max(8, round(min((y1 - y0) * other.shape[0], (ours[3] - ours[2]) * one.shape[0])))
    return _cut(one, ours, height, width), _cut(other, theirs, height, width), share


def _square(values: np.ndarray, side: int) -> np.ndarray:
    small = cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), _SMOOTH_PX, borderType=cv2.BORDER_REPLICATE)


def _step(source: np.ndarray, target: np.ndarray, places: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, float] | None:
    side = len(places)
    x, y = places * frame[0] + frame[1], places * frame[2] + frame[3]
    seen_x, seen_y = (x >= 0) & (x <= 1), (y >= 0) & (y <= 1)
    if seen_x.sum() < side // 2 or seen_y.sum() < side // 2:
        return None
    moved = np.array([[frame[0], 0, frame[1] * side + 0.5 * (frame[0] - 1)], [0, frame[2], frame[3] * side + 0.5 * (frame[2] - 1)]])
    warped = cv2.warpAffine(
        source, moved, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    slope_x = cv2.Sobel(warped, cv2.CV_32F, 1, 0, ksize=1) * np.float32(0.5 * side / frame[0])
    slope_y = cv2.Sobel(warped, cv2.CV_32F, 0, 1, ksize=1) * np.float32(0.5 * side / frame[2])
    columns = np.stack([slope_x * places, slope_x, slope_y * places[:, None], slope_y, warped, np.ones_like(warped)])
    part = slice(*_ends(seen_y)), slice(*_ends(seen_x))
    rows, aim = columns[:, *part].reshape(6, -1), target[part].ravel()
    gram = rows @ rows.T
    found = np.linalg.solve(gram + np.diag(gram.diagonal() * 1e-4 + 1e-6), rows @ aim)
    gain = float(found[4])  # the slope of gain × source is gain times that of the source
    if gain <= _LEAST_GAIN:
        return None
    centred = aim - aim.mean()
    left = aim - found @ rows
    return np.clip(found[:4] / gain, -_LARGEST_STEP, _LARGEST_STEP), float(left @ left) / (float(centred @ centred) + aim.size)


def _ends(seen: np.ndarray) -> tuple[int, int]:
    places = np.flatnonzero(seen)
    return int(places[0]), int(places[-1]) + 1


def _shared(scale: float, offset: float) -> tuple[float, float]:
    """Return the part of 0 … 1 that the map keeps within 0 … 1."""
    return max(0.0, -offset / scale), min(1.0, (1 - offset) / scale)


def _cut(values: np.ndarray, box: tuple[float, float, float, float], height: int, width: int) -> np.ndarray:
    """Resample the part of values that lies between these shares of its sides."""
    rows, columns = values.shape
    x0, x1, y0, y1 = box[0] * columns, box[1] * columns, box[2] * rows, box[3] * rows
    scale_x, scale_y = (x1 - x0) / width, (y1 - y0) / height
    matrix = np.array([[scale_x, 0, x0 + 0.5 * scale_x - 0.5], [0, scale_y, y0 + 0.5 * scale_y - 0.5]])
    return cv2.warpAffine(
        values, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
