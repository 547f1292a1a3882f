"""The program of one model shape: its compiled steps, where their arrays live, and the micro-batch that fits.

Learning rate, seed and the position in the schedule are arguments, so every run of a shape shares one compilation. Programs are kept
for the life of the process and, through JAX's persistent cache, for later processes.

The loop asks a program for steps of all its runs, and names them by their places. A `Program` has one run; `trainer.packed` has several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jax.typing import ArrayLike

from scaling.errors import OutOfMemory, UsageError
from trainer.compiled import EVAL_BATCH, CompiledEvaluation, CompiledTraining, Compiler
from trainer.config import TrainConfig
from trainer.data.batch import Batch
from trainer.execution import Execution
from trainer.finite import leaf_names, non_finite_name
from trainer.layout import Layout
from trainer.memory import device_memory_bytes, fitting_micro_batch, is_out_of_memory
from trainer.models.initial import initial_variables, on_cpu
from trainer.models.protocol import Network
from trainer.sharding import Placement
from trainer.step import StepMetrics, Sums, TrainState
from trainer.typing import PyTree

if TYPE_CHECKING:
    from trainer.start import Start

__all__ = [
    "EVAL_BATCH", "Program", "StepMetrics", "Sums", "TrainState", "fitted", "in_gb", "needed_bytes", "program_for",
]  # fmt: skip


@dataclass(frozen=True)
class Program:
    """Holds the compiled steps of a model shape, and places arrays where they want them.

    micro_batch: examples that go through the network at once; `batch_size` when gradients are not accumulated.
    runs: how many are trained at once.
    """

    config: TrainConfig
    execution: Execution
    micro_batch: int
    compiler: Compiler
    training: CompiledTraining
    evaluation: CompiledEvaluation
    runs: int = 1

    @property
    def module(self) -> Network:
        """Return the Flax module."""
        return self.compiler.module

    @property
    def placement(self) -> Placement:
        return self.compiler.placement

    @property
    def layout(self) -> Layout:
        """Return the layout of parameters on the device."""
        return self.compiler.layout

    @property
    def mesh(self) -> Mesh | None:
        return self.placement.mesh

    @property
    def compile_seconds(self) -> float:
        """Return the seconds that it took to compile this shape, or to load it from JAX's cache on disk."""
        return self.training.compilation.seconds + self.evaluation.compilation.seconds

    @property
    def memory_bytes(self) -> int:
        """Return the bytes that training needs on one device at its peak."""
        return self.training.memory_bytes

    @property
    def eval_batch(self) -> int:
        """Return how many examples `eval_step` takes."""
        return self.evaluation.batch

    @property
    def micro_batches(self) -> int:
        return self.config.batch_size // self.micro_batch

    def train_step(self, state: TrainState, *arguments: PyTree) -> tuple[TrainState, StepMetrics]:
        """Take one training step: one update of the parameters.

        Args:
            state: is used up (its memory goes to the new state).
            arguments: the batch's arrays (`place_batch`), then learning rate (float32), seed and step (uint32).
        """
        if self.micro_batches == 1:
            return self.training.whole(state, *arguments)
        *batch, learning_rate, seed, step = arguments
        parts = [array if isinstance(array, tuple) else self._parts(array) for array in batch]
        sums = self.training.zeros()
        for first, part in enumerate(zip(*parts, strict=True)):
            place = np.uint32(first), np.uint32(self.micro_batches)
            sums = self.training.accumulate(state.params, sums, *part, seed, step, *place)
        return self.training.apply(state, sums, learning_rate, step)

    def begin(self, starts: Sequence[Start]) -> tuple[TrainState, int, dict[int, str]]:
        """Find where the runs begin together.

        Returns the state of all of them, the step that they are at, and the reason of each run, by its place, that does not begin with the
        others.
        """
        [start] = starts
        return start.state, start.step, {}

    def take_step(
        self, state: TrainState, batches: Sequence[Batch], learning_rates: Sequence[float], seeds: Sequence[int], step: int
    ) -> tuple[TrainState, StepMetrics]:
        """Take a training step on the loaders' batches, one a run."""
        arrays = self.place_batch(*self.batch_arrays(batches[0]))
        return self.train_step(state, *arrays, np.float32(learning_rates[0]), np.uint32(seeds[0]), np.uint32(step))

    def member(self, state: TrainState, index: int) -> TrainState:
        """Return the state of run `index`, out of that of all runs."""
        return state

    def metrics_of(self, metrics: StepMetrics, index: int) -> StepMetrics:
        """Return the metrics of run `index`, out of those of all runs."""
        return metrics

    def on_less_memory(self, execution: Execution) -> Execution:
        """Return how to go on after a step ran out of memory at run time. Raises `OutOfMemory` when the run may not.

        The state of the failed step is lost with it: place it anew from the last checkpoint.
        """
        sizes = micro_batch_sizes(self.config.batch_size, self.placement.devices)
        smaller = max((size for size in sizes if size <= self.micro_batch // 2), default=None)
        asks = f"a training step of {self.config.model.name} on {self.micro_batch} examples at once ran out of memory"
        if self.compiler.undivided:
            raise OutOfMemory(asks, hint=_UNDIVIDED.format(self.compiler.undivided))
        if smaller is None:
            raise OutOfMemory(f"{asks}, and it cannot be split", hint="use more or larger devices, or execution.fsdp")
        if execution.on_out_of_memory == "fail":
            raise OutOfMemory(
                asks,
                hint=f"write `execution: {{micro_batch: {smaller}}}`, the same result by accumulation; or `on_out_of_memory: halve`",
            )
        return replace(execution, micro_batch=smaller)

    def eval_step(self, variables: PyTree, images: ArrayLike, labels: ArrayLike, weights: ArrayLike) -> Sums:
        """Sum the scores over one evaluation batch (`place_eval_batch`).

        variables: `TrainState.evaluated`. images: [eval_batch, *card.eval_shape]; weights: 0 for padding.
        """
        return self.evaluation.evaluate(variables, images, labels, weights)

    def initial_state(self, config: TrainConfig, variables: Mapping[str, PyTree] | None = None) -> TrainState:
        """Return the state before the first step: the variables, the optimiser's first state, and averages that start at the variables.

        variables: `{"params": …, …}`, no entry stacked; None: as `drawn` gives them.

        On a mesh over several processes, all take those of process 0: another kind of CPU may round a last bit otherwise.
        """
        saved = self.compiler.saved_shapes
        by_rule = config.parent is None and hasattr(self.module, "drawn_params")
        kept: dict[str, PyTree] = dict(variables or self.drawn(config))
        if self.placement.shard[1] > 1 and not by_rule:
            kept = jax.tree.map(np.asarray, multihost_utils.broadcast_one_to_all(kept))
        params = kept.pop("params")
        if config.optimizer.starts_at_zero:
            optimizer = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), saved.optimizer)
        else:
            with on_cpu():
                optimizer = jax.tree.map(np.asarray, self.compiler.optimizer.init(params))
        average = (None, None) if config.ema is None else jax.tree.map(np.copy, (params, kept or None))
        return self.place(TrainState(params, optimizer, average[0], kept or None, average[1]))

    def drawn(self, config: TrainConfig) -> dict[str, PyTree]:
        """Draw the parameters, and state beside them, by the run's seed: `{"params": …, …}` in host memory, no entry stacked."""
        saved = self.compiler.saved_shapes
        shapes = {"params": saved.params, **(saved.collections or {})}
        return initial_variables(self.module, seed=config.seed, image_shape=config.data.card.image_shape, shapes=shapes)

    def place(self, state: TrainState) -> TrainState:
        """Put a state from host memory, as checkpoints have it, on the device, or on all devices of the mesh."""
        return self.placement.put(self.layout.stacked(state))

    def batch_arrays(self, batch: Batch) -> tuple[np.ndarray, ...]:
        """Return a loader's batch as the arrays of a step: second labels only for runs that mix images."""
        plain = batch.images, batch.labels, batch.weights
        return (*plain, batch.other_labels, batch.mix) if self.config.augment.mixes else plain

    def place_batch(self, *arrays: np.ndarray) -> tuple[PyTree, ...]:
        """Put the arrays of a training batch (this process's part, `placement.shard`) where the step wants them.

        When gradients are accumulated, each becomes a tuple of micro-batches.
        """
        return tuple(map(self._parts if self.micro_batches > 1 else self.placement.put_batch, arrays))

    def place_eval_batch(self, *arrays: np.ndarray) -> tuple[ArrayLike, ...]:
        """Put the arrays of an evaluation batch (this process's part) where `eval_step` wants them."""
        return tuple(map(self.placement.put_batch, arrays))

    def name_non_finite(self, metrics: StepMetrics) -> str | None:
        """Name what is not finite in a step: `the loss (nan)`, `the gradient of block3/conv1/kernel and 2 more`; None if nothing."""
        names = leaf_names(self.compiler.param_shapes, self.layout)
        tensors = [("gradient of", metrics.gradients_finite, names), ("parameter", metrics.params_finite, names)]
        if metrics.state_finite is not None:
            tensors.append(("state", metrics.state_finite, leaf_names(self.compiler.state_shapes.collections, self.layout)))
        return non_finite_name(metrics.loss, tensors)

    def _parts(self, array: np.ndarray) -> tuple[ArrayLike, ...]:
        """Split a batch into micro-batches of every `micro_batches`-th row: so each device's share of the batch holds its share of each."""
        return tuple(
            self.placement.put_batch(np.ascontiguousarray(array[first :: self.micro_batches]))
            for first in range(self.micro_batches)
        )


