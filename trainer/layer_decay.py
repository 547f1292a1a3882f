"""Layer-wise decay of the learning rate: layers near the image change less than those near the head.

`rate(l) = learning_rate · decay^(L − l)`, with l = 0 next to the image and L the head: Bao et al. 2021, BEiT (arXiv 2106.08254), appendix,
after Clark et al. 2020, ELECTRA (arXiv 2003.10555). What follows the last block (a norm, a last convolution, a pool) has the head's
rate, as in BEiT's code.

Which layer a parameter belongs to is said by the `layer` of its family. Without one it is read off the first entry of its path: one that
ends in a number, as `block3` or Flax's `Encoder_3`, is layer 3 + 1, others are layer 0. Parameters whose shape depends on the number of
classes are the head's in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Set

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey

from trainer.layout import Layout
from trainer.models.layers import layer_by_name
from trainer.models.protocol import LayerOf
from trainer.optimizers import Optimizer
from trainer.typing import PyTree

__all__ = ["layer_rates", "with_layer_rates"]


def layer_rates(params: PyTree, decay: float, *, layer_of: LayerOf | None, head: Set[tuple[str, ...]]) -> PyTree:
    """Return the factor `decay^(L − l)` of each parameter's learning rate, as a tree of numbers.

    params: no entry stacked. head: paths of parameters that are of layer L whatever `layer_of` says.
    """
    layer_of = layer_of or layer_by_name

    def layer(path: tuple[DictKey, ...], _: object) -> int | None:
        named = tuple(str(part.key) for part in path)
        return None if named in head else layer_of(named)

    layers = jax.tree_util.tree_map_with_path(layer, params)
    last = max((number for number in jax.tree.leaves(layers)), default=-1) + 1
    return jax.tree.map(
        lambda number: decay ** (last - (last if number is None else number)), layers, is_leaf=lambda leaf: leaf is None
    )


def with_layer_rates(optimizer: Optimizer, rates: PyTree, layout: Layout) -> Optimizer:
    """Return the optimiser with the direction of each parameter times its rate; a decoupled weight decay is part of the direction.

    rates: of `layer_rates`. layout: of the parameters that the optimiser is given; in a stack each layer has its own rate.
    """
    rates = jax.tree.map(np.float32, rates)
    return _Scaled(optimizer, layout.stacked(rates))


class _Scaled:
    """Scales the directions of an optimiser, whose state it has."""

    def __init__(self, optimizer: Optimizer, rates: PyTree) -> None:
        self.init: Callable[[PyTree], PyTree] = optimizer.init
        self._optimizer, self._rates = optimizer, rates

    def update(self, gradients: PyTree, state: PyTree, params: PyTree) -> tuple[PyTree, PyTree]:
        """Return (direction, new state)."""
        direction, after = self._optimizer.update(gradients, state, params)
        return jax.tree.map(_scaled, direction, self._rates), after


def _scaled(direction: jax.Array, rate: np.ndarray) -> jax.Array:
    """Multiply by one rate, or each layer of a stack, the first axis, by its own."""
    return direction * jnp.reshape(rate, (*np.shape(rate), *[1] * (direction.ndim - np.ndim(rate))))
