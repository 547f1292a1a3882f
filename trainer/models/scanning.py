"""Blocks of one shape as one loop, so that XLA compiles one block where there are dozens.

Their parameters may come stacked, under the name `stack_name`, as training keeps them on its devices (`trainer.layout`). Entries
`block<i>`, which checkpoints and initial values have, are stacked here. What differs from block to block beside parameters, such as the
rate of stochastic depth, goes in as arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from trainer.models.rematerialisation import rematerialised_function
from trainer.typing import PyTree

__all__ = ["scanned", "stack_name"]


def stack_name(indices: Sequence[int]) -> str:
    """Name the entry of the parameters that holds those of blocks `indices`, which follow on each other."""
    return f"block{indices[0]}-{indices[-1]}"


def scanned(
    network: nn.Module, block: nn.Module, x: jax.Array, indices: Sequence[int], per_block: Mapping[str, jax.Array], *, remat: str
) -> jax.Array:
    """Pass `x` through blocks `indices` of `network`, by `lax.scan` over their stacked parameters.

    Args:
        network: a bound module whose parameters have the stack of these blocks, or an entry `block<i>` for each.
        block: an unbound block; all indices have its shapes.
        per_block: what else a block is called with, by name: arrays whose first axis counts the blocks.
    """
    params, stack = network.variables["params"], stack_name(indices)
    if stack not in params:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[params[f"block{index}"] for index in indices])
    else:
        stacked = params[stack]

    def body(x: jax.Array, inputs: tuple[PyTree, dict[str, Any]]) -> tuple[PyTree, None]:
        params, given = inputs
        return block.apply({"params": params}, x, **given), None

    return lax.scan(rematerialised_function(body, remat), x, (stacked, dict(per_block)))[0]