def program_for(
    config: TrainConfig,
    execution: Execution | None = None,
    mesh: Mesh | None = None,
    *,
    memory_limit_bytes: int | None = None,
) -> Program:
    """Compile the program of a config's shape, once a process.

    Args:
        execution: micro-batch, scan, rematerialisation, FSDP, and what to do when a step does not fit.
        mesh: devices to split each batch over; None is one device.
        memory_limit_bytes: stands in for the device's own limit.

    Raises:
        UsageError: a batch that does not split as asked, or a family that does not know what `execution` asks for.
        OutOfMemory: a step does not fit the device; says which micro-batch does.
    """
    execution = execution or Execution()
    compiler, size, limit = fitted(config, execution, mesh, memory_limit_bytes)
    need = needed_bytes(compiler.training, size)
    if limit is not None and need > limit and compiler.undivided:
        asks = f"{_asks(config, size)}: it needs {in_gb(need)}, a device has {in_gb(limit)}"
        raise OutOfMemory(asks, hint=_UNDIVIDED.format(compiler.undivided))
    if limit is not None and need > limit:
        size = _fitting(compiler, size, need, limit, may_go_on=execution.on_out_of_memory == "halve")
    return _program(compiler, replace(execution.computation, micro_batch=size), limit)


def fitted(
    config: TrainConfig, execution: Execution, mesh: Mesh | None, memory_limit_bytes: int | None
) -> tuple[Compiler, int, int | None]:
    """Return what `program_for` is made of: the shape's compiler, the micro-batch that is asked for, and the bytes of a device.

    Raises as `program_for` does.
    """
    placement = Placement(mesh, execution.fsdp)
    compiler = _compiler(config.shape_id(), execution.scan, execution.remat, placement, _Unkeyed(config))
    size = _micro_batch(execution.micro_batch or config.batch_size, config.batch_size, placement.devices)
    for asked, what in (
        (size < config.batch_size, "micro_batch"),
        (execution.on_out_of_memory == "halve", "on_out_of_memory: halve"),
    ):
        if asked and compiler.undivided:
            raise UsageError(
                f"{compiler.undivided}, so execution.{what} would change its result", hint=f"leave execution.{what} out"
            )
    return compiler, size, memory_limit_bytes or device_memory_bytes(placement.device)


