"""Turns stored pixel values into the numbers that a network is given: mean 0 and standard deviation 1, by stated constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["IMAGENET", "Normalization"]


@dataclass(frozen=True)
class Normalization:
    """Normalises pixels: x → (x / full_scale − mean) / std.

    mean, std: of values after division by `full_scale`; one number, or one a channel.
    full_scale: the largest value that a stored pixel can have.
    """

    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]
    full_scale: float = 255.0

    def apply(self, pixels: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return pixels [N, H, W, C] normalised, float32 of the same shape: in `out`, if one is given. Float32 pixels are normalised already.

        Rows are worked on as W·C numbers at a time: three at a time, as broadcasting over channels would, took ten times as long.
        """
        if pixels.dtype == np.float32:
            if out is None:
                return pixels
            out[...] = pixels
            return out
        std, mean = np.asarray(self.std, np.float64), np.asarray(self.mean, np.float64)
        scale, shift = (1.0 / (self.full_scale * std)).astype(np.float32), (mean / std).astype(np.float32)
        count, height, width, channels = pixels.shape
        rows = pixels.reshape(count, height, width * channels)
        if scale.ndim:
            scale, shift = np.tile(scale, width), np.tile(shift, width)
        result = np.empty(rows.shape, np.float32) if out is None else out.reshape(rows.shape)
        np.multiply(rows, scale, out=result, dtype=np.float32)
        np.subtract(result, shift, out=result)
        return result.reshape(pixels.shape)


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""The channel statistics of ImageNet's training split, used for photographs everywhere."""
