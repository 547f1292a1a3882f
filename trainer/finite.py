"""Whether a step's numbers are all finite, and which tensor's are not.

The step says so of each tensor, by reductions that are part of the update; nothing of it is fetched while all are finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey

from trainer.layout import Layout
from trainer.typing import PyTree

__all__ = ["finite_leaves", "leaf_names", "non_finite_name"]


def finite_leaves(params: PyTree, layout: Layout) -> jax.Array:
    """Say which tensors are finite: [tensors] bool, in the order of `leaf_names`, one for each leaf, and of a stack one for each layer."""

    def finite(path: tuple[DictKey, ...], leaf: jax.Array) -> jax.Array:
        if layout.is_stacked(tuple(str(part.key) for part in path)):
            return jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
        return jnp.all(jnp.isfinite(leaf))[None]

    return jnp.concatenate(jax.tree.leaves(jax.tree_util.tree_map_with_path(finite, params)))


def leaf_names(params: PyTree, layout: Layout) -> list[str]:
    """Return the names of the tensors, as `block3/conv1/kernel`."""
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    return [tensor for name in names for tensor in layout.names(name) or [name]]


def non_finite_name(loss: jax.Array, tensors: Sequence[tuple[str, jax.Array, list[str]]]) -> str | None:
    """Name the tensor that is not finite, by cause: the loss before gradients, gradients before parameters; None when all are finite.

    tensors: (kind, which of its tensors are finite, their names), as ("gradient of", [tensors] bool, names), causes first.

    A loss that is not finite makes gradients not finite, and those the parameters, so the first of this order is the one to look at.
    """
    if not math.isfinite(float(loss)):
        return f"the loss ({float(loss)})"
    for kind, finite, names in tensors:
        bad = [name for name, fine in zip(names, np.asarray(finite), strict=True) if not fine]
        if bad:
            return f"the {kind} {bad[0]}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")
    return None
