"""The Vision Transformer as a Flax module (Dosovitskiy et al. 2021, arXiv 2010.11929).

An image is cut into patches, each of which one dense layer makes a token. Positions are added, blocks follow (`layers.Block`), a LayerNorm,
and a pool that makes one vector for the classifier. LayerNorm comes before each pool, the mean among them, as in big_vision (timm:
`fc_norm=False`).

Images are NHWC floats; one layout of parameters for every backend and option: `embedding`, `positions`, `class_token`, `block<i>/…`,
`norm`, `pool/…`, `classifier`. A network that loops over blocks takes their parameters stacked as well (`ViT.parameter_stacks`).
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from trainer.models.rematerialisation import rematerialised
from trainer.models.scanning import scanned, stack_name
from trainer.models.vit.layers import AttentionPool, Block, dropped, layer_norm
from trainer.models.vit.positions import resampled, sincos
from trainer.models.vit.variants import Variant
from trainer.typing import ImageShape

__all__ = ["ViT"]


class ViT(nn.Module):
    """Maps images [B, H, W, C] to logits [B, num_classes] in float32.

    image_shape: [H, W, C] in training. Positions belong to its grid of patches, and are resampled for images of another size. None: the
        images that come are of the size in training.
    dropout: rate after each dense layer of the blocks but query, key and value, and after the positions are added.
    stochastic_depth: rate of the last block's branches; those of block i have `rate · i / (blocks − 1)`.
    dtype: of activations and of the products' operands; parameters, LayerNorm, softmax and classifier are float32.
    scan: the blocks as one loop, which is compiled once (`trainer.models.scanning`).
    remat: what the backward pass keeps of a block (`trainer.models.rematerialisation`).
    """

    variant: Variant
    num_classes: int
    image_shape: ImageShape | None = None
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    dtype: DTypeLike = jnp.float32
    scan: bool = False
    remat: str = "none"

    @property
    def parameter_stacks(self) -> dict[str, tuple[str, ...]]:
        """Name the parameters that a step may keep as one array each (`trainer.layout`): those of the blocks, where they are a loop."""
        blocks = range(self.variant.depth)
        return {stack_name(blocks): tuple(f"block{index}" for index in blocks)} if self.scan and len(blocks) > 1 else {}

    @nn.nowrap
    def resized(self, path: tuple[str, ...], values: np.ndarray, *, before: ImageShape, after: ImageShape) -> np.ndarray | None:
        """Resample learned positions for images of another size; None of all other parameters."""
        if path != ("positions",):
            return None
        token, patches = np.split(values, [self.variant.class_tokens])
        grids = self.variant.grid(before), self.variant.grid(after)
        return np.concatenate([token, np.asarray(resampled(jnp.asarray(patches), *grids))])

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        variant = self.variant
        drops = train and (self.dropout > 0 or self.stochastic_depth > 0)
        keys = jax.random.split(self.make_rng("dropout"), variant.depth + 1) if drops else None
        x = dropped(self._tokens(images), self.dropout, None if keys is None else keys[-1])
        x = self._blocks(x, None if keys is None else keys[:-1])
        x = layer_norm(self.dtype, "norm")(x)
        if variant.pool == "attention":
            x = AttentionPool(variant.heads, variant.hidden, variant.gelu, self.dtype, name="pool")(x)
        else:
            x = x[:, 0] if variant.pool == "token" else jnp.mean(x, axis=1, dtype=jnp.float32)
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.zeros, name="classifier")(x.astype(jnp.float32))

    def _tokens(self, images: jax.Array) -> jax.Array:
        """Cut images into patches, row by row, and make tokens of them, with positions: [B, tokens, width]."""
        variant, (batch, height, width, channels) = self.variant, images.shape
        rows, columns = variant.grid((height, width, channels))
        patches = images.reshape(batch, rows, variant.patch, columns, variant.patch, channels).swapaxes(2, 3)
        x = nn.Dense(variant.width, dtype=self.dtype, name="embedding")(patches.reshape(batch, rows * columns, -1))
        positions = self._positions((rows, columns)).astype(self.dtype)
        if variant.class_tokens:
            token = self.param("class_token", nn.initializers.zeros, (variant.width,), jnp.float32).astype(self.dtype)
            x = jnp.concatenate([jnp.broadcast_to(token, (batch, 1, variant.width)), x], axis=1)
        return x + positions

    def _positions(self, grid: tuple[int, int]) -> jax.Array:
        """Return what is added to each token, [tokens, width]. The class token comes first; sin-cos positions add nothing to it."""
        variant = self.variant
        trained = grid if self.image_shape is None else variant.grid(self.image_shape)
        if variant.positions == "learned":
            initial = nn.initializers.normal(1 / math.sqrt(variant.width))
            shape = (variant.class_tokens + trained[0] * trained[1], variant.width)
            positions = self.param("positions", initial, shape, jnp.float32)
        else:
            positions = jnp.pad(sincos(trained, variant.width), ((variant.class_tokens, 0), (0, 0)))
        token, patches = jnp.split(positions, [variant.class_tokens])
        return jnp.concatenate([token, resampled(patches, trained, grid)])

    def _blocks(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        """Apply the blocks. keys: of each block's random numbers; None where nothing is dropped."""
        variant, indices = self.variant, range(self.variant.depth)
        options = (variant.heads, variant.hidden, variant.gelu, self.dropout, self.dtype)
        per_block: dict[str, jax.Array] = {} if keys is None else {"key": keys}
        if keys is not None and self.stochastic_depth > 0:
            per_block["keep_rate"] = 1.0 - self.stochastic_depth * jnp.linspace(0.0, 1.0, variant.depth)
        if self.scan and len(indices) > 1 and not self.is_initializing():
            return scanned(self, Block(*options, parent=None), x, indices, per_block, remat=self.remat)
        block = rematerialised(Block, self.remat)
        for index in indices:
            x = block(*options, name=f"block{index}")(x, **{name: values[index] for name, values in per_block.items()})
        return x
