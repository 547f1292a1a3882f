"""Exponential moving average of parameters, and of state beside them: what is evaluated when a run keeps one."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from trainer.typing import PyTree

__all__ = ["ema_decay", "moved_average"]


def ema_decay(step: jax.Array, largest: float) -> jax.Array:
    """Return the decay `min(largest, (1 + t) / (10 + t))` at step t (from 0).

    The memory is short at first, so that the initial weights are soon forgotten. This is the rule of the released NFNet code, which has it
    from TensorFlow's `ExponentialMovingAverage(num_updates=t)`.
    """
    t = step.astype(jnp.float32)
    return jnp.minimum(jnp.float32(largest), (1.0 + t) / (10.0 + t))


def moved_average(average: PyTree, values: PyTree, decay: jax.Array) -> PyTree:
    """Move the average: `average ← decay · average + (1 − decay) · values`, leaf by leaf, float32. Counters are taken as they are."""

    def moved(old: jax.Array, new: jax.Array) -> jax.Array:
        return (decay * old + (1.0 - decay) * new).astype(new.dtype) if jnp.issubdtype(new.dtype, jnp.floating) else new

    return jax.tree.map(moved, average, values)
