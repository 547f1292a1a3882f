"""Packing: several runs of one shape, trained at once in one program; each as `trainer.train` would have trained it.

It is meant for small models that leave a device idle. Every run has its own folder, checkpoints, audit, events and result, in the same
formats: a run can be packed in one attempt and alone in the next. Its seconds are its share, 1/K of those that passed.

All that only packs need is in this file. States and batches have a leading axis of K, `[K, …]`; learning rates and seeds are `[K]`; the
step is common. Two forms compute the same sums:

- `vectorised`: `jax.vmap` over the runs. A device that one small run leaves idle gets K times as much to do at once. For TPU and GPU.
- `looped`: `jax.lax.map`, one run after the other inside the program. For the CPU, which one run keeps busy already. `vmap` makes one
  grouped convolution of K convolutions, and those take a generic path there (`trainer.models.nfnet.convolution`).
  `docs/packing.md` has the measurements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from scaling.errors import OutOfMemory, UsageError
from trainer.compilation import counted_compilation
from trainer.compiled import CompiledTraining, Compiler
from trainer.config import TrainConfig
from trainer.data.batch import Batch
from trainer.execution import Execution
from trainer.memory import program_bytes
from trainer.program import Program, fitted, in_gb, needed_bytes
from trainer.start import Start
from trainer.step import StepMetrics, TrainState
from trainer.typing import PyTree

__all__ = ["FORMS", "PackedProgram", "check_alike", "default_form", "packed_program"]

Step = Callable[..., tuple[TrainState, StepMetrics]]
"""Takes a training step, as `Steps.whole` does."""


def check_alike(configs: Sequence[TrainConfig], directories: Sequence[str | Path]) -> None:
    """Raise `UsageError` for runs that cannot be trained together."""
    if not configs or len(directories) != len(configs):
        raise UsageError(f"{len(configs)} runs and {len(directories)} folders", hint="give every run a folder of its own")
    if len({str(directory) for directory in directories}) < len(configs):
        raise UsageError("two runs are to write to one folder", hint="give every run a folder of its own")
    first, *others = map(_without_what_may_differ, configs)
    for other in others:
        if other != first:
            ours, theirs = first.to_dict(), other.to_dict()
            fields = ", ".join(name for name in ours if ours[name] != theirs[name])
            raise UsageError(
                f"runs that differ in {fields} cannot be trained at once",
                hint="pack runs that differ in learning_rate and seed alone",
            )


def _without_what_may_differ(config: TrainConfig) -> TrainConfig:
    """Leave out learning rate, seed, and which run a fine-tuned one starts from: each seed has a parent of its own."""
    parent = config.parent and replace(config.parent, run="")
    return replace(config, learning_rate=0.0, seed=0, parent=parent)


def packed_program(
    config: TrainConfig,
    execution: Execution | None = None,
    mesh: Mesh | None = None,
    *,
    runs: int,
    memory_limit_bytes: int | None = None,
) -> Program:
    """Compile the program of `runs` runs of a config's shape, on one device and on whole batches; once a process.

    memory_limit_bytes: stands in for the device's own limit.
    Raises `UsageError` for what packed runs do not do, `OutOfMemory` when they do not fit together.
    """
    execution = (execution or Execution()).computation
    compiler, micro_batch, limit = fitted(config, execution, mesh, memory_limit_bytes)
    for refused, what in ((mesh is not None, "several devices"), (micro_batch < config.batch_size, "execution.micro_batch")):
        if refused:
            raise UsageError(f"runs that are trained at once cannot use {what}", hint="leave it out, or execution.pack")
    compiled = partial(_compiled, compiler, default_form())
    need = needed_bytes(lambda runs: compiled(runs)[0], runs)
    if limit is not None and need > limit:
        raise OutOfMemory(
            f"{runs} runs of {config.model.name} at once are out of memory: they need {in_gb(need)}, a device has {in_gb(limit)}",
            hint="make execution.pack smaller",
        )
    training, member = compiled(runs)
    execution = replace(execution, micro_batch=micro_batch)
    return PackedProgram(
        compiler.config, execution, micro_batch, compiler, training, compiler.evaluation(limit), runs, one_of=member
    )


@dataclass(frozen=True)
class PackedProgram(Program):
    """Holds the compiled steps of several runs at once. one_of: takes one run's state, by its place, out of all."""

    one_of: Callable[[TrainState, np.uint32], TrainState] = field(kw_only=True)

    def begin(self, starts: Sequence[Start]) -> tuple[TrainState, int, dict[int, str]]:
        """Begin at the step that most runs are at; of equally many the furthest."""
        counted = Counter(start.step for start in starts)
        step = max(counted, key=lambda step: (counted[step], step))
        apart = {
            index: f"it goes on from step {start.step}, the runs packed with it from {step}; it is trained without them"
            for index, start in enumerate(starts)
            if start.step != step
        }
        together = jax.tree.map(lambda *leaves: np.stack(leaves), *(start.state for start in starts))
        return self.placement.put(together), step, apart

    def place(self, state: TrainState) -> TrainState:
        """Keep a state in host memory until `begin` has all of them."""
        return self.layout.stacked(state)

    def take_step(
        self, state: TrainState, batches: Sequence[Batch], learning_rates: Sequence[float], seeds: Sequence[int], step: int
    ) -> tuple[TrainState, StepMetrics]:
        """Take a step of all runs, those that are over included."""
        arrays = [np.stack(parts) for parts in zip(*map(self.batch_arrays, batches), strict=True)]
        return self.train_step(state, *arrays, np.array(learning_rates, np.float32), np.array(seeds, np.uint32), np.uint32(step))

    def member(self, state: TrainState, index: int) -> TrainState:
        return self.one_of(state, np.uint32(index))

    def metrics_of(self, metrics: StepMetrics, index: int) -> StepMetrics:
        return jax.tree.map(lambda values: np.asarray(values)[index], metrics)

    def on_less_memory(self, execution: Execution) -> Execution:
        """Raise `OutOfMemory`: a pack is not split."""
        raise OutOfMemory(
            f"{self.runs} runs of {self.config.model.name} at once ran out of memory", hint="make execution.pack smaller"
        )


