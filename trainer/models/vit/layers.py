"""The parts of a ViT: attention, MLP, attention pooling, dropout and stochastic depth.

Kernels are matrices [inputs, outputs], also those of attention, so that an optimiser which looks at a kernel's outputs (adaptive gradient
clipping, Muon) finds them. Parameters are float32, products are in `dtype`, softmax and LayerNorm are computed in float32.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from trainer.models.rematerialisation import PRODUCT

__all__ = ["Attention", "AttentionPool", "Block", "layer_norm"]

_KERNEL = nn.initializers.xavier_uniform()
"""The start of Dosovitskiy et al.'s code and of big_vision; their MLPs' biases start at N(0, 1e-6²), here at 0."""


def layer_norm(dtype: DTypeLike, name: str) -> nn.LayerNorm:
    """Make a LayerNorm with ε = 1e-6 that computes in float32 and gives `dtype`."""
    return nn.LayerNorm(epsilon=1e-6, dtype=dtype, use_fast_variance=False, name=name)


def _dense(features: int, dtype: DTypeLike, name: str, x: jax.Array) -> jax.Array:
    return checkpoint_name(nn.Dense(features, kernel_init=_KERNEL, dtype=dtype, name=name)(x), PRODUCT)


class Attention(nn.Module):
    """Attends from `queries` [B, T, C] to `tokens` [B, S, C] with several heads → [B, T, C]."""

    heads: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, queries: jax.Array, tokens: jax.Array) -> jax.Array:
        width = tokens.shape[-1]
        query, key, value = (
            _dense(width, self.dtype, name, x).reshape(*x.shape[:2], self.heads, width // self.heads)
            for name, x in (("query", queries), ("key", tokens), ("value", tokens))
        )
        # As `jax.nn.dot_product_attention`, whose gradients take a third more time on a CPU (jax 0.10.2, 65 and 197 tokens).
        scores = jnp.einsum("bthd,bshd->bhts", query, key, preferred_element_type=jnp.float32) / math.sqrt(width // self.heads)
        attended = jnp.einsum("bhts,bshd->bthd", nn.softmax(scores).astype(self.dtype), value)
        return _dense(width, self.dtype, "out", attended.reshape(queries.shape))


class Mlp(nn.Module):
    """Maps each token by two dense layers with GELU between them.

    rate, key: of dropout after the GELU; no key, no dropout.
    """

    hidden: int
    gelu: str
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, rate: float = 0.0, key: jax.Array | None = None) -> jax.Array:
        h = nn.gelu(_dense(self.hidden, self.dtype, "in", x), approximate=self.gelu == "tanh")
        return _dense(x.shape[-1], self.dtype, "out", dropped(h, rate, key))


class Block(nn.Module):
    """Computes one block with LayerNorm first: `x + attention(norm(x))`, then `x + mlp(norm(x))`.

    dropout: rate after each dense layer but those of query, key and value (Dosovitskiy et al. 2021, appendix B.1).
    """

    heads: int
    hidden: int
    gelu: str
    dropout: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, keep_rate: float | jax.Array | None = None, key: jax.Array | None = None) -> jax.Array:
        """Apply the block to tokens [B, T, C].

        keep_rate: probability that a sample goes through a branch (stochastic depth); None: every sample does.
        key: of all random numbers; None: outside training, where nothing is dropped.
        """
        keys = [None] * 5 if key is None else jax.random.split(key, 5)
        y = layer_norm(self.dtype, "attention_norm")(x)
        y = dropped(Attention(self.heads, self.dtype, name="attention")(y, y), self.dropout, keys[0])
        x = x + stochastic_depth(y, keep_rate, keys[1])
        y = Mlp(self.hidden, self.gelu, self.dtype, name="mlp")(layer_norm(self.dtype, "mlp_norm")(x), self.dropout, keys[2])
        return x + stochastic_depth(dropped(y, self.dropout, keys[3]), keep_rate, keys[4])


class AttentionPool(nn.Module):
    """Makes one vector of the tokens, `[B, T, C] → [B, C]`: a learnt query attends to them, then a residual MLP follows.

    The MAP head of Zhai et al. 2022 (arXiv 2106.04560), after Set Transformer (arXiv 1810.00825), as in big_vision and timm.
    """

    heads: int
    hidden: int
    gelu: str
    dtype: DTypeLike

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        batch, _, width = tokens.shape
        probe = self.param("probe", lambda key: _KERNEL(key, (1, width), jnp.float32)[0])
        query = jnp.broadcast_to(probe.astype(self.dtype), (batch, 1, width))
        x = Attention(self.heads, self.dtype, name="attention")(query, tokens)
        x = x + Mlp(self.hidden, self.gelu, self.dtype, name="mlp")(layer_norm(self.dtype, "mlp_norm")(x))
        return x[:, 0]


def dropped(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    """Zero each number with probability `rate`, and divide the others by 1 − rate; without a key, give `x` as it is."""
    if rate == 0.0 or key is None:
        return x
    return jnp.where(jax.random.bernoulli(key, 1.0 - rate, x.shape), x / (1.0 - rate), jnp.zeros_like(x))


def stochastic_depth(x: jax.Array, keep_rate: float | jax.Array | None, key: jax.Array | None) -> jax.Array:
    """Keep the branch of each sample with probability `keep_rate`, divided by it, else zero it (Huang et al. 2016, arXiv 1603.09382).

    Survivors are rescaled, as by DeiT and timm, so that evaluation needs no other scale.
    """
    if keep_rate is None or key is None:
        return x
    keep = jax.random.bernoulli(key, keep_rate, (x.shape[0], 1, 1))
    return jnp.where(keep, x / jnp.asarray(keep_rate, x.dtype), jnp.zeros_like(x))
