"""What a training step asks of an optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from trainer.typing import PyTree

__all__ = ["Optimizer", "Stacked"]

Stacked: TypeAlias = Callable[[tuple[str, ...]], bool]
"""Says of a parameter's path, e.g. `("stage2", "conv1", "kernel")`, whether its first axis counts layers."""


class Optimizer(Protocol):
    """Turns gradients into the direction of an update; an Optax `GradientTransformation` is one.

    Both methods are traced, and compiled with the step. Gradients, parameters and direction are trees of one structure, float32.
    """

    def init(self, params: PyTree, /) -> PyTree:
        """Return the state before the first step. Only its shapes are taken: a run starts from zeros."""

    def update(self, gradients: PyTree, state: PyTree, params: PyTree, /) -> tuple[PyTree, PyTree]:
        """Return (direction, new state); the step then is `params ← params − learning_rate · direction`."""
