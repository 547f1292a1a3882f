"""Initial parameters of a model: what its own initialisers give, without running or compiling its forward pass.

A module that can draw its parameters faster has `drawn_params(shapes, seed=)`, as NFNets do (`trainer.models.nfnet.initial`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import LazyInitError

from scaling.errors import UsageError
from trainer.models.protocol import Network
from trainer.typing import ImageShape, PyTree

__all__ = ["initial_params", "on_cpu", "param_shapes"]


def initial_params(module: Network, *, seed: int, image_shape: ImageShape, shapes: PyTree = None) -> PyTree:
    """Make the initial parameters of a Flax module on images [H, W, C], as NumPy arrays.

    Each initialiser is run by itself and outside `jit`, on the CPU where there is one and with the threefry generator whatever the default
    is: compiled into one program with others its numbers would differ in their last bits. A module whose parameters depend on what it
    is given is initialised with a black image.

    shapes: of `param_shapes`, where they are known: they take a tenth of a second.
    """
    if hasattr(module, "drawn_params"):
        return module.drawn_params(shapes or param_shapes(module, image_shape=image_shape), seed=seed)
    with on_cpu():
        key = jax.random.key(seed, impl="threefry2x32")
        try:
            variables = module.lazy_init(key, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
        except LazyInitError:
            variables = module.init(key, jnp.zeros((1, *image_shape), jnp.float32))
        return jax.tree.map(np.asarray, nn.meta.unbox(variables["params"]))


def param_shapes(module: Network, *, image_shape: ImageShape) -> PyTree:
    """Return the shapes and dtypes of a Flax module's parameters on images [H, W, C]. Nothing is computed.

    Raises `UsageError` for a module without parameters, and for one that keeps state beside them.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    variables = jax.eval_shape(lambda images: module.init(jax.random.key(0), images), images)
    if not jax.tree.leaves(variables.get("params", {})):
        raise UsageError(f"{type(module).__name__} has no parameters: there is nothing to train", hint="give it some")
    if state := _state(module, variables, images):
        raise UsageError(
            f"{type(module).__name__} keeps state beside its parameters ({', '.join(state)}), which the trainer does not carry from step to step",
            hint="use LayerNorm or GroupNorm where it has BatchNorm, or keep what it needs in parameters",
        )
    return nn.meta.unbox(variables["params"])


def _state(module: Network, variables: Mapping[str, PyTree], images: jax.ShapeDtypeStruct) -> list[str]:
    """Name the collections beside "params" that a forward pass cannot do without. One that it only sows into is not among them."""
    others = sorted(name for name in variables if name != "params")
    if not others or not _runs(module, variables, images):
        return []  # a mistake of the module's: `counted` and the step's compilation say which
    return [gone for gone in others if not _runs(module, {name: variables[name] for name in variables if name != gone}, images)]


def _runs(module: Network, variables: Mapping[str, PyTree], images: jax.ShapeDtypeStruct) -> bool:
    """Say whether forward passes can be traced with these collections alone, in training and in evaluation.

    Every random stream that is asked for is given.
    """
    mutable = [name for name in variables if name != "params"]

    def forward(variables: Mapping[str, PyTree], images: jax.Array, train: bool) -> PyTree:
        rngs = {"params": jax.random.key(0)}  # Flax takes this stream for any that is not given
        return module.apply(variables, images, train=train, rngs=rngs, mutable=mutable)

    try:
        for train in (True, False):
            jax.eval_shape(partial(forward, train=train), variables, images)
    except Exception:  # noqa: BLE001 - whatever the module makes of a collection that is not there
        return False
    return True


def on_cpu() -> AbstractContextManager[None]:
    """Return a context in which arrays are made on the CPU, or one without effect where a process has accelerators alone."""
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        return nullcontext()
