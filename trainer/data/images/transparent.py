"""The transparent colour of a PNG, where Pillow compares it with pixels that it has scaled: grey of 2 and 4 bits, colour of 16."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["TransparentColour", "strips"]

_KEY = "transparency"
_LARGEST = {"L;2": 3, "L;4": 15, "L": 255}
"""The largest shade of grey, by Pillow's name for how it lies in the file. It becomes 255."""
_UPPER, _LOWER = "RGB;16B", "RGB;16L"
"""Pillow keeps the upper 8 of 16 bits. By the second name it keeps the lower ones of a PNG, whose bytes are in the other order."""
_STRIP_PIXELS = 2**22


class TransparentColour:
    """Corrects what `Image.open` says of a PNG's transparent colour. A file without one, or of another kind, is left as it is.

    clear: pixels of 16-bit colour that are transparent, [H, W] bool; None of all else, where `image.info` says it.
    """

    def __init__(self, image: Any, content: bytes) -> None:
        self._content, self._raw = content, ""
        self._read = self._exact = image.info.get(_KEY)
        if image.format != "PNG" or self._read is None or not getattr(image, "tile", None):
            return
        self._raw = str(image.tile[0][3])
        if self._raw in _LARGEST and isinstance(self._read, int):
            largest = _LARGEST[self._raw]  # a power of two less one: of a wider key the lowest bits count, by the specification
            self._exact = image.info[_KEY] = (self._read & largest) * 255 // largest
        elif self._raw == "RGB":
            self._exact = image.info[_KEY] = tuple(value & 255 for value in self._read)
        elif self._raw == _UPPER:
            del image.info[_KEY]

    @property
    def clear(self) -> np.ndarray | None:
        if self._raw != _UPPER:
            return None
        return self._matches(_UPPER, tuple(value >> 8 for value in self._exact)) & self._matches(
            _LOWER, tuple(value & 255 for value in self._exact)
        )

    @property
    def was_misread(self) -> bool:
        """Say whether an earlier version showed a pixel as white that is not, or the other way round."""
        if self._read == self._exact and self._raw != _UPPER:
            return False
        clear = self._matches(self._raw, self._exact) if self.clear is None else self.clear
        return bool(np.any((clear != self._matches(self._raw, self._read)) & ~self._matches(self._raw, 255)))

    def _matches(self, raw: str, key: object) -> np.ndarray:
        """Say where the pixels, as Pillow gives them by this name, are the key: [H, W] bool."""
        image: Any = Image.open(io.BytesIO(self._content), formats=("PNG",))
        codec, box, offset, _ = image.tile[0]
        image.tile = [(codec, box, offset, raw)]
        image.load()
        found = [np.asarray(strip) == np.asarray(key) for strip in strips(image)]
        return np.concatenate([rows.all(axis=-1) if rows.ndim == 3 else rows for rows in found])


def strips(image: Image.Image) -> Iterator[Image.Image]:
    """Yield an image from top to bottom, in parts of which copies take little memory."""
    rows = max(1, _STRIP_PIXELS // image.width)
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))
