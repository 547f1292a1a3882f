"""`Batch` holds what one training step is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Batch", "Skipped"]

Skipped = tuple[int, int, str]
"""(position, id, reason) of an example that could not be read and was left out. In a batch the reason begins with its name, if any."""


@dataclass(frozen=True)
class Batch:
    """Holds the B rows of one step, of which the last ones may be padding. With several hosts, B is this host's part of the global batch.

    step: the training step it is for, from 0.
    images: [B, H, W, C] float32, normalised; zeros where there is no example.
    labels, other_labels: [B] int32. A mixed image is `mix` parts of the first class and 1 − mix of the other.
    mix: [B] float32; 1 where nothing was mixed.
    weights: [B] float32; 1 for a real example, 0 for padding and for a skipped one.
    positions: global positions of the real and the skipped rows, in order.
    ids: [len(positions)] int64, as they came with the images from the data set.
    skipped: examples that could not be read.
    """

    step: int
    images: np.ndarray
    labels: np.ndarray
    other_labels: np.ndarray
    mix: np.ndarray
    weights: np.ndarray
    positions: range
    ids: np.ndarray
    skipped: tuple[Skipped, ...] = ()

    @property
    def entered(self) -> np.ndarray:
        """Return the ids of the rows that weigh in the step, in order, as an audit counts them: [rows with weight] int64."""
        return self.ids[self.weights[: len(self.ids)] > 0]
