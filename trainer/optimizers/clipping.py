"""Clipping of gradients: by the norm of each unit's weights, or by the norm of all gradients together."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from trainer.optimizers.masks import Masks
from trainer.optimizers.protocol import Clipped
from trainer.typing import PyTree

__all__ = ["CLIP_EPS", "adaptive_gradient_clipping", "clipping", "unit_norm"]

CLIP_EPS = 1e-3


def clipping(config: Clipped, masks: Masks) -> list[optax.GradientTransformation]:
    """List the transformations that clip gradients as an optimiser's options say; none where they say nothing."""
    if config.agc is not None:
        return [adaptive_gradient_clipping(config.agc, CLIP_EPS, masks)]
    return [] if config.clip_norm is None else [optax.clip_by_global_norm(config.clip_norm)]


def adaptive_gradient_clipping(clip: float, eps: float, masks: Masks | None = None) -> optax.GradientTransformation:
    """Clip the gradient of each unit i to a share of the unit's weight norm, in each parameter that `masks` lets be clipped.

    `g_i ← g_i · min(1, clip · max(‖w_i‖, eps) / ‖g_i‖)`

    Brock et al. 2021 (arXiv 2102.06171), sec. 4.1. Stacked parameters are clipped layer by layer.
    """
    masks = masks or Masks()

    def clipped(gradient: jax.Array, weight: jax.Array) -> jax.Array:
        limit = clip * jnp.maximum(unit_norm(weight), eps)
        norm = unit_norm(gradient)
        return jnp.where(norm > limit, gradient * (limit / jnp.maximum(norm, 1e-6)), gradient)

    def update(updates: PyTree, state: optax.EmptyState, params: PyTree = None) -> tuple[PyTree, optax.EmptyState]:
        told = masks.layerwise(clipped, updates, params)
        return jax.tree.map(lambda may, new, old: new if may else old, masks.of_clipping(params), told, updates), state

    return optax.GradientTransformation(optax.init_empty_state, update)


def unit_norm(x: jax.Array) -> jax.Array:
    """Compute the L2 norm of each unit: a vector or scalar is one unit; a matrix [I, O] or kernel [H, W, I, O] has one unit an output."""
    if x.ndim <= 1:
        return jnp.sqrt(jnp.sum(jnp.square(x)))
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=tuple(range(x.ndim - 1)), keepdims=True))
