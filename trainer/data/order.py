"""The order of examples in a run: a pure function of (seed, position), so that any number of restarts gives the same batches.

Position p of a run lies in epoch p // n at place p % n; its id is that place under the epoch's keyed permutation. A run of `epochs`
has round(epochs · n) positions. Batches straddle epochs; the last one is padded to the one compiled shape and masked.

With repeated augmentation (`repeats` r > 1) r positions in a row are copies of one example, so p // r takes the part of p. An epoch of
n · r positions then holds each example r times, and a run costs the same number of images as without.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainer.data.permutation import permute

if TYPE_CHECKING:
    from trainer.config import TrainConfig

__all__ = ["Draws", "InOrder", "Order"]

_BLOCK = 4096
"""Positions that are drawn at once."""


class Draws(NamedTuple):
    """Says what some positions of a run stand for: position `positions[k]` is copy `copies[k]` of example `ids[k]` in epoch `epochs[k]`."""

    positions: range
    ids: np.ndarray
    epochs: np.ndarray
    copies: np.ndarray

    def part(self, first: int, stop: int) -> Draws:
        """Return the entries from `first` to before `stop`, as a slice does."""
        return Draws(self.positions[first:stop], self.ids[first:stop], self.epochs[first:stop], self.copies[first:stop])


@dataclass(frozen=True)
class Order:
    """Defines the order of one run: `examples` in the training split, `epochs` over them, `batch_size` a step, `repeats` copies of each."""

    examples: int
    epochs: float
    batch_size: int
    seed: int
    repeats: int = 1

    @classmethod
    def of(cls, config: TrainConfig) -> Order:
        """Make the order that a config asks for."""
        return cls(config.data.card.train_examples, config.schedule.epochs, config.batch_size, config.seed, config.augment.repeats)

    @property
    def total(self) -> int:
        """Count the positions of the whole run: round(epochs · examples)."""
        return round(self.epochs * self.examples)

    @property
    def steps(self) -> int:
        """Count the steps of the whole run, the padded last one included."""
        return -(-self.total // self.batch_size)

    @property
    def unique_examples(self) -> int:
        """Count the different examples that the whole run sees."""
        return min(-(-self.total // self.repeats), self.examples)

    def positions(self, step: int) -> range:
        """Return the global positions that step `step` (from 0) consumes."""
        return range(step * self.batch_size, min((step + 1) * self.batch_size, self.total))

    def ids(self, step: int) -> np.ndarray:
        """Return the ids of the examples of a step, in order: `len(positions(step))` of them."""
        return self.draws(self.positions(step)).ids

    def draws(self, span: range) -> Draws:
        """Return what the positions of `span` stand for.

        Do not write into the arrays: steps share the block of positions that is drawn at once.
        """
        if len(span) > _BLOCK or not len(span) or span.stop > self.total:
            return self._drawn(span)
        first, last = span.start // _BLOCK, (span.stop - 1) // _BLOCK
        head = _block(self, first)
        start = span.start - head.positions.start
        if first == last:
            return head.part(start, start + len(span))
        parts = head.part(start, _BLOCK), _block(self, last).part(0, span.stop - last * _BLOCK)
        ids, epochs, copies = (np.concatenate(pair) for pair in zip(*(part[1:] for part in parts), strict=True))
        return Draws(span, ids, epochs, copies)

    def _drawn(self, span: range) -> Draws:
        positions = np.arange(span.start, span.stop)
        draws, copies = np.divmod(positions, self.repeats) if self.repeats > 1 else (positions, np.zeros_like(positions))
        epochs, places = draws // self.examples, draws % self.examples
        ids = np.empty_like(places)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1) if len(epochs) else ():
            inside = epochs == epoch
            ids[inside] = permute(places[inside], self.examples, (self.seed, epoch))
        return Draws(span, ids, epochs, copies)


@lru_cache(maxsize=8)
def _block(order: Order, number: int) -> Draws:
    """Draw block `number` of positions, as far as the run goes. The permutation costs as much for one id as for hundreds."""
    block = order._drawn(range(number * _BLOCK, min((number + 1) * _BLOCK, order.total)))
    for part in block[1:]:
        part.setflags(write=False)
    return block


@dataclass(frozen=True)
class InOrder:
    """Defines the order in which a held-out split is read: every example once, by its id."""

    examples: int
    batch_size: int
    repeats: int = 1

    @property
    def total(self) -> int:
        """Count the positions, one an example."""
        return self.examples

    @property
    def steps(self) -> int:
        """Count the batches, the padded last one included."""
        return -(-self.examples // self.batch_size)

    def positions(self, step: int) -> range:
        """Return the positions of batch `step`, which are ids."""
        return range(step * self.batch_size, min((step + 1) * self.batch_size, self.examples))

    def draws(self, span: range) -> Draws:
        """Return what the positions of `span` stand for."""
        zeros = np.zeros(len(span), np.int64)
        return Draws(span, np.arange(span.start, span.stop), zeros, zeros)
