"""Where arrays live: batches split over the devices of a mesh, the state copied to each of them or split as well (FSDP)."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from trainer.typing import PyTree

__all__ = ["Placement"]


@dataclass(frozen=True)
class Placement:
    """Places arrays on one device (`mesh` is None) or on all devices of a mesh of any shape.

    fsdp: parameters, optimiser state and averages are split over the devices, each array along its longest axis that divides by their
        number; what no axis divides is copied. Parameters are gathered where a step computes with them, gradients scattered
        (Rajbhandari et al. 2020, ZeRO stage 3, arXiv 1910.02054; the compiler inserts the transfers).
    """

    mesh: Mesh | None = None
    fsdp: bool = False

    @property
    def devices(self) -> int:
        return self.mesh.size if self.mesh else 1

    @property
    def device(self) -> jax.Device:
        """Return a device of this process, to ask for its memory."""
        return self.mesh.local_devices[0] if self.mesh else jax.local_devices()[0]

    @property
    def shard(self) -> tuple[int, int]:
        """Return (index, count): which part of each batch this process supplies, of how many. (0, 1) unless the mesh spans processes."""
        if self.mesh is None or not self.mesh.is_multi_process:
            return 0, 1
        processes = sorted({device.process_index for device in self.mesh.devices.flat})
        return processes.index(jax.process_index()), len(processes)

    @property
    def everywhere(self) -> NamedSharding | None:
        """Return the sharding of what every device holds whole; None without a mesh."""
        return NamedSharding(self.mesh, PartitionSpec()) if self.mesh else None

    @property
    def split(self) -> NamedSharding | None:
        """Return the sharding of arrays whose first axis is the batch; None without a mesh."""
        return NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names)) if self.mesh else None

    def of_state(self, state: PyTree) -> PyTree:
        """Return a tree of shardings for a tree of arrays or shapes; None without a mesh."""
        return jax.tree.map(lambda leaf: self._of_leaf(leaf.shape), state) if self.mesh else None

    def _of_leaf(self, shape: tuple[int, ...]) -> NamedSharding:
        assert self.mesh is not None
        divisible = [axis for axis, size in enumerate(shape) if size % self.devices == 0]
        if not self.fsdp or not divisible:
            return NamedSharding(self.mesh, PartitionSpec())
        longest = max(divisible, key=lambda axis: (shape[axis], axis))
        return NamedSharding(self.mesh, PartitionSpec(*[None] * longest, self.mesh.axis_names))

    def gathered(self, params: PyTree) -> PyTree:
        """Gather parameters as a step computes with them: whole on every device. Their gradients come back split as the parameters are."""
        if self.mesh is None or not self.fsdp:
            return params
        shardings = self.of_state(params)

        @jax.custom_vjp
        def gather(tree: PyTree) -> PyTree:
            return jax.lax.with_sharding_constraint(tree, jax.tree.map(lambda _: self.everywhere, tree))

        gather.defvjp(lambda tree: (gather(tree), None), lambda _, tree: (jax.lax.with_sharding_constraint(tree, shardings),))
        return gather(params)

    def put(self, tree: PyTree) -> PyTree:
        """Put a tree of host arrays on the devices as the state of a program; each process holds the same whole arrays."""
        if self.mesh is None:
            return jax.device_put(tree)
        return jax.tree.map(_put, tree, self.of_state(tree))

    def put_batch(self, array: np.ndarray) -> ArrayLike:
        """Put an array whose first axis is this process's part of the batch on the devices."""
        if self.mesh is None:
            return array
        if self.mesh.is_multi_process:
            return jax.make_array_from_process_local_data(self.split, np.asarray(array))
        return jax.device_put(array, self.split)

    def bytes_per_device(self, tree: PyTree) -> int:
        """Count the bytes that a tree of arrays or shapes takes on one device."""
        leaves = jax.tree.leaves(tree)
        shapes = [self._of_leaf(leaf.shape).shard_shape(leaf.shape) if self.mesh else leaf.shape for leaf in leaves]
        return sum(int(np.prod(shape)) * leaf.dtype.itemsize for shape, leaf in zip(shapes, leaves, strict=True))


def _put(leaf: ArrayLike, sharding: NamedSharding) -> jax.Array:
    if sharding.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])
