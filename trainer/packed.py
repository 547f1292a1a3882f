"""The step of several runs at once: one program for K runs of a shape that differ in learning rate and seed.

States and batches have a leading axis of K, `[K, …]`; learning rates and seeds are `[K]`; the step is common. Two forms of the same sums:

- `vectorised`: `jax.vmap` over the runs. A device that one small run leaves idle gets K times as much to do at once. For TPU and GPU.
- `looped`: `jax.lax.map`, one run after the other inside the program. For the CPU, which one run keeps busy already: `vmap` makes one
  grouped convolution of K convolutions, and those take a generic path there (`trainer.models.nfnet.convolution`). Measured in `docs/packing.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import numpy as np

from trainer.step import StepMetrics, TrainState
from trainer.typing import PyTree

__all__ = ["FORMS", "default_form", "together"]

Step = Callable[..., tuple[TrainState, StepMetrics]]
"""`Steps.whole`."""


def vectorised(step: Step) -> Step:
    """`step(state, *arrays, learning_rate, seed, step)` over a leading axis of all arguments but the last."""

    def steps(*arguments: PyTree) -> tuple[TrainState, StepMetrics]:
        return jax.vmap(step, in_axes=(*[0] * (len(arguments) - 1), None))(*arguments)

    return steps


def looped(step: Step) -> Step:
    """As `vectorised`, one run after the other."""

    def steps(*arguments: PyTree) -> tuple[TrainState, StepMetrics]:
        *each, number = arguments
        return jax.lax.map(lambda one: step(*one, number), tuple(each))

    return steps


FORMS: dict[str, Callable[[Step], Step]] = {"vectorised": vectorised, "looped": looped}


def default_form() -> str:
    """What is quicker on this backend."""
    return "looped" if jax.default_backend() == "cpu" else "vectorised"


def together(states: Sequence[TrainState]) -> TrainState:
    """K states as one with a leading axis, in host memory."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *map(jax.device_get, states))
