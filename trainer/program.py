"""The compiled programs of one model shape, and where their arrays live.

Learning rate, seed and the position in the schedule are arguments, so every run of a shape shares one compilation. Programs are kept
for the life of the process and, through JAX's persistent cache, for later processes.

Gradient accumulation is a loop of the host over one compiled micro-batch. Measured on two CPU cores (8 micro-batches of 8 images):
as fast as the whole batch, where `lax.scan` took 1.7 times as long, and unrolling compiled twice as long and saved no memory.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from scaling.errors import OutOfMemory, UnknownName, UsageError
from trainer.compilation import Compilation, counted_compilation
from trainer.config import OptimizerConfig, TrainConfig
from trainer.execution import Execution
from trainer.finite import leaf_names, non_finite_name
from trainer.memory import device_memory_bytes, fitting_micro_batch, is_out_of_memory, program_bytes
from trainer.models import family
from trainer.models.initial import initial_params
from trainer.optimizers import sgd_agc
from trainer.sharding import Placement
from trainer.step import Accumulated, StepMetrics, Steps, Sums, TrainState

__all__ = ["EVAL_BATCH", "Program", "StepMetrics", "Sums", "TrainState", "halved", "program_for"]

EVAL_BATCH = 256
"""Examples an evaluation step takes; the last batch of a split is padded and masked."""


@dataclass(frozen=True)
class _Compiled:
    """A training step: `whole`, or, when gradients are accumulated, `zeros`, `accumulate` and `apply` (see `trainer.step.Steps`)."""

    whole: Any = None
    zeros: Any = None
    accumulate: Any = None
    apply: Any = None


@dataclass(frozen=True)
class Program:
    """Compiled steps.

    `eval_step(params, images [eval_batch, …], labels, weights) → Sums`; images are of `card.eval_shape`.
    micro_batch: examples that go through the network at once; `batch_size` when gradients are not accumulated.
    memory_bytes: what a training step needs on one device.
    compilation: what it took to get here; `compile_seconds` of it.
    """

    config: TrainConfig
    execution: Execution
    module: Any
    optimizer: optax.GradientTransformation
    placement: Placement
    micro_batch: int
    eval_batch: int
    eval_step: Any
    memory_bytes: int
    compilation: Compilation
    _steps: _Compiled

    @property
    def mesh(self) -> Mesh | None:
        return self.placement.mesh

    @property
    def compile_seconds(self) -> float:
        return self.compilation.seconds

    @property
    def micro_batches(self) -> int:
        return self.config.batch_size // self.micro_batch

    def train_step(self, state: TrainState, *arguments: Any) -> tuple[TrainState, StepMetrics]:
        """One update.

        Args:
            state: is used up (its memory goes to the new state).
            arguments: the batch's arrays (`place_batch`), then learning rate (float32), seed and step (uint32).
        """
        if self.micro_batches == 1:
            return self._steps.whole(state, *arguments)
        *batch, learning_rate, seed, step = arguments
        parts = [array if isinstance(array, tuple) else self._parts(array) for array in batch]
        sums = self._steps.zeros()
        for first, part in enumerate(zip(*parts, strict=True)):
            place = np.uint32(first), np.uint32(self.micro_batches)
            sums = self._steps.accumulate(state.params, sums, *part, seed, step, *place)
        return self._steps.apply(state, sums, learning_rate, step)

    def initial_state(self, config: TrainConfig) -> TrainState:
        """Parameters by the run's seed, an optimiser state of zeros, and an average that starts at the parameters. Compiles nothing."""
        params = initial_params(self.module, seed=config.seed, image_shape=config.data.card.image_shape)
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(self.optimizer.init, params))
        return self.place(TrainState(params, zeros, None if config.ema is None else jax.tree.map(np.copy, params)))

    def place(self, state: TrainState) -> TrainState:
        """A state from host memory on the device, or on all devices of the mesh."""
        return self.placement.put(state)

    def batch_arrays(self, batch: Any) -> tuple[Any, ...]:
        """A loader's batch as the arrays of a step: second labels only for runs that mix images."""
        plain = batch.images, batch.labels, batch.weights
        return (*plain, batch.other_labels, batch.mix) if self.config.augment.mixes else plain

    def place_batch(self, *arrays: Any) -> tuple[Any, ...]:
        """The arrays of a training batch (this process's part, `placement.shard`) where the step wants them.

        When gradients are accumulated, each becomes a tuple of micro-batches.
        """
        return tuple(map(self._parts if self.micro_batches > 1 else self.placement.put_batch, arrays))

    def place_eval_batch(self, *arrays: Any) -> tuple[Any, ...]:
        """The arrays of an evaluation batch (this process's part) where `eval_step` wants them."""
        return tuple(map(self.placement.put_batch, arrays))

    def name_non_finite(self, metrics: StepMetrics) -> str | None:
        """What left the finite numbers in a step: `the loss (nan)`, `the gradient of block3/conv1/kernel and 2 more`; None if nothing."""
        names = leaf_names(_param_shapes(self.module, self.config))
        return non_finite_name(metrics.loss, metrics.gradients_finite, metrics.params_finite, names)

    def _parts(self, array: Any) -> tuple[Any, ...]:
        """Every `micro_batches`-th row: so each device's share of the batch holds its share of each micro-batch."""
        return tuple(
            self.placement.put_batch(np.ascontiguousarray(array[first :: self.micro_batches]))
            for first in range(self.micro_batches)
        )


