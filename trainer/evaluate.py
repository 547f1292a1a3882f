"""Loss and accuracy on a held-out split."""

from __future__ import annotations

import math
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
from trainer.program import Program, Sums
from trainer.typing import PyTree

__all__ = ["Scores", "evaluate"]


@dataclass(frozen=True)
class Scores:
    """Holds the loss and the accuracy on a held-out split.

    loss: nats, plain cross-entropy. top1, top5: shares of examples, 0 … 1. seconds: what the evaluation took.
    examples: how many were scored.
    standard_error: of `loss`, by the spread of the examples' losses.
    chance_loss: nats, the entropy of the labels that were scored: the loss of guessing by their frequencies alone. A model that does not
        look at the images reaches no less.
    """

    loss: float
    top1: float
    top5: float
    examples: int
    seconds: float
    standard_error: float = 0.0
    chance_loss: float | None = None

    @property
    def is_guess(self) -> bool:
        """Say whether the loss is not at least two standard errors below that of guessing."""
        return self.chance_loss is not None and self.loss >= self.chance_loss - 2 * self.standard_error

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def evaluate(
    program: Program,
    variables: PyTree,
    dataset: Dataset,
    execution: Execution | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Scores | None:
    """Score every held-out example once; sums are added up in float64 on the host. variables: `TrainState.evaluated`.

    On a mesh over several processes each scores its part of every batch, and all get the sums.

    Raises `DataError` for a held-out example that cannot be read, whatever `on_bad_example` says, and for a split without examples.

    should_stop: polled before every batch; None is returned when it says True. Several processes do not ask, since all must do the same.
    """
    started, execution = time.perf_counter(), execution or Execution()
    sums, labels = np.zeros(len(Sums._fields)), np.zeros(dataset.card.num_classes, np.int64)
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
            sums += np.asarray(program.eval_step(variables, *arrays), np.float64)
            labels += np.bincount(np.clip(batch.labels[batch.weights > 0], 0, len(labels) - 1), minlength=len(labels))
    if program.placement.shard[1] > 1:
        labels = multihost_utils.process_allgather(labels).sum(axis=0)
    scored = int(labels.sum())
    if not scored:
        raise DataError("the validation split has no example to score", hint="hold some images out of training")
    loss, top1, top5, squares = map(float, sums / scored)
    shares = labels[labels > 0] / scored
    return Scores(
        loss,
        top1,
        top5,
        scored,
        time.perf_counter() - started,
        standard_error=math.sqrt(max(0.0, squares - loss * loss) / scored),
        chance_loss=float(-(shares * np.log(shares)).sum()),
    )
