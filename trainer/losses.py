"""The training loss: cross-entropy, with smoothed labels and images made of two."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

__all__ = ["cross_entropy"]


def cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    smoothing: float = 0.0,
    other_labels: jax.Array | None = None,
    mix: jax.Array | None = None,
) -> jax.Array:
    """Compute the cross-entropy of each example in nats, `−Σ_c t_c · log softmax(logits)_c`, in float32.

    The target is `t = (1 − ε)·(m·onehot(label) + (1 − m)·onehot(other label)) + ε / C`: smoothing after mixing, as NFNets were trained.

    Args:
        logits: [B, C]; computed in float32 whatever their type.
        labels: [B] int.
        smoothing: ε, 0 … 1.
        other_labels, mix: [B]; the second label of an image made by mixup or cutmix, and the share m of the first.

    Returns:
        [B] float32.
    """
    logits = logits.astype(jnp.float32)
    if smoothing == 0 and mix is None:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    classes = logits.shape[-1]
    targets = jax.nn.one_hot(labels, classes)
    if mix is not None and other_labels is not None:
        share = mix[:, None]
        targets = share * targets + (1.0 - share) * jax.nn.one_hot(other_labels, classes)
    if smoothing:
        targets = optax.smooth_labels(targets, smoothing)
    return optax.softmax_cross_entropy(logits, targets)
