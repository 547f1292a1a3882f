"""Two images of a batch in one, with two labels: mixup and cutmix.

Mixup: Zhang et al. 2017 (arXiv 1710.09412). Cutmix: Yun et al. 2019 (arXiv 1905.04899).

A row's partner is its neighbour, rows 2k and 2k + 1. Rows come in random order, so neighbours are as good as any other pair, and a host
that reads a slice of the batch has both. With `repeats` copies of an example in a row, blocks of copies take the place of rows. How much
of each, and which of the two when both are on, is drawn by (seed, step), for each row of the global batch. Differs from the papers' code,
which draws one λ a batch: one a row has the same expectation and a smaller variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.data.images.randomness import BATCH, generator

__all__ = ["Mixing"]


@dataclass(frozen=True)
class Mixing:
    """Mixes each image of a batch with its neighbour.

    mixup, cutmix: parameter α of the symmetric Beta distribution; 0 turns it off. With both on, a step takes either with probability ½.
    """

    mixup: float
    cutmix: float
    repeats: int
    seed: int
    batch_size: int

    def apply(self, images: np.ndarray, weights: np.ndarray, *, step: int, first_row: int) -> tuple[np.ndarray, np.ndarray]:
        """Mix each image with its partner, in place.

        Args:
            images: [B, H, W, C] float32: rows from `first_row` on of the global batch.
            weights: [B]; a row without weight is mixed with none.

        Returns:
            Row of each row's partner [B] int64, itself where there is none, and the share of its own image [B] float32.
        """
        rng = generator(self.seed, 0, step, purpose=BATCH)
        cut = self.cutmix > 0 and (self.mixup == 0 or rng.random() < 0.5)
        alpha = self.cutmix if cut else self.mixup
        rows = slice(first_row, first_row + len(images))
        shares = rng.beta(alpha, alpha, self.batch_size)[rows].astype(np.float32)
        centers = rng.random((self.batch_size, 2))[rows]
        partners, kept = self._partners(weights), np.ones(len(images), np.float32)
        for row, partner in enumerate(partners):
            if row < partner:
                own, other = images[row].copy(), images[partner].copy()
                for target, source, k in ((images[row], other, row), (images[partner], own, partner)):
                    kept[k] = _cut(target, source, shares[k], centers[k]) if cut else _blend(target, source, shares[k])
        return partners, kept

    def _partners(self, weights: np.ndarray) -> np.ndarray:
        rows = np.arange(len(weights))
        block, place = rows // self.repeats, rows % self.repeats
        partners = (block ^ 1) * self.repeats + place
        alone = (partners >= len(weights)) | (weights == 0)
        alone |= weights[np.where(alone, rows, partners)] == 0
        return np.where(alone, rows, partners)


def _blend(target: np.ndarray, source: np.ndarray, share: np.float32) -> np.float32:
    target *= share
    target += source * (np.float32(1) - share)
    return share


def _cut(target: np.ndarray, source: np.ndarray, share: np.float32, center: np.ndarray) -> np.float32:
    """Paste a box of 1 − share of the area, its centre anywhere. Returns the share of the target that remains.

    What lies outside the image is cut off.
    """
    height, width = target.shape[:2]
    half = 0.5 * np.sqrt(1.0 - share)
    (top, left), (bottom, right) = (
        np.clip(np.rint((center + sign * half) * (height, width)), 0, (height, width)).astype(int) for sign in (-1, 1)
    )
    target[top:bottom, left:right] = source[top:bottom, left:right]
    return np.float32(1 - (bottom - top) * (right - left) / (height * width))
