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
from trainer.models.state import forward_in_training, takes_mask
from trainer.optimizers import Optimizer
from trainer.optimizers.ema import ema_decay, moved_average
from trainer.randomness import key_of_rows
from trainer.typing import PyTree

__all__ = ["Accumulated", "StepMetrics", "Steps", "Sums", "TrainState"]


class TrainState(NamedTuple):
    """Holds what a step changes: parameters, optimiser state, and the moving average of the parameters when the run keeps one.

    collections: what the network keeps beside its parameters, by name, as `{"batch_stats": …}`; None when it keeps nothing.
    ema_collections: their moving average, when the run keeps one.
    """

    params: PyTree
    optimizer: PyTree
    ema: PyTree = None
    collections: PyTree = None
    ema_collections: PyTree = None

    @property
    def evaluated(self) -> dict[str, PyTree]:
        """Return the variables that the held-out loss is taken of, `{"params": …, …}`: the averages where the run keeps them."""
        if self.ema is None:
            return {"params": self.params, **(self.collections or {})}
        return {"params": self.ema, **(self.ema_collections or {})}


class StepMetrics(NamedTuple):
    """Holds the loss of a step, and which of its numbers are finite.

    loss: nats, mean over the batch's real examples, of the training loss (smoothed, mixed).
    finite: whether loss, gradients and new parameters all are. gradients_finite, params_finite: the same, one for each parameter
    tensor, for `Program.name_non_finite`. state_finite: likewise of the collections beside the parameters.
    """

    loss: jax.Array
    finite: jax.Array
    gradients_finite: jax.Array
    params_finite: jax.Array
    state_finite: jax.Array | None = None


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
        at = state.params if self.sam is None else self._worst_nearby(state, batch, key, self.sam)
        (loss, collections), gradients = jax.value_and_grad(self._mean_loss, has_aux=True)(at, state.collections, batch, key)
        return self._updated(state, loss, gradients, collections, learning_rate, step)

    def accumulate(self, params: PyTree, so_far: Accumulated, *arguments: jax.Array) -> Accumulated:
        """Add micro-batch `first` of `count`, which are rows first, first + count, … of the batch, of a network without state.

        arguments: the micro-batch's arrays, seed, step, first, count. Random numbers are those of the whole batch.
        """
        *batch, seed, step, first, count = arguments
        key = key_of_rows(_key(seed, step), first=first, stride=count, rows=batch[0].shape[0])
        (loss, (weight, _)), gradients = jax.value_and_grad(self.loss, has_aux=True)(params, None, batch, key)
        return jax.tree.map(jnp.add, so_far, Accumulated(loss, weight, gradients))

    def apply(
        self, state: TrainState, sums: Accumulated, learning_rate: jax.Array, step: jax.Array
    ) -> tuple[TrainState, StepMetrics]:
        """Take the step that the accumulated micro-batches ask for: one division by the number of real examples."""
        loss, gradients = jax.tree.map(lambda total: total / _some(sums.weight), (sums.loss, sums.gradients))
        return self._updated(state, loss, gradients, None, learning_rate, step)

    def evaluate(self, variables: dict[str, PyTree], images: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
        """Sum plain cross-entropy and hits over one batch of held-out examples. variables: `TrainState.evaluated`."""
        logits = self.module.apply(self.gathered(variables), images, train=False).astype(jnp.float32)
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

    def _worst_nearby(self, state: TrainState, batch: list[jax.Array], key: jax.Array, sam: SamConfig) -> PyTree:
        """Return where the loss is greatest at a distance of `sam.rho`, to first order, by rows spread evenly over the batch."""
        rows = batch[0].shape[0]
        count = max(1, round(sam.share * rows))
        part = [array[np.arange(count) * rows // count] for array in batch]
        ascent = jax.grad(self._mean_loss, has_aux=True)
        gradients, _ = ascent(state.params, state.collections, part, jax.random.fold_in(key, 1))
        distance = sam.rho / jnp.maximum(optax.tree.norm(gradients), 1e-12)
        return jax.tree.map(lambda weight, gradient: weight + distance * gradient, state.params, gradients)

    def _mean_loss(self, params: PyTree, collections: PyTree, batch: list[jax.Array], key: jax.Array) -> tuple[jax.Array, PyTree]:
        total, (weight, after) = self.loss(params, collections, batch, key)
        return total / _some(weight), after

    def loss(
        self, params: PyTree, collections: PyTree, batch: list[jax.Array], key: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, PyTree]]:
        """Return the sum of the training loss over a batch's real examples, and (their weight, the collections after the forward pass).

        A batch without a real example leaves the collections as they were. So does one with padding, for a network that takes no mask:
        its statistics would be of the padding too.
        """
        images, labels, weights, *mixed = batch
        variables = {"params": self.gathered(params), **self.gathered(collections or {})}
        real = weights > 0
        logits, after = forward_in_training(self.module, variables, images, rngs={"dropout": key}, real=real)
        other_labels, mix = mixed or (None, None)
        losses = cross_entropy(logits, labels, smoothing=self.label_smoothing, other_labels=other_labels, mix=mix)
        if after is not None:
            count = jnp.any(real) if takes_mask(self.module) else jnp.all(real)
            after = jax.tree.map(lambda new, old: jnp.where(count, new, old), after, collections)
        return jnp.sum(losses * weights), (jnp.sum(weights), after)

    def _updated(
        self,
        state: TrainState,
        loss: jax.Array,
        gradients: PyTree,
        collections: PyTree,
        learning_rate: jax.Array,
        step: jax.Array,
    ) -> tuple[TrainState, StepMetrics]:
        updates, optimizer_state = self.optimizer.update(gradients, state.optimizer, state.params)
        params = jax.tree.map(lambda weight, update: weight - learning_rate * update, state.params, updates)
        average, average_collections = None, None
        if self.ema is not None:
            decay = ema_decay(step, self.ema)
            average, average_collections = (
                moved_average(old, new, decay) for old, new in ((state.ema, params), (state.ema_collections, collections))
            )
        gradients_finite, params_finite = finite_leaves(gradients, self.layout), finite_leaves(params, self.layout)
        finite = jnp.isfinite(loss) & jnp.all(gradients_finite) & jnp.all(params_finite)
        state_finite = None if collections is None else finite_leaves(collections, self.layout)
        if state_finite is not None:
            finite &= jnp.all(state_finite)
        new = TrainState(params, optimizer_state, average, collections, average_collections)
        return new, StepMetrics(loss, finite, gradients_finite, params_finite, state_finite)


def _key(seed: jax.Array, step: jax.Array) -> jax.Array:
    return jax.random.fold_in(jax.random.key(seed), step)


def _some(weight: jax.Array) -> jax.Array:
    """Return a divisor: the weight of the real examples, or 1 when a batch has none, whose loss and gradients then are 0."""
    return jnp.where(weight > 0, weight, 1.0)