@dataclass(frozen=True)
class _Unkeyed:
    """Passes a config along without making it part of a cache's key: every instance equals every other."""

    config: TrainConfig = field(compare=False)


@lru_cache(maxsize=8)
def _compiler(_shape: str, scan: bool | None, remat: str, placement: Placement, template: _Unkeyed) -> Compiler:
    return Compiler(template.config, Execution(scan=scan, remat=remat, fsdp=placement.fsdp), placement)


@lru_cache(maxsize=8)
def _program(compiler: Compiler, execution: Execution, limit: int | None) -> Program:
    assert execution.micro_batch is not None
    training = compiler.training(execution.micro_batch)
    return Program(compiler.config, execution, execution.micro_batch, compiler, training, compiler.evaluation(limit))


def _micro_batch(asked: int, batch_size: int, devices: int) -> int:
    size = max((size for size in micro_batch_sizes(batch_size, devices) if size <= asked), default=None)
    if size is None:
        raise UsageError(
            f"a micro-batch of {asked} is less than one example for each of {devices} devices",
            hint=f"make execution.micro_batch at least {devices}",
        )
    return size


def needed_bytes(compiled: Callable[[int], CompiledTraining], size: int) -> float:
    """Return the bytes that training needs on a device; `inf` when the compiler itself finds that it does not fit."""
    try:
        return compiled(size).memory_bytes
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return math.inf


def _fitting(compiler: Compiler, size: int, need: float, limit: int, *, may_go_on: bool) -> int:
    """Find the micro-batch to go on with. Raises `OutOfMemory` when there is none, or when the run may not."""
    config, placement = compiler.config, compiler.placement
    found = fitting_micro_batch(
        partial(needed_bytes, compiler.training),
        micro_batch_sizes(config.batch_size, placement.devices),
        limit=limit,
        start=(size, need),
        fixed=placement.bytes_per_device(compiler.state_shapes),
    )
    asks = f"{_asks(config, size)}: it needs {in_gb(need)}, a device has {in_gb(limit)}"
    if found is None:
        raise OutOfMemory(
            f"{asks}, and no smaller micro-batch fits", hint="use more or larger devices, execution.fsdp, or execution.remat: block"
        )
    if not may_go_on:
        raise OutOfMemory(
            f"{asks}; a micro-batch of {found[0]} would need {in_gb(found[1])}",
            hint=f"write `execution: {{micro_batch: {found[0]}}}`, the same result by accumulation; or `on_out_of_memory: halve`",
        )
    return found[0]


_UNDIVIDED = "use more or larger devices, execution.fsdp, or execution.remat: {}"


def _asks(config: TrainConfig, size: int) -> str:
    return f"a training step of {config.model.name} on {size} examples at once is out of memory"


def micro_batch_sizes(batch_size: int, devices: int) -> list[int]:
    """List the micro-batches that split a batch evenly, and themselves over the devices; smallest first.

    Raises `UsageError` when none does.
    """
    if batch_size % devices:
        raise UsageError(f"a batch of {batch_size} does not split over {devices} devices", hint="make batch_size a multiple of it")
    each = batch_size // devices
    return [devices * size for size in range(1, each + 1) if each % size == 0]


def in_gb(number: float) -> str:
    """Say a number of bytes in GB."""
    return "more than the compiler allows" if math.isinf(number) else f"{number / 1e9:.3g} GB"