@lru_cache(maxsize=8)
def _compiled(compiler: Compiler, form: str, runs: int) -> tuple[CompiledTraining, Callable[[TrainState, np.uint32], TrainState]]:
    """Compile a step of `runs` runs in one of `FORMS`, and a function that takes one run's state out of all."""
    *each, step = compiler.arguments
    states, *arguments = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((runs, *leaf.shape), leaf.dtype), each)
    with counted_compilation() as compilation:
        whole = compiler.compiled(partial(FORMS[form], compiler.steps.whole), (states, *arguments, step), donated=0)
        member = compiler.compiled(lambda states, index: jax.tree.map(lambda leaf: leaf[index], states), (states, step))
    return CompiledTraining(program_bytes(whole), compilation, whole=whole), member


def vectorised(step: Step, *arguments: PyTree) -> tuple[TrainState, StepMetrics]:
    """Compute `step(state, *arrays, learning_rate, seed, step)` over a leading axis of all arguments but the last."""
    return jax.vmap(step, in_axes=(*[0] * (len(arguments) - 1), None))(*arguments)


def looped(step: Step, *arguments: PyTree) -> tuple[TrainState, StepMetrics]:
    """Compute the same as `vectorised`, one run after the other."""
    *each, number = arguments
    return jax.lax.map(lambda one: step(*one, number), tuple(each))


FORMS: dict[str, Step] = {"vectorised": vectorised, "looped": looped}


def default_form() -> str:
    """Name the form that is quicker on this backend."""
    return "looped" if jax.default_backend() == "cpu" else "vectorised"