@dataclass(frozen=True, eq=False)
class _Hashable:
    """Lets a config ride along without being part of the cache's key."""

    config: TrainConfig

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashable)


def program_for(
    config: TrainConfig, execution: Execution | None = None, mesh: Mesh | None = None, *, memory_limit_bytes: int | None = None
) -> Program:
    """The program of a config's shape; compiled once a process.

    Args:
        execution: micro-batch, scan, rematerialisation, FSDP, and what to do when a step does not fit.
        mesh: devices to split each batch over; None is one device.
        memory_limit_bytes: stands in for the device's own limit.

    Raises:
        UsageError: a batch that does not split as asked, or a family that does not know what `execution` asks for.
        OutOfMemory: a step does not fit the device; says which micro-batch does.
    """
    execution = execution or Execution()
    placement = Placement(mesh, execution.fsdp)
    return _program(config.shape_id(), execution.computation, placement, memory_limit_bytes, _Hashable(config))


@lru_cache(maxsize=8)
def _program(_shape: str, execution: Execution, placement: Placement, limit: int | None, template: _Hashable) -> Program:
    config = template.config
    sizes = micro_batch_sizes(config.batch_size, placement.devices)
    whole = config.batch_size if execution.micro_batch is None else execution.micro_batch
    size = max((size for size in sizes if size <= whole), default=None)
    if size is None:
        raise UsageError(
            f"a micro-batch of {whole} is less than one example for each of {placement.devices} devices",
            hint=f"make execution.micro_batch at least {placement.devices}",
        )
    limit = limit or device_memory_bytes(placement.device)
    program, need = _compile_within(config, execution, placement, size, limit)
    if program is not None:
        return program
    assert limit is not None
    found: dict[int, Program | None] = {}

    def needed(candidate: int) -> float:
        found[candidate], need = _compile_within(config, execution, placement, candidate, limit)
        return need

    fits = fitting_micro_batch(needed, sizes, limit=limit, start=(size, need))
    asks = f"a training step of {config.model.name} on {size} examples at once is out of memory: it needs {_gb(need)}, a device has {_gb(limit)}"
    if fits is None:
        raise OutOfMemory(
            f"{asks}, and no smaller micro-batch fits", hint="use more or larger devices, execution.fsdp, or execution.remat: block"
        )
    if execution.on_out_of_memory == "fail":
        raise OutOfMemory(
            f"{asks}; a micro-batch of {fits[0]} would need {_gb(fits[1])}",
            hint=f"write `execution: {{micro_batch: {fits[0]}}}`, the same result by accumulation; or `on_out_of_memory: halve`",
        )
    fitting = found[fits[0]]
    assert fitting is not None
    return fitting


def _compile_within(
    config: TrainConfig, execution: Execution, placement: Placement, micro_batch: int, limit: int | None
) -> tuple[Program | None, float]:
    """The program, if it fits, and what it needs; `inf` when the compiler itself finds that it does not fit."""
    try:
        program = _compile(config, execution, placement, micro_batch, limit)
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None, math.inf
    return (program if limit is None or program.memory_bytes <= limit else None), program.memory_bytes


def halved(program: Program) -> Execution | None:
    """The execution to go on with after a step of `program` ran out of memory at run time; None when there is nothing smaller.

    The state of the failed step is lost with it: place it anew from the last checkpoint.
    """
    smaller = [
        size for size in micro_batch_sizes(program.config.batch_size, program.placement.devices) if size <= program.micro_batch // 2
    ]
    return replace(program.execution, micro_batch=smaller[-1]) if smaller else None


def micro_batch_sizes(batch_size: int, devices: int) -> list[int]:
    """Micro-batches that split a batch evenly, and themselves over the devices; smallest first. Raises `UsageError` when none does."""
    if batch_size % devices:
        raise UsageError(f"a batch of {batch_size} does not split over {devices} devices", hint="make batch_size a multiple of it")
    each = batch_size // devices
    return [devices * size for size in range(1, each + 1) if each % size == 0]


