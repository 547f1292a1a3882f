"""The brightness of a picture: what hashes, features and comparison see first."""

from __future__ import annotations

import numpy as np

__all__ = ["grey"]

_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)


def grey(pixels: np.ndarray) -> np.ndarray:
    """Return the luma [H, W] float32, 0 … 255, of pixels [H, W, C] uint8 with 1 or 3 channels (ITU-R BT.601).

    Of any other number of channels it is their mean.
    """
    channels = pixels.shape[2]
    if channels == 3:
        luma: np.ndarray = pixels @ _WEIGHTS
        return luma
    values: np.ndarray = pixels[..., 0].astype(np.float32) if channels == 1 else pixels.mean(-1, dtype=np.float32)
    return values
