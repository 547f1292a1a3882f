"""NFNet-F as a Flax module (Brock et al. 2021, arXiv 2102.06171): residual networks trained without any normalisation of activations.

What keeps the signal in range instead:
- weights are standardised (`layers.WSConv`);
- activations are scaled to keep unit variance (`layers.activation`);
- block i computes `x + α · SE(f(β·act(x))) · skip_gain`, with α = 0.2, skip_gain starting at 0 (SkipInit), and β = 1 / the expected
  standard deviation of x. That expectation starts at 1, grows by α² in variance with each block and is reset in a transition,
  whose shortcut sees the rescaled input: `expected_stds` writes it down.

Images are NHWC floats; one layout of parameters for every backend and option: `stem_conv<i>`, `block<i>/…`, `final_conv`, `classifier`.
A network that loops over blocks takes their parameters stacked as well (`NFNet.parameter_stacks`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from trainer.models.nfnet.initial import drawn_params
from trainer.models.nfnet.layers import SqueezeExcite, WSConv, activation, average_pool, stochastic_depth
from trainer.models.nfnet.variants import Variant
from trainer.models.rematerialisation import rematerialised
from trainer.models.scanning import scanned, stack_name
from trainer.typing import PyTree

__all__ = ["ALPHA", "NFBlock", "NFNet", "expected_stds"]

ALPHA = 0.2
"""Weight of a residual branch."""


def expected_stds(variant: Variant) -> list[float]:
    """Return the expected standard deviation of each block's input, in order of blocks: its β is one over this.

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
    """Computes one residual block: bottleneck of 1×1, two grouped 3×3, 1×1, then squeeze-and-excite ×2, SkipInit and α.

    Blocks of a stage differ in parameters and in what is given to the call alone, so one compiled block can serve them all.
    """

    width: int
    bottleneck: int
    groups: int
    stride: int
    se_ratio: float
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: jax.Array, beta: float | jax.Array, keep_rate: float | jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """Apply the block: `[B, H, W, C] → [B, ⌈H/stride⌉, ⌈W/stride⌉, width]`.

        beta: 1 / expected standard deviation of `x`.
        keep_rate: probability that a sample goes through the residual branch (stochastic depth, not rescaled); None: every sample does.
        key: of its random numbers; None: from Flax's `dropout` stream.
        """
        conv = lambda channels, kernel, name, **options: WSConv(channels, kernel, dtype=self.dtype, name=name, **options)  # noqa: E731
        a = activation(x) * jnp.asarray(beta, x.dtype)
        shortcut = x
        if self.stride > 1 or x.shape[-1] != self.width:
            pooled = average_pool(a) if self.stride > 1 else a
            shortcut = conv(self.width, 1, "conv_shortcut")(pooled)
        h = conv(self.bottleneck, 1, "conv0")(a)
        h = conv(self.bottleneck, 3, "conv1", stride=self.stride, groups=self.groups)(activation(h))
        h = conv(self.bottleneck, 3, "conv1b", groups=self.groups)(activation(h))
        h = conv(self.width, 1, "conv2")(activation(h))
        h = 2.0 * SqueezeExcite(max(1, int(self.width * self.se_ratio)), dtype=self.dtype, name="squeeze_excite")(h)
        if keep_rate is not None:
            h = stochastic_depth(h, keep_rate, self.make_rng("dropout") if key is None else key)
        skip_gain = self.param("skip_gain", nn.initializers.zeros, (), jnp.float32)
        return shortcut + (ALPHA * skip_gain).astype(h.dtype) * h


class _Key(nn.Module):
    """Draws the key that a block of this name would draw from Flax's `dropout` stream: a loop over blocks draws the same numbers."""

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.make_rng("dropout")


class NFNet(nn.Module):
    """Maps images [B, H, W, C] to logits [B, num_classes] in float32.

    dropout: rate before the classifier. stochastic_depth: rate of the last block; block i gets `rate · i / blocks`.
    dtype: of activations and of the convolutions' operands; parameters and weight standardisation stay float32.
    scan: the blocks of a stage that are alike as one loop, which is compiled once (`trainer.models.scanning`).
    remat: what the backward pass keeps of a block (`trainer.models.rematerialisation`).
    """

    variant: Variant
    num_classes: int
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    dtype: DTypeLike = jnp.float32
    scan: bool = False
    remat: str = "none"

    @property
    def parameter_stacks(self) -> dict[str, tuple[str, ...]]:
        """Name the parameters that a step may keep as one array each (`trainer.layout`): those of the blocks that are looped over."""
        firsts = itertools.accumulate(self.variant.depth, initial=0)
        loops = [range(first + 1, first + depth) for first, depth in zip(firsts, self.variant.depth, strict=False)]
        return {stack_name(loop): tuple(f"block{index}" for index in loop) for loop in loops if self.scan and len(loop) > 1}

    @nn.nowrap
    def drawn_params(self, shapes: PyTree, *, seed: int) -> PyTree:
        """Draw initial parameters of these shapes; see `initial`."""
        return drawn_params(shapes, seed=seed)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        variant = self.variant
        x = self._stem(x.astype(self.dtype))
        first = 0
        for stage, depth in enumerate(variant.depth):
            x = self._blocks(x, stage, range(first, first + 1), train, stride=variant.strides[stage])
            x = self._blocks(x, stage, range(first + 1, first + depth), train)
            first += depth
        x = activation(WSConv(variant.head_width, 1, dtype=self.dtype, name="final_conv")(x))
        pooled = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        self.sow("intermediates", "pooled", pooled)
        pooled = nn.Dropout(self.dropout, deterministic=not train)(pooled)
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.01), name="classifier")(pooled)

    def _blocks(self, x: jax.Array, stage: int, indices: Sequence[int], train: bool, stride: int = 1) -> jax.Array:
        """Apply blocks `indices` of the network, all of one shape."""
        variant = self.variant
        groups, bottleneck = variant.groups_and_bottleneck(stage)
        stds, blocks = expected_stds(variant), sum(variant.depth)
        options: dict[str, Any] = {
            "width": variant.width[stage],
            "bottleneck": bottleneck,
            "groups": groups,
            "stride": stride,
            "se_ratio": variant.se_ratio,
            "dtype": self.dtype,
        }
        drops = train and self.stochastic_depth > 0
        betas = [1.0 / stds[index] for index in indices]
        keep_rates = [1.0 - self.stochastic_depth * index / blocks for index in indices] if drops else [None] * len(betas)
        if self.scan and len(betas) > 1 and not self.is_initializing():
            per_block = {"beta": jnp.asarray(betas, x.dtype)}
            if drops:
                per_block["keep_rate"] = jnp.asarray(keep_rates, jnp.float32)
                per_block["key"] = jnp.stack([_Key(name=f"block{index}", parent=self)() for index in indices])
            return scanned(self, NFBlock(**options, parent=None), x, indices, per_block, remat=self.remat)
        block = rematerialised(NFBlock, self.remat)
        for index, beta, keep_rate in zip(indices, betas, keep_rates, strict=True):
            x = block(**options, name=f"block{index}")(x, beta, keep_rate)
        return x

    def _stem(self, x: jax.Array) -> jax.Array:
        for index, (channels, stride) in enumerate(self.variant.stem_convolutions):
            x = WSConv(channels, 3, stride=stride, dtype=self.dtype, name=f"stem_conv{index}")(activation(x) if index else x)
        return x