def _compile(config: TrainConfig, execution: Execution, placement: Placement, micro_batch: int, limit: int | None) -> Program:
    with counted_compilation() as compilation:
        card, everywhere = config.data.card, placement.everywhere
        module, optimizer = _module(config, execution), _optimizer(config.optimizer)
        steps = Steps(module, optimizer, config.label_smoothing, config.ema, placement.gathered)
        params = _param_shapes(module, config)
        state = TrainState(params, jax.eval_shape(optimizer.init, params), None if config.ema is None else params)
        rate, count = jax.ShapeDtypeStruct((), jnp.float32), jax.ShapeDtypeStruct((), jnp.uint32)
        batch = _batch_shapes(micro_batch, card.image_shape, config.augment.mixes)
        split = (placement.split,) * len(batch)

        def compiled(function: Any, shapes: Sequence[Any], placed: Sequence[Any], result: Any, donated: Sequence[int] = ()) -> Any:
            shardings = {} if placement.mesh is None else {"in_shardings": tuple(placed), "out_shardings": result}
            return jax.jit(function, donate_argnums=donated, **shardings).lower(*shapes).compile()

        rest = placement.bytes_per_device(state) - placement.bytes_per_device(params)  # stays on the device beside the parameters
        on_state, on_params = placement.of_state(state), placement.of_state(params)
        if micro_batch == config.batch_size:
            whole = compiled(
                steps.whole,
                (state, *batch, rate, count, count),
                (on_state, *split, *[everywhere] * 3),
                (on_state, everywhere),
                donated=(0,),
            )
            training, memory = _Compiled(whole), program_bytes(whole)
        else:
            number = jax.ShapeDtypeStruct((), jnp.float32)
            sums, on_sums = Accumulated(number, number, params), Accumulated(everywhere, everywhere, on_params)
            training = _Compiled(
                zeros=compiled(lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), sums), (), (), on_sums),
                accumulate=compiled(
                    steps.accumulate,
                    (params, sums, *batch, *[count] * 4),
                    (on_params, on_sums, *split, *[everywhere] * 4),
                    on_sums,
                    donated=(1,),
                ),
                apply=compiled(
                    steps.apply,
                    (state, sums, rate, count),
                    (on_state, on_sums, everywhere, everywhere),
                    (on_state, everywhere),
                    donated=(0,),
                ),
            )
            memory = max(program_bytes(training.accumulate) + rest, program_bytes(training.apply))
        eval_batch = -(-EVAL_BATCH // placement.devices) * placement.devices
        while True:
            evaluated = _batch_shapes(eval_batch, card.eval_shape, mixes=False)
            eval_step = compiled(steps.evaluate, (params, *evaluated), (on_params, *[placement.split] * 3), everywhere)
            if limit is None or program_bytes(eval_step) + rest <= limit or eval_batch <= placement.devices:
                break
            eval_batch = -(-eval_batch // 2 // placement.devices) * placement.devices
    return Program(
        config=config,
        execution=execution,
        module=module,
        optimizer=optimizer,
        placement=placement,
        micro_batch=micro_batch,
        eval_batch=eval_batch,
        eval_step=eval_step,
        memory_bytes=memory,
        compilation=compilation,
        _steps=training,
    )


def _module(config: TrainConfig, execution: Execution) -> Any:
    """The model, with `scan` and `remat` passed on to families that know them. Raises `UsageError` when one that does not is asked."""
    build = family(config.model.family).build
    scan = execution.scan if execution.scan is not None else jax.default_backend() in ("gpu", "tpu")
    wanted = {"scan": scan, "remat": execution.remat}
    known = {name: value for name, value in wanted.items() if name in inspect.signature(build).parameters}
    for name, asked in (("scan", execution.scan is True), ("remat", execution.remat != "none")):
        if asked and name not in known:
            raise UsageError(
                f"family {config.model.family} does not know execution.{name}", hint=f"leave it out, or let its build take `{name}`"
            )
    classes, dtype = config.data.card.num_classes, jnp.dtype(config.numerics.dtype)
    return build(config.model.name, num_classes=classes, dtype=dtype, **known, **config.model.options)


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


def _param_shapes(module: Any, config: TrainConfig) -> Any:
    return jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, *config.data.card.image_shape), jnp.float32))["params"]


def _batch_shapes(size: int, image_shape: tuple[int, int, int], mixes: bool) -> list[jax.ShapeDtypeStruct]:
    kinds = [((size, *image_shape), jnp.float32), ((size,), jnp.int32), ((size,), jnp.float32)]
    kinds += [((size,), jnp.int32), ((size,), jnp.float32)] if mixes else []
    return [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in kinds]


def _gb(number: float) -> str:
    return "more than the compiler allows" if math.isinf(number) else f"{number / 1e9:.3g} GB"
