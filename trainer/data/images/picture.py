"""An image before its pixels are needed: of a file, or in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from trainer.data.dataset import BadExample
from trainer.data.images.optional import encoded_picture

__all__ = ["Picture", "PixelPicture", "picture"]


class Picture(ABC):
    """Describes an image whose size is known before its pixels are needed."""

    height: int
    width: int

    @abstractmethod
    def pixels(self, min_scale: float = 1.0) -> np.ndarray:
        """Return the pixels [height', width', C]: whole, or no smaller than `min_scale` of the original sides where that is cheaper."""


class PixelPicture(Picture):
    """Holds pixels [H, W, C], uint8 or float32, in memory."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def pixels(self, min_scale: float = 1.0) -> np.ndarray:
        return self._pixels


def picture(image: bytes | np.ndarray, channels: int) -> Picture:
    """Make a `Picture` of a data set's image: bytes of a file, or pixels [H, W, C] of uint8 or float32.

    Raises `BadExample`, `MissingExtra`.
    """
    if isinstance(image, bytes):
        return encoded_picture()(image, channels)
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.dtype not in (np.uint8, np.float32):
        found = f"{image.dtype}{list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise BadExample(f"the image is {found}: bytes of a file, or pixels [H, W, C] of uint8 or float32, are wanted")
    if image.shape[2] != channels:
        raise BadExample(f"the image has {image.shape[2]} channels, the data set's card says {channels}")
    return PixelPicture(image)
