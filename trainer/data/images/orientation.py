"""The orientation of a picture: read from EXIF, and pixels turned by it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

__all__ = ["orientation_of", "turned"]

_TAG = 0x0112
_PNG_MARKS = (b"eXIf", b"Raw profile type", b"tiff:Orientation")
_APP1, _SCAN, _FILL = 0xE1, 0xDA, 0xFF


def orientation_of(content: bytes, image: Image.Image | None) -> int:
    """Read the orientation of an image file as EXIF numbers it, 1 … 8: 1 is upright, from 5 on height and width are exchanged.

    What cannot be read counts as 1.

    image: as Pillow opened it; None for a JPEG that it need not open, which takes a tenth of the time where there is no EXIF.
    """
    if image is None and not _has_app1(content):
        return 1
    if image is not None and image.format == "PNG" and not any(mark in content for mark in _PNG_MARKS):
        return 1  # Pillow would decode all of it to see whether EXIF follows
    if image is not None and image.format == "TIFF":
        return 1  # Pillow turns it
    try:
        opened = image or Image.open(io.BytesIO(content), formats=("JPEG",))
        found = opened.getexif().get(_TAG)
    except Exception:  # noqa: BLE001 - EXIF is written badly in many ways, and the pixels are sound
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn pixels [H, W, C] upright: [H, W, C], or [W, H, C] for orientations from 5 on."""
    if orientation == 1:
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _has_app1(content: bytes) -> bool:
    """Say whether a JPEG has a segment, before its first scan, that may hold EXIF or XMP."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == _FILL:
            at += 1
        elif marker in (_APP1, _SCAN):
            return marker == _APP1
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return False
