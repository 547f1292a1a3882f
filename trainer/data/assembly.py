"""Makes a `Batch` of prepared examples: the rows of one step, normalised, mixed, padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.data.batch import Batch, Skipped
from trainer.data.images.mix import Mixing
from trainer.data.normalization import Normalization
from trainer.data.order import Draws
from trainer.data.rows import Rows

__all__ = ["Assembly"]


@dataclass(frozen=True)
class Assembly:
    """Turns filled rows into a batch.

    mixing: how training images are mixed; None leaves them alone.
    first_row: where this host's rows begin in the global batch.
    """

    normalization: Normalization
    mixing: Mixing | None = None
    first_row: int = 0

    def batch(self, rows: Rows) -> Batch:
        """Make a batch that owns its memory: the rows may be filled anew at once."""
        real = len(rows.draws.ids)
        images = np.empty(rows.pixels.shape, np.float32)
        self.normalization.apply(rows.pixels[:real], out=images[:real])
        return self.of_images(rows.step, rows.draws, images, rows.labels, rows.ids, rows.skipped)

    def of_images(
        self, step: int, draws: Draws, images: np.ndarray, labels: np.ndarray, ids: np.ndarray, skipped: Sequence[Skipped] = ()
    ) -> Batch:
        """Make a batch of images that are normalised already: [B, H, W, C] float32, the first `len(draws.ids)` of them real."""
        size, real = len(images), len(draws.ids)
        images[real:] = 0.0
        weights = np.zeros(size, np.float32)
        weights[:real] = 1.0
        for position, _, _ in skipped:
            row = position - draws.positions.start
            images[row], weights[row], labels[row] = 0.0, 0.0, 0
        others, mix = labels, np.ones(size, np.float32)
        if self.mixing is not None:
            partners, mix = self.mixing.apply(images, weights, step=step, first_row=self.first_row)
            others = labels[partners]
        return Batch(step, images, labels, others, mix, weights, draws.positions, ids, tuple(sorted(skipped)))
