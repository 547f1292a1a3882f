"""Loss and accuracy on a held-out split."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jax.experimental import multihost_utils

from scaling.errors import DataError
from trainer.data.dataset import Dataset
from trainer.data.loader import open_evaluation
from trainer.execution import Execution
from trainer.program import Program

__all__ = ["Scores", "evaluate"]


@dataclass(frozen=True)
class Scores:
    """loss: nats, plain cross-entropy. top1, top5: shares of examples, 0 … 1. seconds: what the evaluation took.

    examples: that were scored.
    """

    loss: float
    top1: float
    top5: float
    examples: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def evaluate(
    program: Program,
    params: Any,
    dataset: Dataset,
    execution: Execution | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Scores | None:
    """Score every held-out example once; sums are added up in float64 on the host.

    On a mesh over several processes each scores its part of every batch, and all get the sums.

    Raises `DataError` for a held-out example that cannot be read, whatever `on_bad_example` says, and for a split without examples.

    should_stop: polled before every batch; None is returned when it says True. Several processes do not ask, since all must do the same.
    """
    started, execution = time.perf_counter(), execution or Execution()
    sums, scored = np.zeros(3), 0
    batches = open_evaluation(
        dataset.validation,
        card=dataset.card,
        batch_size=program.eval_batch,
        execution=execution,
        shard=program.placement.shard,
    )
    with batches:
        for batch in batches:
            if program.placement.shard[1] == 1 and should_stop():
                return None
            arrays = program.place_eval_batch(batch.images, batch.labels, batch.weights)
            sums += np.asarray(program.eval_step(params, *arrays), np.float64)
            scored += int(batch.weights.sum())
    if program.placement.shard[1] > 1:
        scored = int(multihost_utils.process_allgather(np.int64(scored)).sum())
    if not scored:
        raise DataError("the validation split has no example to score", hint="hold some images out of training")
    loss, top1, top5 = sums / scored
    return Scores(float(loss), float(top1), float(top5), scored, time.perf_counter() - started)
