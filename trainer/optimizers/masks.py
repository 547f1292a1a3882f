"""What an optimiser may do to which parameter: by its path and shape, unless its family says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import jax
from jax.tree_util import DictKey

from trainer.typing import PyTree

__all__ = ["Masks", "Rule", "is_clipped", "is_decayed"]

Rule: TypeAlias = Callable[[tuple[str, ...], tuple[int, ...]], bool]
"""Says yes or no of a parameter by its path, e.g. `("block1", "conv1", "kernel")`, and the shape that it has in one layer."""


def is_decayed(path: tuple[str, ...], shape: tuple[int, ...]) -> bool:
    """Say whether weight decay applies: to kernels and tables, not to vectors and scalars, nor to what is a bias, a scale or a gain by name."""
    return len(shape) > 1 and path[-1] not in ("bias", "scale", "gain")


def is_clipped(path: tuple[str, ...], shape: tuple[int, ...]) -> bool:
    """Say whether adaptive clipping applies: to all but the kernel of the last layer (Brock et al. 2021, arXiv 2102.06171, sec. 4.1)."""
    del shape
    return path[-2:] != ("classifier", "kernel")


@dataclass(frozen=True)
class Masks:
    """Says of parameters what an optimiser may do to them.

    stacked: path → whether the first axis of that parameter counts layers, as `lax.scan` over layers wants them. Nothing in its shape tells: a
    stack of kernels looks like a convolution in three dimensions, a stack of gains like a matrix.
    """

    stacked: Callable[[tuple[str, ...]], bool] = lambda path: False
    decayed: Rule = is_decayed
    clipped: Rule = is_clipped

    def of_decay(self, params: PyTree) -> PyTree:
        """Return a tree of truth values: what weight decay applies to."""
        return self.map(lambda path, leaf: self.decayed(path, self.shape_of_one(path, leaf)), params)

    def of_clipping(self, params: PyTree) -> PyTree:
        """Return a tree of truth values: what adaptive clipping applies to."""
        return self.map(lambda path, leaf: self.clipped(path, self.shape_of_one(path, leaf)), params)

    def shape_of_one(self, path: tuple[str, ...], leaf: jax.Array) -> tuple[int, ...]:
        """Return the shape that a parameter has in one layer."""
        return leaf.shape[1:] if self.stacked(path) else leaf.shape

    def layerwise(self, function: Callable[..., jax.Array], *trees: PyTree) -> PyTree:
        """Apply a function of a gradient (and its parameter, …) to each; layer by layer to what is stacked."""
        return self.map(lambda path, *leaves: (jax.vmap(function) if self.stacked(path) else function)(*leaves), *trees)

    @staticmethod
    def map(function: Callable[..., object], tree: PyTree, *others: PyTree) -> PyTree:
        """Map a function of (path, leaf, …) over trees of parameters."""

        def named(path: tuple[DictKey, ...], *leaves: jax.Array) -> object:
            return function(tuple(str(part.key) for part in path), *leaves)

        return jax.tree_util.tree_map_with_path(named, tree, *others)
