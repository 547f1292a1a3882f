"""Loss and accuracy on a held-out split."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainer.data.dataset import Examples
from trainer.program import Program

__all__ = ["Scores", "evaluate"]


@dataclass(frozen=True)
class Scores:
    """loss: nats, plain cross-entropy. top1, top5: shares of examples, 0 … 1. seconds: what the evaluation took."""

    loss: float
    top1: float
    top5: float
    examples: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def evaluate(program: Program, params: Any, examples: Examples) -> Scores:
    """Score every example once; sums are added up in float64 on the host.

    On a mesh over several processes each scores its part of every batch, and all get the sums.
    """
    started = time.perf_counter()
    sums = np.zeros(3)
    index, count = program.placement.shard
    size = program.eval_batch // count
    for first in range(index * size, len(examples) + index * size, program.eval_batch):
        ids = np.arange(first, min(first + size, len(examples)))
        weights = np.zeros(size, np.float32)
        weights[: len(ids)] = 1.0
        images, labels = examples.gather(np.resize(ids, size))
        sums += np.asarray(program.eval_step(params, *program.place_eval_batch(images, labels, weights)), np.float64)
    loss, top1, top5 = sums / len(examples)
    return Scores(float(loss), float(top1), float(top5), len(examples), time.perf_counter() - started)
