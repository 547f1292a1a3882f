"""How a step keeps parameters: blocks that it runs as one loop are one array a parameter, `[layers, …]`.

Stacks exist on devices alone. Checkpoints, names of tensors, initial and released parameters know each block by itself. So a checkpoint
says nothing of loops, and moves between machines that loop and machines that do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np

from scaling.errors import UsageError
from trainer.models.protocol import Network
from trainer.typing import PyTree

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Says which parameters are stacked.

    stacks: name of a stack → the entries of the parameters that it holds, alike in shape and in order. Empty: nothing is stacked.
    """

    stacks: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, module: Network) -> Layout:
        """Make the layout that a Flax module asks for by its `parameter_stacks`, if it has any."""
        return cls(getattr(module, "parameter_stacks", {}))

    def check(self, state: PyTree) -> None:
        """Raise `UsageError` for stacks that do not fit a state, given as shapes with nothing stacked."""
        names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree_util.tree_leaves_with_path(state)]
        taken = {part for name in names for part in name.split("/")}
        for stack, members in self.stacks.items():
            shapes = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state.params.get(member)) for member in members]
            if stack in taken:
                raise _misfit(f"something else is called {stack}")
            if None in shapes:
                raise _misfit(f"{stack} is to hold {members[shapes.index(None)]}, which is no entry of the parameters")
            if any(shape != shapes[0] for shape in shapes):
                raise _misfit(f"{stack} is to hold {', '.join(members)}, which differ in shape")

    def stacked(self, tree: PyTree) -> PyTree:
        """Put stacks in place of entries in a tree of host arrays or shapes that holds trees of parameters, as a `TrainState` does."""
        if not self.stacks:
            return tree
        inside = {member for members in self.stacks.values() for member in members}

        def is_params(node: PyTree) -> bool:
            return isinstance(node, Mapping) and inside <= node.keys()

        def convert(node: PyTree) -> PyTree:
            if not is_params(node):
                return node
            stacks = {name: jax.tree.map(_stack, *[node[member] for member in members]) for name, members in self.stacks.items()}
            return {name: value for name, value in node.items() if name not in inside} | stacks

        return jax.tree.map(convert, tree, is_leaf=is_params)

    def is_stacked(self, path: tuple[str, ...]) -> bool:
        """Say whether the first axis of the parameter at a path, e.g. `("block1-7", "conv1", "kernel")`, counts layers."""
        return path[0] in self.stacks

    def names(self, name: str) -> list[str] | None:
        """List what a stack holds: of `params/block1-7/skip_gain`, `params/block1/skip_gain` and so on; None of what is not stacked."""
        parts = name.split("/")
        for place, part in enumerate(parts):
            if part in self.stacks:
                return ["/".join([*parts[:place], member, *parts[place + 1 :]]) for member in self.stacks[part]]
        return None


def _misfit(what: str) -> UsageError:
    return UsageError(f"parameter_stacks: {what}", hint="stack entries that are alike, under a name of their own")


def _stack(*leaves: PyTree) -> PyTree:
    if isinstance(leaves[0], jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct((len(leaves), *leaves[0].shape), leaves[0].dtype)
    return np.stack(leaves)
