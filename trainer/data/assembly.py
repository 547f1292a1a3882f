"""From prepared examples to a `Batch`: the rows of one step, normalised, mixed, padded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trainer.data.batch import Batch, Skipped
from trainer.data.normalization import Normalization
from trainer.data.order import Draws

__all__ = ["Assembly", "Rows"]


@dataclass
class Rows:
    """The rows of one step while they are filled. Row k is position `draws.positions[k]`; rows past them are padding.

    pixels: [B, H, W, C], uint8 or float32. labels: [B] int32. ids: [len(draws.ids)] int64, of what was read.
    """

    step: int
    draws: Draws
    pixels: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    skipped: list[Skipped] = field(default_factory=list)

    @classmethod
    def empty(cls, step: int, draws: Draws, pixels: np.ndarray) -> Rows:
        """Nothing read yet; `pixels` is the memory to fill."""
        return cls(step, draws, pixels, np.zeros(len(pixels), np.int32), np.full(len(draws.ids), -1, np.int64))


@dataclass(frozen=True)
class Assembly:
    """Turns filled rows into a batch."""

    normalization: Normalization

    def batch(self, rows: Rows) -> Batch:
        """A batch that owns its memory: the rows may be filled anew at once."""
        real = len(rows.draws.ids)
        images = np.empty(rows.pixels.shape, np.float32)
        self.normalization.apply(rows.pixels[:real], out=images[:real])
        return self.of_images(rows.step, rows.draws, images, rows.labels, rows.ids, rows.skipped)

    def of_images(
        self, step: int, draws: Draws, images: np.ndarray, labels: np.ndarray, ids: np.ndarray, skipped: list[Skipped] | None = None
    ) -> Batch:
        """A batch of images that are normalised already: [B, H, W, C] float32, the first `len(draws.ids)` of them real."""
        size, real = len(images), len(draws.ids)
        images[real:] = 0.0
        weights = np.zeros(size, np.float32)
        weights[:real] = 1.0
        for position, _, _ in skipped or ():
            row = position - draws.positions.start
            images[row], weights[row], labels[row] = 0.0, 0.0, 0
        return Batch(
            step, images, labels, labels, np.ones(size, np.float32), weights, draws.positions, ids, tuple(sorted(skipped or ()))
        )
