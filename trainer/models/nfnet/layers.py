"""The parts of an NFNet block: scaled weight standardisation, the scaled activation, squeeze-and-excite, stochastic depth."""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from trainer.models.nfnet.convolution import convolve
from trainer.models.rematerialisation import PRODUCT

__all__ = ["SqueezeExcite", "WSConv", "activation", "average_pool", "standardize", "stochastic_depth"]

GELU_GAIN = 1.7015043497085571
"""Makes GELU of a unit normal have unit variance; the released constant, for the tanh approximation of GELU."""


def activation(x: jax.Array) -> jax.Array:
    """Apply GELU (tanh approximation), scaled to keep unit variance. The exact erf form moves F0's logits by 1.6e-4."""
    return nn.gelu(x, approximate=True) * GELU_GAIN


def standardize(kernel: jax.Array, gain: jax.Array) -> jax.Array:
    """Standardise the weights of a kernel (Brock et al. 2021, arXiv 2101.08692): zero mean, variance 1 / fan-in, times a learnt gain.

    Args:
        kernel: [H, W, I / groups, O].
        gain: [O].

    Returns:
        `kernel · s − mean · s` with `s = gain / sqrt(max(var · fan_in, 1e-4))`, mean and biased variance over H, W and I.
        The published guard is a maximum, not an added epsilon, which would move F0's logits by 1.5e-2.
    """
    fan_in = math.prod(kernel.shape[:-1])
    mean = jnp.mean(kernel, axis=(0, 1, 2))
    variance = jnp.var(kernel, axis=(0, 1, 2))
    scale = lax.rsqrt(jnp.maximum(variance * fan_in, 1e-4)) * gain
    return kernel * scale - mean * scale


class WSConv(nn.Module):
    """Convolves with standardised weights, gain and bias, SAME padding.

    `[B, H, W, I] → [B, ⌈H/stride⌉, ⌈W/stride⌉, channels]`. Parameters are float32 and are standardised in float32, then cast to `dtype`.
    """

    channels: int
    kernel_size: int
    stride: int = 1
    groups: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1] // self.groups, self.channels)
        kernel = self.param("kernel", nn.initializers.variance_scaling(1.0, "fan_in", "normal"), shape, jnp.float32)
        gain = self.param("gain", nn.initializers.ones, (self.channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)
        weights = standardize(kernel, gain).astype(self.dtype)
        y = convolve(x.astype(self.dtype), weights, stride=self.stride, groups=self.groups)
        return checkpoint_name(y, PRODUCT) + bias.astype(self.dtype)


def average_pool(x: jax.Array) -> jax.Array:
    """Average 2×2 pixels with stride 2, SAME padding; padding is not counted in the mean."""
    return nn.avg_pool(x, (2, 2), strides=(2, 2), padding="SAME", count_include_pad=False)


class SqueezeExcite(nn.Module):
    """Gates the channels: `x · sigmoid(W2 · relu(W1 · mean(x)))`. The paper's text says GELU; its code and weights use ReLU."""

    hidden: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        squeezed = jnp.mean(x, axis=(1, 2))
        hidden = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, name="squeeze")(squeezed))
        gates = nn.sigmoid(nn.Dense(x.shape[-1], dtype=self.dtype, name="excite")(hidden))
        return x * gates[:, None, None, :]


def stochastic_depth(x: jax.Array, keep_rate: float | jax.Array, key: jax.Array) -> jax.Array:
    """Keep the branch of each sample with probability `keep_rate`, else zero it; survivors are not rescaled."""
    keep = jax.random.bernoulli(key, keep_rate, (x.shape[0], 1, 1, 1))
    return x * keep.astype(x.dtype)
