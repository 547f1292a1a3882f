"""Blocks of one shape as one loop, so that XLA compiles one block where there are dozens.

Their parameters may come stacked, under the name `stack_name`, as training keeps them on its devices (`trainer.layout`). Entries
`block<i>`, which checkpoints and initial values have, are stacked here. β and the rate of stochastic depth, which differ from block to
block, go in as arrays; random numbers are those of the unrolled network.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from trainer.models.nfnet.rematerialisation import rematerialised_function
from trainer.typing import PyTree

__all__ = ["scanned", "stack_name"]


class _Key(nn.Module):
    """Draws the key that a block of this name would draw from Flax's `dropout` stream."""

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.make_rng("dropout")


def stack_name(indices: Sequence[int]) -> str:
    """Name the entry of the parameters that holds those of blocks `indices`, which follow on each other."""
    return f"block{indices[0]}-{indices[-1]}"


def scanned(
    network: nn.Module,
    block: nn.Module,
    x: jax.Array,
    indices: Sequence[int],
    betas: Sequence[float],
    keep_rates: Sequence[float | None],
    *,
    remat: str,
) -> jax.Array:
    """Pass `x` through blocks `indices` of `network`, by `lax.scan` over their stacked parameters.

    Args:
        network: a bound module whose parameters have the stack of these blocks, or an entry `block<i>` for each.
        block: an unbound block; all indices have its shapes.
        betas, keep_rates: one a block; rates are all None, or none is.
    """
    params, stack = network.variables["params"], stack_name(indices)
    if stack not in params:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[params[f"block{index}"] for index in indices])
    else:
        stacked = params[stack]
    per_block: dict[str, PyTree] = {"params": stacked, "beta": jnp.asarray(betas, x.dtype)}
    if keep_rates[0] is not None:
        per_block["keep_rate"] = jnp.asarray(keep_rates, jnp.float32)
        per_block["key"] = jnp.stack([_Key(name=f"block{index}", parent=network)() for index in indices])

    def body(x: jax.Array, inputs: dict[str, PyTree]) -> tuple[PyTree, None]:
        rest = {name: value for name, value in inputs.items() if name != "params"}
        return block.apply({"params": inputs["params"]}, x, **rest), None

    return lax.scan(rematerialised_function(body, remat), x, per_block)[0]
