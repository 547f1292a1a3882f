"""Copies a training state from devices to arrays in host memory, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np
from jax.tree_util import KeyPath

from scaling.errors import DataError
from trainer.checkpoint.files import Piece, Snapshot
from trainer.layout import Layout
from trainer.typing import PyTree

__all__ = ["layers", "state_from", "take_snapshot"]


def take_snapshot(state: PyTree, layout: Layout, *, step: int, counters: Mapping[str, object], life: str) -> Snapshot:
    """Copy the state to host memory, and block until the devices have computed it. An array that `layout` has stacked becomes one a layer.

    With several processes each takes the pieces that lie on its own devices, every piece once: an array that all of them hold is taken
    by the process whose device holds the first copy.
    """
    leaves = [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    ]
    for _, leaf in leaves:
        leaf.copy_to_host_async()
    here = jax.process_index()
    pieces: dict[str, list[Piece]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, leaf in leaves:
        names = layout.names(name)
        shapes |= dict.fromkeys(names or [name], leaf.shape[1:] if names else leaf.shape)
        for piece in _pieces(leaf):
            for part, of_part in layers(names, piece) if names else [(name, piece)]:
                pieces.setdefault(part, []).append(of_part)
    owners = {owner for _, leaf in leaves for owner in _owners(leaf)}
    return Snapshot(
        step=step,
        pieces=pieces,
        shapes=shapes,
        counters=counters,
        life=life,
        part=here,
        parts=tuple(sorted(owners)),
    )


def state_from(arrays: Mapping[str, np.ndarray], like: PyTree, place: str) -> PyTree:
    """Arrange arrays by name as a tree like `like`. Raises `DataError` when they are of another model."""

    def leaf(path: KeyPath, expected: jax.ShapeDtypeStruct) -> np.ndarray:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name not in arrays:
            raise _foreign(place, f"it has no {name}")
        array = arrays[name]
        if array.dtype.kind == "V":  # numpy's files do not know bfloat16
            array = array.view(expected.dtype)
        if array.shape != expected.shape or array.dtype != expected.dtype:
            found, wanted = f"{array.dtype}{list(array.shape)}", f"{expected.dtype}{list(expected.shape)}"
            raise _foreign(place, f"{name} is {found}, this model's is {wanted}")
        return array

    tree = jax.tree_util.tree_map_with_path(leaf, like)
    if unknown := set(arrays) - {
        jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree_util.tree_leaves_with_path(like)
    }:
        raise _foreign(place, f"this model has no {min(unknown)}")
    return tree


def _foreign(place: str, difference: str) -> DataError:
    return DataError(
        f"checkpoint {place} does not belong to this model: {difference}", hint="resume with the config it was saved under"
    )


def _pieces(leaf: jax.Array) -> list[Piece]:
    if leaf.is_fully_addressable:
        return [Piece((0,) * leaf.ndim, _copied(leaf))]
    return [
        Piece(tuple(index.start or 0 for index in shard.index), _copied(shard.data))
        for shard in leaf.addressable_shards
        if shard.replica_id == 0
    ]


def layers(names: Sequence[str], piece: Piece) -> Iterator[tuple[str, Piece]]:
    """Split a piece of a stack into one piece for each layer that it touches, each with its name."""
    first, *start = piece.start
    for place in range(len(piece.values)):
        yield names[first + place], Piece(tuple(start), piece.values[place, ...])


def _owners(leaf: jax.Array) -> set[int]:
    if leaf.is_fully_addressable:
        return {jax.process_index()}
    return {shard.device.process_index for shard in leaf.global_shards if shard.replica_id == 0}


def _copied(array: jax.Array) -> np.ndarray:
    """Copy an array to the host. On CPU numpy would look into the device's own buffer, which the next step overwrites."""
    return np.array(array) if next(iter(array.devices())).platform == "cpu" else np.asarray(array)
