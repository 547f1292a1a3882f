"""From a config to compiled steps: the model is built, its step lowered for one micro-batch, and XLA compiles.

Gradient accumulation is a loop of the host over one compiled micro-batch (`Program.train_step`). Measured on two CPU cores (8
micro-batches of 8 images): as fast as the whole batch, where `lax.scan` over them took 1.7 times as long, and unrolling took 1.9 times
as long, compiled twice as long and saved no memory.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from scaling.errors import UnknownName, UsageError
from trainer.compilation import Compilation, counted_compilation
from trainer.config import OptimizerConfig, TrainConfig
from trainer.execution import Execution
from trainer.memory import program_bytes
from trainer.models import family
from trainer.optimizers import sgd_agc
from trainer.sharding import Placement
from trainer.step import Accumulated, Steps, TrainState

__all__ = ["EVAL_BATCH", "CompiledSteps", "compile_steps"]

EVAL_BATCH = 256
"""Examples an evaluation step takes; the last batch of a split is padded and masked."""


@dataclass(frozen=True)
class CompiledSteps:
    """The compiled functions of `trainer.step.Steps`: `whole`, or, when gradients are accumulated, `zeros`, `accumulate` and `apply`.

    param_shapes: the tree of parameters as shapes. eval_batch: examples that `evaluate` takes.
    memory_bytes: what training needs on one device at its peak.
    """

    module: Any
    optimizer: optax.GradientTransformation
    param_shapes: Any
    evaluate: Any
    eval_batch: int
    memory_bytes: int
    compilation: Compilation
    whole: Any = None
    zeros: Any = None
    accumulate: Any = None
    apply: Any = None


def compile_steps(
    config: TrainConfig, execution: Execution, placement: Placement, micro_batch: int, limit: int | None = None
) -> CompiledSteps:
    """Compile training on `micro_batch` examples at once, and evaluation on as many as `limit` (bytes of a device) allows.

    Raises `UnknownName`, `UsageError`; `JaxRuntimeError` when the compiler itself runs out of device memory.
    """
    with counted_compilation() as compilation:
        card, everywhere = config.data.card, placement.everywhere
        module, optimizer = _module(config, execution), _optimizer(config.optimizer)
        steps = Steps(module, optimizer, config.label_smoothing, config.ema, placement.gathered)
        image = jnp.zeros((1, *card.image_shape), jnp.float32)
        params = jax.eval_shape(module.init, jax.random.key(0), image)["params"]
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
            training, memory = {"whole": whole}, program_bytes(whole)
        else:
            number = jax.ShapeDtypeStruct((), jnp.float32)
            sums, on_sums = Accumulated(number, number, params), Accumulated(everywhere, everywhere, on_params)
            training = {
                "zeros": compiled(lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), sums), (), (), on_sums),
                "accumulate": compiled(
                    steps.accumulate,
                    (params, sums, *batch, *[count] * 4),
                    (on_params, on_sums, *split, *[everywhere] * 4),
                    on_sums,
                    donated=(1,),
                ),
                "apply": compiled(
                    steps.apply,
                    (state, sums, rate, count),
                    (on_state, on_sums, everywhere, everywhere),
                    (on_state, everywhere),
                    donated=(0,),
                ),
            }
            memory = max(program_bytes(training["accumulate"]) + rest, program_bytes(training["apply"]))
        eval_batch = -(-EVAL_BATCH // placement.devices) * placement.devices
        while True:
            evaluated = _batch_shapes(eval_batch, card.eval_shape, mixes=False)
            eval_step = compiled(steps.evaluate, (params, *evaluated), (on_params, *[placement.split] * 3), everywhere)
            if limit is None or program_bytes(eval_step) + rest <= limit or eval_batch <= placement.devices:
                break
            eval_batch = -(-eval_batch // 2 // placement.devices) * placement.devices
    return CompiledSteps(module, optimizer, params, eval_step, eval_batch, memory, compilation, **training)


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


def _batch_shapes(size: int, image_shape: tuple[int, int, int], mixes: bool) -> list[jax.ShapeDtypeStruct]:
    kinds = [((size, *image_shape), jnp.float32), ((size,), jnp.int32), ((size,), jnp.float32)]
    kinds += [((size,), jnp.int32), ((size,), jnp.float32)] if mixes else []
    return [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in kinds]
