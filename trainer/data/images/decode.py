"""Image files as pixels, by the fastest decoder that knows the format.

JPEG: simplejpeg (libjpeg-turbo without a detour): about twice as fast as Pillow on photographs of 500×375 (`benchmarks/input.py`). When
fewer pixels are wanted than half of those there are, it decodes at 1/2, 1/4 or 1/8, which the format offers at little cost.
All else (PNG, WebP, and JPEGs in CMYK): Pillow.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import simplejpeg
from PIL import Image

from trainer.data.dataset import BadExample

__all__ = ["EncodedPicture", "Picture", "PixelPicture", "picture"]


class Picture(ABC):
    """An image whose size is known before its pixels are needed."""

    height: int
    width: int

    @abstractmethod
    def pixels(self, min_scale: float = 1.0) -> np.ndarray:
        """[height', width', C]: whole, or no smaller than `min_scale` of the original sides where that is cheaper."""


class PixelPicture(Picture):
    """Pixels [H, W, C], uint8 or float32, in memory."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def pixels(self, min_scale: float = 1.0) -> np.ndarray:
        return self._pixels


class EncodedPicture(Picture):
    """The bytes of an image file. Raises `BadExample` when they are none, are cut short, or do not decode."""

    def __init__(self, content: bytes, channels: int) -> None:
        if not content:
            raise BadExample("empty file")
        self._content, self._channels = content, channels
        self._is_jpeg = False
        if content[:2] == b"\xff\xd8":
            try:
                self.height, self.width, colorspace, _ = simplejpeg.decode_jpeg_header(content)
            except ValueError as error:
                raise BadExample(f"not a readable JPEG: {error}") from None
            self._is_jpeg = colorspace in ("YCbCr", "Gray", "RGB")
        if not self._is_jpeg:
            self.width, self.height = self._opened.size

    def pixels(self, min_scale: float = 1.0) -> np.ndarray:
        if not self._is_jpeg:
            return self._by_pillow()
        try:
            return simplejpeg.decode_jpeg(
                self._content,
                "RGB" if self._channels == 3 else "GRAY",
                min_height=int(np.ceil(self.height * min_scale)) if min_scale <= 0.5 else 0,
                min_width=int(np.ceil(self.width * min_scale)) if min_scale <= 0.5 else 0,
                min_factor=2 if min_scale <= 0.5 else 1,
            )
        except ValueError as error:  # strict: a JPEG that ends early decodes to grey below, which would train on grey
            raise BadExample(f"damaged JPEG: {error}") from None

    @cached_property
    def _opened(self) -> Image.Image:
        try:
            return Image.open(io.BytesIO(self._content))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            reason = "not an image that Pillow knows" if "cannot identify" in str(error) else str(error)
            raise BadExample(reason) from None

    def _by_pillow(self) -> np.ndarray:
        try:
            converted = self._opened.convert("RGB" if self._channels == 3 else "L")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise BadExample(f"damaged image: {error}") from None
        pixels = np.asarray(converted)
        return pixels if pixels.ndim == 3 else pixels[..., None]


def picture(image: bytes | np.ndarray, channels: int) -> Picture:
    """What a data set gave as an image: bytes of a file, or pixels [H, W, C] of uint8 or float32. Raises `BadExample`."""
    if isinstance(image, bytes):
        return EncodedPicture(image, channels)
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.dtype not in (np.uint8, np.float32):
        found = f"{image.dtype}{list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise BadExample(f"the image is {found}: bytes of a file, or pixels [H, W, C] of uint8 or float32, are wanted")
    if image.shape[2] != channels:
        raise BadExample(f"the image has {image.shape[2]} channels, the data set's card says {channels}")
    return PixelPicture(image)
