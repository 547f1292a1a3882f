"""What one training step and one evaluation step compute: pure functions of arrays, before anything is compiled or placed.

A batch is `images [B, H, W, C] float32, labels [B] int32, weights [B] float32`, and for runs that mix images also
`other_labels [B] int32, mix [B] float32`. weights: 1 for a real example, 0 for padding or a skipped one; every mean is over real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from trainer.config import SamConfig
from trainer.finite import finite_leaves
from trainer.layout import Layout
from trainer.losses import cross_entropy
from trainer.models.protocol import Network
from trainer.optimizers import Optimizer
from trainer.optimizers.ema import ema_decay, moved_average
from trainer.randomness import key_of_rows
from trainer.typing import PyTree

__all__ = ["Accumulated", "StepMetrics", "Steps", "Sums", "TrainState"]


class TrainState(NamedTuple):
    """Holds what a step changes: parameters, optimiser state, and the moving average of the parameters when the run keeps one."""

    params: PyTree
    optimizer: PyTree
    ema: PyTree = None

    @property
    def evaluated(self) -> PyTree:
        """Return the parameters that the held-out loss is taken of: the moving average where the run keeps one."""
        return self.params if self.ema is None else self.ema


class StepMetrics(NamedTuple):
    """Holds the loss of a step, and which of its numbers are finite.

    loss: nats, mean over the batch's real examples, of the training loss (smoothed, mixed).
    finite: whether loss, gradients and new parameters all are. gradients_finite, params_finite: the same, one for each parameter
    tensor, for `Program.name_non_finite`.
    """

    loss: jax.Array
    finite: jax.Array
    gradients_finite: jax.Array
    params_finite: jax.Array


class Sums(NamedTuple):
    """Holds sums over the real examples of a batch, so that padded batches add up right. squares: of the losses."""

    loss: jax.Array
    top1: jax.Array
    top5: jax.Array
    squares: jax.Array


class Accumulated(NamedTuple):
    """Holds sums over the micro-batches so far: of the loss, of the weights, of the loss's gradients."""

    loss: PyTree
    weight: PyTree
    gradients: PyTree


@dataclass(frozen=True)
class Steps:
    """Computes the steps of one model under one recipe.

    gathered: makes parameters whole before they are computed with (`Placement.gathered`).
    layout: of the parameters, as the steps take and return them.
    sam: the gradient is taken at the worst place nearby, and so is the loss of a step.
    """

    module: Network
    optimizer: Optimizer
    label_smoothing: float
    ema: float | None
    gathered: Callable[[PyTree], PyTree]
    layout: Layout
    sam: SamConfig | None = None

    def whole(self, state: TrainState, *arguments: jax.Array) -> tuple[TrainState, StepMetrics]:
        """Take a step on a whole batch. arguments: the batch's arrays, learning rate, seed, step."""
        *batch, learning_rate, seed, step = arguments
        key = _key(seed, step)
        at = state.params if self.sam is None else self._worst_nearby(state.params, batch, key, self.sam)
        loss, gradients = jax.value_and_grad(self._mean_loss)(at, batch, key)
        return self._updated(state, loss, gradients, learning_rate, step)

    def accumulate(self, params: PyTree, so_far: Accumulated, *arguments: jax.Array) -> Accumulated:
        """Add micro-batch `first` of `count`, which are rows first, first + count, … of the batch.

        arguments: the micro-batch's arrays, seed, step, first, count. Random numbers are those of the whole batch.
        """
        *batch, seed, step, first, count = arguments
        key = key_of_rows(_key(seed, step), first=first, stride=count, rows=batch[0].shape[0])
        (loss, weight), gradients = jax.value_and_grad(self._weighted_loss, has_aux=True)(params, batch, key)
        return jax.tree.map(jnp.add, so_far, Accumulated(loss, weight, gradients))

    def apply(
        self, state: TrainState, sums: Accumulated, learning_rate: jax.Array, step: jax.Array
    ) -> tuple[TrainState, StepMetrics]:
        """Take the step that the accumulated micro-batches ask for: one division by the number of real examples."""
        loss, gradients = jax.tree.map(lambda total: total / _some(sums.weight), (sums.loss, sums.gradients))
        return self._updated(state, loss, gradients, learning_rate, step)

    def evaluate(self, params: PyTree, images: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
        """Sum plain cross-entropy and hits over one batch of held-out examples."""
        logits = self.module.apply({"params": self.gathered(params)}, images, train=False).astype(jnp.float32)
        of_label = jnp.take_along_axis(logits, labels[:, None], axis=1)
        ahead = (logits > of_label) | (
            (logits == of_label) & (jnp.arange(logits.shape[1]) < labels[:, None])
        )  # of equal ones the first
        rank = jnp.sum(ahead, axis=1)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return Sums(
            loss=jnp.sum(losses * weights),
            top1=jnp.sum((rank < 1) * weights),
            top5=jnp.sum((rank < 5) * weights),
            squares=jnp.sum(jnp.square(losses) * weights),
        )

    def _worst_nearby(self, params: PyTree, batch: list[jax.Array], key: jax.Array, sam: SamConfig) -> PyTree:
        """Return where the loss is greatest at a distance of `sam.rho`, to first order, by rows spread evenly over the batch."""
        rows = batch[0].shape[0]
        count = max(1, round(sam.share * rows))
        part = [array[np.arange(count) * rows // count] for array in batch]
        gradients = jax.grad(self._mean_loss)(params, part, jax.random.fold_in(key, 1))
        distance = sam.rho / jnp.maximum(optax.tree.norm(gradients), 1e-12)
        return jax.tree.map(lambda weight, gradient: weight + distance * gradient, params, gradients)

    def _mean_loss(self, params: PyTree, batch: list[jax.Array], key: jax.Array) -> jax.Array:
        total, weight = self._weighted_loss(params, batch, key)
        return total / _some(weight)

    def _weighted_loss(self, params: PyTree, batch: list[jax.Array], key: jax.Array) -> tuple[jax.Array, jax.Array]:
        images, labels, weights, *mixed = batch
        logits = self.module.apply({"params": self.gathered(params)}, images, train=True, rngs={"dropout": key})
        other_labels, mix = mixed or (None, None)
        losses = cross_entropy(logits, labels, smoothing=self.label_smoothing, other_labels=other_labels, mix=mix)
        return jnp.sum(losses * weights), jnp.sum(weights)

    def _updated(
        self, state: TrainState, loss: jax.Array, gradients: PyTree, learning_rate: jax.Array, step: jax.Array
    ) -> tuple[TrainState, StepMetrics]:
        updates, optimizer_state = self.optimizer.update(gradients, state.optimizer, state.params)
        params = jax.tree.map(lambda weight, update: weight - learning_rate * update, state.params, updates)
        average = None if self.ema is None else moved_average(state.ema, params, ema_decay(step, self.ema))
        gradients_finite, params_finite = finite_leaves(gradients, self.layout), finite_leaves(params, self.layout)
        finite = jnp.isfinite(loss) & jnp.all(gradients_finite) & jnp.all(params_finite)
        return TrainState(params, optimizer_state, average), StepMetrics(loss, finite, gradients_finite, params_finite)


def _key(seed: jax.Array, step: jax.Array) -> jax.Array:
    return jax.random.fold_in(jax.random.key(seed), step)


def _some(weight: jax.Array) -> jax.Array:
    """Return a divisor: the weight of the real examples, or 1 when a batch has none, whose loss and gradients then are 0."""
    return jnp.where(weight > 0, weight, 1.0)
