"""State that a network keeps beside its parameters, such as the averages of BatchNorm: collections of Flax that a forward pass needs.

The trainer carries them from step to step: a forward pass in training gives the new ones, one in evaluation reads them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scaling.errors import UsageError
from trainer.models.protocol import Network
from trainer.typing import PyTree

__all__ = ["forward_in_training", "needed_collections", "takes_mask"]


def takes_mask(module: Network) -> bool:
    """Say whether the network's `__call__` names `mask`: [B] bool, which examples of a batch are real."""
    return "mask" in inspect.signature(type(module).__call__).parameters


def forward_in_training(
    module: Network, variables: Mapping[str, PyTree], images: jax.Array, *, rngs: dict[str, jax.Array], real: jax.Array
) -> tuple[jax.Array, PyTree]:
    """Compute (logits, new collections) as a training step does; the collections are None for a network that has none.

    Args:
        variables: `{"params": …}`, and the collections.
        real: [B] bool; False for padding and skipped examples. A network that takes a mask leaves those out of its statistics; in a batch
            without a real example it is told that all are, since there is nothing to take statistics of.
    """
    masked: dict[str, Any] = {"mask": real | ~jnp.any(real)} if takes_mask(module) else {}
    names = [name for name in variables if name != "params"]
    if not names:
        return module.apply(variables, images, train=True, rngs=rngs, **masked), None
    logits, collections = module.apply(variables, images, train=True, rngs=rngs, mutable=names, **masked)
    return logits, nn.meta.unbox(dict(collections))


def needed_collections(module: Network, variables: Mapping[str, PyTree], images: jax.ShapeDtypeStruct) -> tuple[str, ...]:
    """Name the collections beside "params" that a forward pass cannot do without. One that it only sows into is not among them.

    Raises `UsageError` for one that has another form after a step of training.
    """
    others = sorted(name for name in variables if name != "params")
    if not others or not _runs(module, variables, images):
        return ()  # a mistake of the module's: `counted` and the step's compilation say which
    needed = [gone for gone in others if not _runs(module, {name: variables[name] for name in variables if name != gone}, images)]
    before = {name: variables[name] for name in ("params", *needed)}
    _, after = jax.eval_shape(partial(_in_training, module), before, images)
    for name in needed:
        if _form(after[name]) != _form(before[name]):
            raise UsageError(
                f"{type(module).__name__} gives its collection {name} another form in training than at the start",
                hint="let each array keep its name, shape and dtype from step to step",
            )
    return tuple(needed)


def _form(collection: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: f"{leaf.dtype}{leaf.shape}", nn.meta.unbox(collection))


def _in_training(module: Network, variables: Mapping[str, PyTree], images: jax.Array) -> tuple[jax.Array, PyTree]:
    """Compute a forward pass for which every random stream that is asked for is given: Flax takes "params" for any that is not."""
    return forward_in_training(
        module, variables, images, rngs={"params": jax.random.key(0)}, real=jnp.ones(images.shape[0], jnp.bool_)
    )


def _runs(module: Network, variables: Mapping[str, PyTree], images: jax.ShapeDtypeStruct) -> bool:
    """Say whether forward passes can be traced with these collections alone, in training and in evaluation."""

    def in_evaluation(variables: Mapping[str, PyTree], images: jax.Array) -> PyTree:
        mutable = [name for name in variables if name != "params"]
        return module.apply(variables, images, train=False, rngs={"params": jax.random.key(0)}, mutable=mutable)

    try:
        for forward in (partial(_in_training, module), in_evaluation):
            jax.eval_shape(forward, variables, images)
    except Exception:  # noqa: BLE001 - whatever the module makes of a collection that is not there
        return False
    return True
