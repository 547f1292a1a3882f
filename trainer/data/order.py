"""Which examples a step sees: a pure function of (seed, position), so that any number of restarts gives the same batches.

Position p of a run lies in epoch p // n at place p % n; its id is that place under the epoch's keyed permutation. A run of `epochs`
has round(epochs · n) positions. Batches straddle epochs; the last one is padded to the one compiled shape and masked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.data.permutation import permute

__all__ = ["Order"]


@dataclass(frozen=True)
class Order:
    """The order of one run: `examples` in the training split, `epochs` over them, `batch_size` a step."""

    examples: int
    epochs: float
    batch_size: int
    seed: int

    @property
    def total(self) -> int:
        """Positions of the whole run: round(epochs · examples)."""
        return round(self.epochs * self.examples)

    @property
    def steps(self) -> int:
        """Steps of the whole run, the padded last one included."""
        return -(-self.total // self.batch_size)

    def positions(self, step: int) -> range:
        """Global positions that step `step` (from 0) consumes."""
        return range(step * self.batch_size, min((step + 1) * self.batch_size, self.total))

    def ids(self, step: int) -> np.ndarray:
        """Ids of the examples of a step, in order: `len(positions(step))` of them."""
        span = self.positions(step)
        positions = np.arange(span.start, span.stop)
        epochs, places = positions // self.examples, positions % self.examples
        ids = np.empty_like(places)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            inside = epochs == epoch
            ids[inside] = permute(places[inside], self.examples, (self.seed, epoch))
        return ids
