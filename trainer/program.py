"""The compiled programs of one model shape: a training step and an evaluation step.

Learning rate, seed and the position in the schedule are arguments, so every run of a shape shares one compilation. Programs are kept
for the life of the process and, through JAX's persistent cache, for later processes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from scaling.errors import UnknownName, UsageError
from trainer.backend import compiler_options, keep_freed_memory
from trainer.config import OptimizerConfig, TrainConfig
from trainer.models import family
from trainer.models.initial import initial_params
from trainer.optimizers import sgd_agc

__all__ = ["EVAL_BATCH", "Program", "Sums", "TrainState", "program_for"]

EVAL_BATCH = 256
"""Examples an evaluation step takes; the last batch of a split is padded and masked."""


class TrainState(NamedTuple):
    """What a step changes: parameters and optimiser state."""

    params: Any
    optimizer: Any


class Sums(NamedTuple):
    """Sums over real examples of a batch, so that padded batches add up right."""

    loss: jax.Array
    top1: jax.Array
    top5: jax.Array


@dataclass(frozen=True)
class Program:
    """`train_step(state, images, labels, weights, learning_rate, seed, step) → (state, loss)`; `eval_step(params, images, labels, weights) → Sums`.

    weights: 1 for a real example, 0 for padding; the loss is the mean over real ones.
    compile_seconds: what it took to get here.
    """

    module: Any
    optimizer: optax.GradientTransformation
    train_step: Any
    eval_step: Any
    eval_batch: int
    compile_seconds: float
    mesh: Mesh | None

    def initial_state(self, config: TrainConfig) -> TrainState:
        """Parameters by the run's seed, and an empty optimiser state, on the device."""
        params = initial_params(self.module, seed=config.seed, image_shape=config.data.card.image_shape)
        return self.place(TrainState(params, self.optimizer.init(params)))

    def place(self, state: TrainState) -> TrainState:
        """A state from host memory on the device; with a mesh, one copy on each."""
        return jax.device_put(state, _replicated(self.mesh)) if self.mesh else jax.device_put(state)

    def place_batch(self, *arrays: np.ndarray) -> tuple[Any, ...]:
        """Arrays whose first axis is the batch, split over the mesh."""
        return tuple(jax.device_put(array, _split(self.mesh)) for array in arrays) if self.mesh else arrays


@lru_cache(maxsize=8)
def _program(_shape: str, mesh: Mesh | None, template: _Hashable) -> Program:
    return _compile(template.config, mesh)


@dataclass(frozen=True, eq=False)
class _Hashable:
    """Lets a config ride along without being part of the cache's key."""

    config: TrainConfig

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashable)


def program_for(config: TrainConfig, mesh: Mesh | None = None) -> Program:
    """The program of a config's shape; compiled once a process."""
    return _program(config.shape_id(), mesh, _Hashable(config))


def _compile(config: TrainConfig, mesh: Mesh | None) -> Program:
    started = time.perf_counter()
    card = config.data.card
    module = family(config.model.family).build(
        config.model.name, num_classes=card.num_classes, dtype=jnp.dtype(config.numerics.dtype), **config.model.options
    )
    optimizer = _optimizer(config.optimizer)

    def loss_of(params: Any, images: jax.Array, labels: jax.Array, weights: jax.Array, key: jax.Array) -> jax.Array:
        logits = module.apply({"params": params}, images, train=True, rngs={"dropout": key})
        losses = _cross_entropy(logits, labels, card.num_classes, config.label_smoothing)
        return jnp.sum(losses * weights) / jnp.sum(weights)

    def train_step(
        state: TrainState,
        images: jax.Array,
        labels: jax.Array,
        weights: jax.Array,
        learning_rate: jax.Array,
        seed: jax.Array,
        step: jax.Array,
    ) -> tuple[TrainState, jax.Array]:
        key = jax.random.fold_in(jax.random.key(seed), step)
        loss, gradients = jax.value_and_grad(loss_of)(state.params, images, labels, weights, key)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
        params = jax.tree.map(lambda weight, update: weight - learning_rate * update, state.params, updates)
        return TrainState(params, optimizer_state), loss

    def eval_step(params: Any, images: jax.Array, labels: jax.Array, weights: jax.Array) -> Sums:
        logits = module.apply({"params": params}, images, train=False).astype(jnp.float32)
        of_label = jnp.take_along_axis(logits, labels[:, None], axis=1)
        rank = jnp.sum(logits > of_label, axis=1)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return Sums(jnp.sum(losses * weights), jnp.sum((rank < 1) * weights), jnp.sum((rank < 5) * weights))

    params = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, *card.image_shape), jnp.float32))["params"]
    state = TrainState(params, jax.eval_shape(optimizer.init, params))
    eval_batch = EVAL_BATCH
    if mesh:
        if config.batch_size % mesh.size:
            raise UsageError(
                f"a batch of {config.batch_size} does not split over {mesh.size} devices", hint="make batch_size a multiple of it"
            )
        eval_batch = -(-EVAL_BATCH // mesh.size) * mesh.size
    rate, count = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((), jnp.uint32)
    train, evaluate = _jitted(train_step, eval_step, mesh)
    options = compiler_options()
    keep_freed_memory()
    return Program(
        module=module,
        optimizer=optimizer,
        train_step=train.lower(state, *_batch_shapes(config.batch_size, card.image_shape), rate, count, count).compile(
            compiler_options=options
        ),
        eval_step=evaluate.lower(params, *_batch_shapes(eval_batch, card.image_shape)).compile(compiler_options=options),
        eval_batch=eval_batch,
        compile_seconds=time.perf_counter() - started,
        mesh=mesh,
    )


def _jitted(train_step: Any, eval_step: Any, mesh: Mesh | None) -> tuple[Any, Any]:
    """Both steps under `jit`; with a mesh, state on every device and batches split over its first axis."""
    if mesh is None:
        return jax.jit(train_step, donate_argnums=0), jax.jit(eval_step)
    whole, split = _replicated(mesh), _split(mesh)
    batch = (split, split, split)
    return (
        jax.jit(train_step, donate_argnums=0, in_shardings=(whole, *batch, whole, whole, whole), out_shardings=(whole, whole)),
        jax.jit(eval_step, in_shardings=(whole, *batch)),
    )


def _optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    if config.name != "sgd-agc":
        raise UnknownName("optimizer", config.name, ("sgd-agc",))
    return sgd_agc(
        momentum=config.momentum,
        nesterov=config.nesterov,
        clip=config.clip,
        clip_eps=config.clip_eps,
        weight_decay=config.weight_decay,
    )


def _cross_entropy(logits: jax.Array, labels: jax.Array, num_classes: int, smoothing: float) -> jax.Array:
    logits = logits.astype(jnp.float32)
    if smoothing == 0:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(jax.nn.one_hot(labels, num_classes), smoothing))


def _batch_shapes(size: int, image_shape: tuple[int, int, int]) -> tuple[jax.ShapeDtypeStruct, ...]:
    return (
        jax.ShapeDtypeStruct((size, *image_shape), jnp.float32),
        jax.ShapeDtypeStruct((size,), jnp.int32),
        jax.ShapeDtypeStruct((size,), jnp.float32),
    )


def _replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def _split(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
