"""From a config to compiled steps: the model is built, its steps are lowered for one size of batch, and XLA compiles them.

Gradient accumulation is a loop of the host over one compiled micro-batch (`Program.train_step`). Measured on two CPU cores (8
micro-batches of 8 images): as fast as the whole batch, where `lax.scan` over them took 1.7 times as long, and unrolling took 1.9 times
as long, compiled twice as long and saved no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import jax
import jax.numpy as jnp
from jax.stages import Compiled

from scaling.errors import UsageError
from trainer.backend import compiler_options, keep_freed_memory
from trainer.compilation import Compilation, counted_compilation
from trainer.config import TrainConfig
from trainer.execution import Execution
from trainer.head import head_of
from trainer.layer_decay import layer_rates, with_layer_rates
from trainer.layout import Layout
from trainer.memory import fitting_micro_batch, program_bytes
from trainer.models import family
from trainer.models.building import built, named_by_build
from trainer.models.initial import variable_shapes
from trainer.models.protocol import Network
from trainer.optimizers.masks import Masks, is_clipped, is_decayed
from trainer.sharding import Placement
from trainer.step import Accumulated, StepMetrics, Steps, Sums, TrainState
from trainer.typing import ImageShape, PyTree

__all__ = ["EVAL_BATCH", "CompiledEvaluation", "CompiledTraining", "Compiler"]

EVAL_BATCH = 256
"""Examples an evaluation step takes; the last batch of a split is padded and masked."""


def _other_form(*_: PyTree) -> NoReturn:
    raise AssertionError("the step was compiled in another form")


@dataclass(frozen=True)
class CompiledTraining:
    """Holds the compiled functions of `trainer.step.Steps`: `whole`, or, when gradients are accumulated, `zeros`, `accumulate` and `apply`.

    memory_bytes: what training needs on one device at its peak.
    """

    memory_bytes: int
    compilation: Compilation
    whole: Callable[..., tuple[TrainState, StepMetrics]] = _other_form
    zeros: Callable[[], Accumulated] = _other_form
    accumulate: Callable[..., Accumulated] = _other_form
    apply: Callable[..., tuple[TrainState, StepMetrics]] = _other_form


@dataclass(frozen=True)
class CompiledEvaluation:
    """Holds the compiled `evaluate` of `trainer.step.Steps`, for `batch` examples at once."""

    batch: int
    memory_bytes: int
    compilation: Compilation
    evaluate: Callable[..., Sums]


class Compiler:
    """Compiles the steps of one model shape, each size of batch once.

    layout: of parameters on the device. param_shapes, variable_shapes, state_shapes: trees of shapes in it, of the parameters, of what is
        evaluated, and of a whole `TrainState`.
    saved_shapes: of a `TrainState` as checkpoints have it. steps: what is compiled.
    Raises `UnknownName`, `UsageError` for a config that cannot be built, or a module that cannot be trained here
    (`variable_shapes`), or whose `parameter_stacks` do not fit it.
    """

    def __init__(self, config: TrainConfig, execution: Execution, placement: Placement) -> None:
        self.config, self.placement = config, placement
        self.module = _module(config, execution)
        self.layout = Layout.of(self.module)
        known = family(config.model.family)
        self.optimizer = config.optimizer.build(
            Masks(self.layout.is_stacked, known.decayed or is_decayed, known.clipped or is_clipped)
        )
        collections = variable_shapes(self.module, image_shape=config.data.card.image_shape)
        params = collections.pop("params")
        state = params, jax.eval_shape(self.optimizer.init, params)
        kept = collections or None
        self.saved_shapes = TrainState(*state, None, kept) if config.ema is None else TrainState(*state, params, kept, kept)
        self.layout.check(self.saved_shapes)
        if config.parent is not None and config.parent.layer_decay != 1:
            head = {path[1:] for path in head_of(config) if path[0] == "params"}
            rates = layer_rates(params, config.parent.layer_decay, layer_of=known.layer, head=head)
            self.optimizer = with_layer_rates(self.optimizer, rates, self.layout)
        self.steps = Steps(
            self.module, self.optimizer, config.label_smoothing, config.ema, placement.gathered, self.layout, config.sam
        )
        self.state_shapes = self.layout.stacked(self.saved_shapes)
        self.param_shapes = self.state_shapes.params
        self.variable_shapes = self.state_shapes.evaluated
        self._training: dict[int, CompiledTraining] = {}
        self._evaluation: dict[int, CompiledEvaluation] = {}

    def training(self, micro_batch: int) -> CompiledTraining:
        """Compile a training step with `micro_batch` examples at once. Raises `JaxRuntimeError` when the compiler runs out of memory."""
        if micro_batch not in self._training:
            whole = micro_batch == self.config.batch_size
            self._training[micro_batch] = self._whole_step() if whole else self._accumulated_step(micro_batch)
        return self._training[micro_batch]

    @property
    def undivided(self) -> str:
        """Say why a step takes its batch whole; empty where it may be taken in micro-batches with the same result."""
        model, collections = self.config.model.name, self.saved_shapes.collections
        if collections is not None:
            return f"{model} keeps state ({', '.join(collections)}) that is of whole batches"
        return "SAM takes its way up from a part of the whole batch" if self.config.sam else ""

    @property
    def arguments(self) -> tuple[PyTree, ...]:
        """Return the shapes of what a step on a whole batch takes: the state, the batch's arrays, learning rate, seed, step."""
        return self.state_shapes, *self._batch(self.config.batch_size), _RATE, _COUNT, _COUNT

    def evaluation(self, limit: int | None) -> CompiledEvaluation:
        """Compile an evaluation step of `EVAL_BATCH` examples, or of as many as fit into `limit` bytes of a device beside the state."""
        devices = self.placement.devices
        sizes = sorted({-(-(EVAL_BATCH >> halvings) // devices) * devices for halvings in range(EVAL_BATCH.bit_length())})
        first = self._evaluation_of(sizes[-1])
        if limit is None or first.memory_bytes <= limit:
            return first
        fits = fitting_micro_batch(
            lambda size: self._evaluation_of(size).memory_bytes,
            sizes,
            limit=limit,
            start=(sizes[-1], first.memory_bytes),
            fixed=self.placement.bytes_per_device(self.state_shapes),
        )
        return self._evaluation_of(fits[0] if fits else sizes[0])

    def _evaluation_of(self, size: int) -> CompiledEvaluation:
        if size not in self._evaluation:
            self._evaluation[size] = self._evaluation_step(size)
        return self._evaluation[size]

    def _whole_step(self) -> CompiledTraining:
        arguments, on_state = self.arguments, self.placement.of_state(self.state_shapes)
        split, everywhere = self.placement.split, self.placement.everywhere
        with counted_compilation() as compilation:
            whole = self.compiled(
                self.steps.whole,
                arguments,
                (on_state, *[split] * (len(arguments) - 4), *[everywhere] * 3),
                (on_state, everywhere),
                donated=0,
            )
        return CompiledTraining(program_bytes(whole), compilation, whole=whole)

    def _accumulated_step(self, micro_batch: int) -> CompiledTraining:
        state, batch, everywhere = self.state_shapes, self._batch(micro_batch), self.placement.everywhere
        sums = Accumulated(_RATE, _RATE, state.params)
        on_state, on_params = self.placement.of_state(state), self.placement.of_state(state.params)
        on_sums = Accumulated(everywhere, everywhere, on_params)
        with counted_compilation() as compilation:
            zeros = self.compiled(lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), sums), (), (), on_sums)
            accumulate = self.compiled(
                self.steps.accumulate,
                (state.params, sums, *batch, *[_COUNT] * 4),
                (on_params, on_sums, *[self.placement.split] * len(batch), *[everywhere] * 4),
                on_sums,
                donated=1,
            )
            apply = self.compiled(
                self.steps.apply,
                (state, sums, _RATE, _COUNT),
                (on_state, on_sums, everywhere, everywhere),
                (on_state, everywhere),
                donated=0,
            )
        memory = max(program_bytes(accumulate) + self._bytes_beside(self.param_shapes), program_bytes(apply))
        return CompiledTraining(memory, compilation, zeros=zeros, accumulate=accumulate, apply=apply)

    def _evaluation_step(self, size: int) -> CompiledEvaluation:
        variables, card, split = self.variable_shapes, self.config.data.card, self.placement.split
        batch = _batch_shapes(size, card.eval_shape, mixes=False)
        with counted_compilation() as compilation:
            evaluate = self.compiled(
                self.steps.evaluate,
                (variables, *batch),
                (self.placement.of_state(variables), split, split, split),
                self.placement.everywhere,
            )
        return CompiledEvaluation(size, program_bytes(evaluate) + self._bytes_beside(variables), compilation, evaluate)

    def _batch(self, size: int) -> list[jax.ShapeDtypeStruct]:
        return _batch_shapes(size, self.config.data.card.image_shape, self.config.augment.mixes)

    def _bytes_beside(self, part: PyTree) -> int:
        """Return the bytes of the state on a device without a part of it, which a program that takes only that part does not count."""
        return self.placement.bytes_per_device(self.state_shapes) - self.placement.bytes_per_device(part)

    def compiled(
        self,
        function: Callable[..., PyTree],
        shapes: Sequence[PyTree],
        placed: Sequence[PyTree] = (),
        result: PyTree = None,
        donated: int | Sequence[int] = (),
    ) -> Compiled:
        """Compile a function of arrays of these shapes. placed, result: on a mesh, how arguments and results are split."""
        shardings = {} if self.placement.mesh is None else {"in_shardings": tuple(placed), "out_shardings": result}
        keep_freed_memory()
        lowered = jax.jit(function, donate_argnums=donated, **shardings).lower(*shapes)
        return lowered.compile(compiler_options=compiler_options())


_RATE = jax.ShapeDtypeStruct((), jnp.float32)
_COUNT = jax.ShapeDtypeStruct((), jnp.uint32)


def _module(config: TrainConfig, execution: Execution) -> Network:
    """Build the model, with `scan` and `remat` for families that know them. Raises `UsageError` when another one is asked for them."""
    model, card = config.model, config.data.card
    for name, asked in (("scan", execution.scan is True), ("remat", execution.remat != "none")):
        if asked and name not in named_by_build(model.family):
            raise UsageError(
                f"family {model.family} does not know execution.{name}", hint=f"leave it out, or let its build take `{name}`"
            )
    return built(
        model.family,
        model.name,
        model.options,
        num_classes=card.num_classes,
        image_shape=card.image_shape,
        dtype=jnp.dtype(config.numerics.dtype),
        scan=execution.scan if execution.scan is not None else jax.default_backend() in ("gpu", "tpu"),
        remat=execution.remat,
    )


def _batch_shapes(size: int, image_shape: ImageShape, mixes: bool) -> list[jax.ShapeDtypeStruct]:
    kinds = [((size, *image_shape), jnp.float32), ((size,), jnp.int32), ((size,), jnp.float32)]
    kinds += [((size,), jnp.int32), ((size,), jnp.float32)] if mixes else []
    return [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in kinds]
