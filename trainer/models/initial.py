"""Initial values of a model: what its own initialisers give, without running or compiling its forward pass.

A module that can draw its parameters faster has `drawn_params(shapes, seed=)`, as NFNets do (`trainer.models.nfnet.initial`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import LazyInitError

from scaling.errors import UsageError
from trainer.models.protocol import Network
from trainer.models.state import needed_collections
from trainer.typing import ImageShape, PyTree

__all__ = ["initial_params", "initial_variables", "on_cpu", "param_shapes", "variable_shapes"]


def initial_params(module: Network, *, seed: int, image_shape: ImageShape, shapes: PyTree = None) -> PyTree:
    """Make the initial parameters alone; see `initial_variables`. shapes: of `param_shapes`, where they are known."""
    return initial_variables(module, seed=seed, image_shape=image_shape, shapes=shapes and {"params": shapes})["params"]


def initial_variables(
    module: Network, *, seed: int, image_shape: ImageShape, shapes: dict[str, PyTree] | None = None
) -> dict[str, PyTree]:
    """Make the initial parameters and collections of a Flax module on images [H, W, C], as NumPy arrays: `{"params": …, …}`.

    Each initialiser is run by itself and outside `jit`, on the CPU where there is one and with the threefry generator whatever the default
    is: compiled into one program with others its numbers would differ in their last bits. A module whose values depend on what it
    is given is initialised with a black image.

    shapes: of `variable_shapes`, where they are known: they take a tenth of a second. Collections that are not among them are left out.
    """
    shapes = shapes or variable_shapes(module, image_shape=image_shape)
    drawn: dict[str, PyTree] = {}
    if hasattr(module, "drawn_params"):
        drawn = {"params": module.drawn_params(shapes["params"], seed=seed)}
        if shapes.keys() == {"params"}:
            return drawn
    with on_cpu():
        key = jax.random.key(seed, impl="threefry2x32")
        try:
            variables = module.lazy_init(key, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
        except LazyInitError:
            variables = module.init(key, jnp.zeros((1, *image_shape), jnp.float32))
        return {name: jax.tree.map(np.asarray, nn.meta.unbox(variables[name])) for name in shapes} | drawn


def param_shapes(module: Network, *, image_shape: ImageShape) -> PyTree:
    """Return the shapes and dtypes of the parameters alone; see `variable_shapes`."""
    return variable_shapes(module, image_shape=image_shape)["params"]


def variable_shapes(module: Network, *, image_shape: ImageShape) -> dict[str, PyTree]:
    """Return the shapes and dtypes of a Flax module on images [H, W, C]: `{"params": …}`, and collections that a forward pass needs.

    Nothing is computed. Raises `UsageError` for a module without parameters, and for state that does not keep its form.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    variables = jax.eval_shape(lambda images: module.init(jax.random.key(0), images), images)
    if not jax.tree.leaves(variables.get("params", {})):
        raise UsageError(f"{type(module).__name__} has no parameters: there is nothing to train", hint="give it some")
    return {name: nn.meta.unbox(variables[name]) for name in ("params", *needed_collections(module, variables, images))}


def on_cpu() -> AbstractContextManager[None]:
    """Return a context in which arrays are made on the CPU, or one without effect where a process has accelerators alone."""
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        return nullcontext()
