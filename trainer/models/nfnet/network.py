"""NFNet-F as a Flax module (Brock et al. 2021, arXiv 2102.06171): residual networks trained without any normalisation of activations.

What keeps the signal in range instead:
- weights are standardised (`layers.WSConv`);
- activations are scaled to keep unit variance (`layers.activation`);
- block i computes `x + α · SE(f(β·act(x))) · skip_gain`, with α = 0.2, skip_gain starting at 0 (SkipInit), and β = 1 / the expected
  standard deviation of x. That expectation starts at 1, grows by α² in variance with each block and is reset in a transition,
  whose shortcut sees the rescaled input: `expected_stds` writes it down.

Images are NHWC floats; one layout of parameters for every backend: `stem/conv<i>`, `block<i>/…`, `final_conv`, `classifier`.
"""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from trainer.models.nfnet.layers import SqueezeExcite, WSConv, activation, average_pool, stochastic_depth
from trainer.models.nfnet.variants import STEMS, Variant

__all__ = ["ALPHA", "NFBlock", "NFNet", "expected_stds"]

ALPHA = 0.2
"""Weight of a residual branch."""


def expected_stds(variant: Variant) -> list[float]:
    """Expected standard deviation of each block's input, in order of blocks: its β is one over this.

    A stage's first block (after the first stage) still uses what has accumulated; its output starts again from 1.
    """
    stds, std = [], 1.0
    for stage, depth in enumerate(variant.depth):
        for block in range(depth):
            stds.append(std)
            if block == 0 and stage > 0:
                std = 1.0
            std = math.sqrt(std**2 + ALPHA**2)
    return stds


class NFBlock(nn.Module):
    """One residual block: bottleneck of 1×1, two grouped 3×3, 1×1, then squeeze-and-excite ×2, SkipInit and α.

    beta: 1 / expected standard deviation of the input.
    drop_rate: probability that a sample skips the residual branch (stochastic depth, not rescaled).
    """

    width: int
    bottleneck: int
    groups: int
    stride: int
    beta: float
    se_ratio: float
    drop_rate: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        conv = lambda channels, kernel, name, **options: WSConv(channels, kernel, dtype=self.dtype, name=name, **options)  # noqa: E731
        a = activation(x) * self.beta
        shortcut = x
        if self.stride > 1 or x.shape[-1] != self.width:
            pooled = average_pool(a) if self.stride > 1 else a
            shortcut = conv(self.width, 1, "conv_shortcut")(pooled)
        h = conv(self.bottleneck, 1, "conv0")(a)
        h = conv(self.bottleneck, 3, "conv1", stride=self.stride, groups=self.groups)(activation(h))
        h = conv(self.bottleneck, 3, "conv1b", groups=self.groups)(activation(h))
        h = conv(self.width, 1, "conv2")(activation(h))
        h = 2.0 * SqueezeExcite(max(1, int(self.width * self.se_ratio)), dtype=self.dtype, name="squeeze_excite")(h)
        if train and self.drop_rate > 0:
            h = stochastic_depth(h, self.drop_rate, self.make_rng("dropout"))
        skip_gain = self.param("skip_gain", nn.initializers.zeros, (), jnp.float32)
        return shortcut + (ALPHA * skip_gain).astype(h.dtype) * h


class NFNet(nn.Module):
    """`images [B, H, W, C] → logits [B, num_classes]` in float32.

    dropout: rate before the classifier. stochastic_depth: rate of the last block; block i gets `rate · i / blocks`.
    dtype: of activations and of the convolutions' operands; parameters and weight standardisation stay float32.
    """

    variant: Variant
    num_classes: int
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        variant = self.variant
        x = self._stem(x.astype(self.dtype))
        stds, blocks, index = expected_stds(variant), sum(variant.depth), 0
        for stage, (width, depth) in enumerate(zip(variant.width, variant.depth, strict=True)):
            groups, bottleneck = variant.groups_and_bottleneck(stage)
            for position in range(depth):
                x = NFBlock(
                    width=width,
                    bottleneck=bottleneck,
                    groups=groups,
                    stride=variant.strides[stage] if position == 0 else 1,
                    beta=1.0 / stds[index],
                    se_ratio=variant.se_ratio,
                    drop_rate=self.stochastic_depth * index / blocks,
                    dtype=self.dtype,
                    name=f"block{index}",
                )(x, train=train)
                index += 1
        x = activation(WSConv(variant.head_width, 1, dtype=self.dtype, name="final_conv")(x))
        pooled = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        self.sow("intermediates", "pooled", pooled)
        pooled = nn.Dropout(self.dropout, deterministic=not train)(pooled)
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.01), name="classifier")(pooled)

    def _stem(self, x: jax.Array) -> jax.Array:
        convolutions = STEMS[self.variant.stem].convolutions
        for index, (channels, stride) in enumerate(convolutions):
            x = WSConv(channels or self.variant.width[0] // 2, 3, stride=stride, dtype=self.dtype, name=f"stem_conv{index}")(x)
            if index < len(convolutions) - 1:
                x = activation(x)
        return x
