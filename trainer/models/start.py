"""Whether a module starts with finite numbers: its initial values, and the loss of a first step."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from trainer.models.initial import initial_variables
from trainer.models.protocol import Network
from trainer.models.state import forward_in_training
from trainer.typing import ImageShape

__all__ = ["not_finite_at_start"]

_QUICKLY = {"xla_backend_optimization_level": 0}
"""Compiles sooner, for a program that is run once."""


def not_finite_at_start(module: Network, *, image_shape: ImageShape) -> str | None:
    """Say what is not finite before a first step, by the seed 0 and two images [H, W, C] of unit normal noise; None if nothing is."""
    variables = initial_variables(module, seed=0, image_shape=image_shape)
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        if not np.isfinite(np.asarray(leaf, np.float32)).all():
            name = "/".join(str(part.key) for part in path[1:])
            return f"{type(module).__name__} starts with NaN or infinity in {name}"
    images = np.random.default_rng(0).standard_normal((2, *image_shape)).astype(np.float32)
    forward = partial(forward_in_training, module, rngs={"dropout": jax.random.key(0)}, real=jnp.ones(2, jnp.bool_))
    logits, _ = jax.jit(forward, compiler_options=_QUICKLY)(variables, images)
    if not np.isfinite(np.asarray(logits, np.float32)).all():
        return f"{type(module).__name__} gives logits with NaN or infinity before its first step, so its first loss is not finite"
    return None
