"""SGD with Nesterov momentum, adaptive gradient clipping and coupled weight decay, as NFNets were trained.

Brock et al. 2021 (arXiv 2102.06171), sec. 2 and 4.1, and its released code: clip each unit's gradient to a share of that unit's
weight norm, add the weight decay to the clipped gradient, then momentum. Equal to the released optimiser to 1.5e-8.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import DictKey

from trainer.optimizers.protocol import Optimizer, Stacked
from trainer.typing import PyTree

__all__ = ["adaptive_gradient_clipping", "sgd_agc", "unit_norm"]

_NOT_CLIPPED = "classifier"
"""The kernel of the last layer is not clipped; its bias is."""
_NOT_DECAYED = ("gain", "bias", "skip_gain")


def sgd_agc(
    *,
    momentum: float = 0.9,
    nesterov: bool = True,
    clip: float | None = 0.01,
    clip_eps: float = 1e-3,
    weight_decay: float = 0.0,
    stacked: Stacked | None = None,
) -> Optimizer:
    """Make an optimiser that gives the update before the learning rate: `params ← params − learning_rate · update`.

    Args:
        momentum: decay of the trace; the trace is not damped (v ← momentum·v + g).
        nesterov: use momentum·v + g in place of v.
        clip: λ of adaptive gradient clipping; None turns it off.
        clip_eps: smallest weight norm that counts, so that zero-initialised weights can move.
        weight_decay: coupled: `weight_decay · w` is added to the gradient; not on gains, biases, skip gains.
        stacked: says of a parameter's path whether it holds several layers; see `adaptive_gradient_clipping`.

    The learning rate is left to the caller, so that one compiled step serves every learning rate and schedule.
    """
    parts = []
    if clip is not None:
        parts.append(adaptive_gradient_clipping(clip, clip_eps, stacked=stacked))
    parts.append(optax.masked(optax.add_decayed_weights(weight_decay), _decayed))
    parts.append(optax.trace(decay=momentum, nesterov=nesterov))
    return optax.chain(*parts)


def adaptive_gradient_clipping(clip: float, eps: float, *, stacked: Stacked | None = None) -> optax.GradientTransformation:
    """Clip the gradient of each unit i to a share of the unit's weight norm, in each parameter but the classifier's kernel.

    `g_i ← g_i · min(1, clip · max(‖w_i‖, eps) / ‖g_i‖)`

    Args:
        stacked: says of a path, e.g. `("stage2", "conv1", "kernel")`, whether the parameter's first axis counts layers, as `lax.scan`
            over layers wants them. Such a parameter is clipped layer by layer. Nothing in its shape tells: a stack of kernels looks
            like a convolution in three dimensions, a stack of skip gains like one vector, and each would be clipped as one.
            None: no parameter is stacked.
    """

    def init(params: PyTree) -> optax.EmptyState:
        del params
        return optax.EmptyState()

    def clipped(gradient: jax.Array, weight: jax.Array) -> jax.Array:
        limit = clip * jnp.maximum(unit_norm(weight), eps)
        norm = unit_norm(gradient)
        return jnp.where(norm > limit, gradient * (limit / jnp.maximum(norm, 1e-6)), gradient)

    def update(updates: PyTree, state: optax.EmptyState, params: PyTree = None) -> tuple[PyTree, optax.EmptyState]:
        def of_parameter(path: tuple[DictKey, ...], gradient: jax.Array, weight: jax.Array) -> jax.Array:
            if _name(path, -2) == _NOT_CLIPPED and _name(path, -1) == "kernel":
                return gradient
            layers = stacked is not None and stacked(tuple(str(part.key) for part in path))
            return (jax.vmap(clipped) if layers else clipped)(gradient, weight)

        return jax.tree_util.tree_map_with_path(of_parameter, updates, params), state

    return optax.GradientTransformation(init, update)


def unit_norm(x: jax.Array) -> jax.Array:
    """Compute the L2 norm of each unit: a vector or scalar is one unit; a matrix [I, O] or kernel [H, W, I, O] has one unit an output."""
    if x.ndim <= 1:
        return jnp.sqrt(jnp.sum(jnp.square(x)))
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=tuple(range(x.ndim - 1)), keepdims=True))


def _decayed(params: PyTree) -> PyTree:
    return jax.tree_util.tree_map_with_path(lambda path, _: _name(path, -1) not in _NOT_DECAYED, params)


def _name(path: tuple[DictKey, ...], place: int) -> str:
    return str(path[place].key) if len(path) >= -place else ""
