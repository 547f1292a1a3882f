"""ResNet as a Flax module: convolutions without bias, each followed by BatchNorm; ReLU; shortcuts by projection where the shape changes.

As torchvision and timm have it: the stride of a bottleneck is on its 3×3 convolution, zeros are padded on both sides alike, kernels begin by He
et al. with fan-out (arXiv 1502.01852), BatchNorm keeps 0.9 of its averages and adds 1e-5 to variances. It differs in one thing: the
average of variances is of the batch's own, where PyTorch multiplies each by m / (m − 1) for m values a channel.

Images are NHWC floats. Parameters: `stem_conv`, `stem_norm`, `block<i>/conv<j>`, `block<i>/norm<j>`, `block<i>/conv_shortcut`,
`block<i>/norm_shortcut`, `classifier`; the averages of each norm are in the collection `batch_stats`.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from trainer.models.nfnet.convolution import convolve
from trainer.models.rematerialisation import PRODUCT, rematerialised
from trainer.models.resnet.variants import Variant

__all__ = ["Block", "ResNet"]

MOMENTUM, EPSILON = 0.9, 1e-5


class Conv(nn.Module):
    """Convolves without bias: `[B, H, W, I] → [B, ⌈H/stride⌉, ⌈W/stride⌉, channels]`, padded by half the kernel on each side."""

    channels: int
    kernel_size: int
    stride: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size, stride, around = self.kernel_size, self.stride, self.kernel_size // 2
        shape = (size, size, x.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.variance_scaling(2.0, "fan_out", "normal"), shape, jnp.float32)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if size == 1:
            y = convolve(x[:, ::stride, ::stride], kernel)
        elif stride == 1:
            y = convolve(x, kernel)
        else:  # XLA's own SAME padding would be on one side alone
            y = lax.conv_general_dilated(
                x, kernel, (stride, stride), [(around, around)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        return checkpoint_name(y, PRODUCT)


class Block(nn.Module):
    """Computes one residual block: `relu(shortcut(x) + f(x))`, with f = 1×1, 3×3, 1×1 or two 3×3.

    drop_rate: probability that a sample of a training batch does without f (stochastic depth, arXiv 1603.09382); what stays is divided by
        1 − drop_rate, as timm does.
    last_scale: initial scale of the last BatchNorm.
    """

    width: int
    inside: int
    kind: str
    stride: int
    train: bool
    drop_rate: float
    last_scale: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        """Apply the block: `[B, H, W, C] → [B, ⌈H/stride⌉, ⌈W/stride⌉, width]`. mask: [B, 1, 1, 1] bool, which examples are real."""
        if self.kind == "basic":
            convolutions = [(self.inside, 3, self.stride), (self.width, 3, 1)]
        else:
            convolutions = [(self.inside, 1, 1), (self.inside, 3, self.stride), (self.width, 1, 1)]
        shortcut = x
        if self.stride > 1 or x.shape[-1] != self.width:
            shortcut = Conv(self.width, 1, self.stride, self.dtype, name="conv_shortcut")(x)
            shortcut = norm("norm_shortcut", self.train, self.dtype)(shortcut, mask=mask)
        last = len(convolutions) - 1
        for index, (channels, size, stride) in enumerate(convolutions):
            x = Conv(channels, size, stride, self.dtype, name=f"conv{index}")(x)
            x = norm(f"norm{index}", self.train, self.dtype, scale=self.last_scale if index == last else 1.0)(x, mask=mask)
            x = nn.relu(x) if index < last else x
        if self.train and self.drop_rate > 0:
            keep = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - self.drop_rate, (x.shape[0], 1, 1, 1))
            x = x * keep.astype(x.dtype) / (1.0 - self.drop_rate)
        return nn.relu(shortcut + x)


class ResNet(nn.Module):
    """Maps images [B, H, W, C] to logits [B, num_classes] in float32.

    dropout: rate before the classifier. stochastic_depth: rate of the last block; the first has 0, those between grow linearly.
    zero_init_last: scales of the last BatchNorm of each block begin at 0 (arXiv 1706.02677, sec. 5.1).
    dtype: of activations and of the convolutions' operands; parameters and statistics stay float32.
    remat: what the backward pass keeps of a block (`trainer.models.rematerialisation`).
    """

    variant: Variant
    num_classes: int
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    zero_init_last: bool = True
    dtype: DTypeLike = jnp.float32
    remat: str = "none"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False, mask: jax.Array | None = None) -> jax.Array:
        """Compute the logits. mask: [B] bool; examples for which it is False do not enter the statistics of a training batch."""
        variant, inside = self.variant, self.variant.inside
        mask = None if mask is None else mask[:, None, None, None]
        size, stride = (7 if variant.stem == "imagenet" else 3), (1 if variant.stem == "small" else 2)
        x = Conv(inside[0], size, stride, self.dtype, name="stem_conv")(x)
        x = nn.relu(norm("stem_norm", train, self.dtype)(x, mask=mask))
        if variant.stem == "imagenet":
            x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        block, index, last = rematerialised(Block, self.remat), 0, max(1, sum(variant.depth) - 1)
        for width, within, depth, first in zip(variant.width, inside, variant.depth, variant.strides, strict=True):
            for place in range(depth):
                x = block(
                    width=width,
                    inside=within,
                    kind=variant.block,
                    stride=first if place == 0 else 1,
                    train=train,
                    drop_rate=self.stochastic_depth * index / last,
                    last_scale=0.0 if self.zero_init_last else 1.0,
                    dtype=self.dtype,
                    name=f"block{index}",
                )(x, mask)
                index += 1
        pooled = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        pooled = nn.Dropout(self.dropout, deterministic=not train)(pooled)
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.01), name="classifier")(pooled)


def norm(name: str, train: bool, dtype: DTypeLike, *, scale: float = 1.0) -> nn.BatchNorm:
    """Make a BatchNorm, by the batch's statistics in training and by the averages in evaluation. scale: its initial scales."""
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=MOMENTUM,
        epsilon=EPSILON,
        dtype=dtype,
        scale_init=nn.initializers.constant(scale),
        name=name,
    )
