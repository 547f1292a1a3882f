"""Parameters, multiply–accumulates and activations of a ViT from its dimensions alone, in plain Python.

MACs count dense layers and the two products of each attention, q·k and probabilities·v; training FLOPs an image are 6 × MACs (forward 2,
backward 4). Tests compare the counts with the module's own, with timm's and with the published figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from trainer.models.vit.variants import Variant
from trainer.typing import ImageShape

__all__ = ["activations", "kept_activations", "macs", "params"]


@dataclass(frozen=True)
class _Layer:
    """Counts one layer.

    macs, outputs: of one image. attended: outputs of attention's products. kept: numbers beside these that the backward pass needs.
    times: how many such layers there are.
    """

    params: int = 0
    macs: int = 0
    outputs: int = 0
    attended: int = 0
    kept: int = 0
    times: int = 1


def params(variant: Variant, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the trainable parameters."""
    return sum(layer.times * layer.params for layer in _layers(variant, num_classes, image_shape))


def macs(variant: Variant, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the multiply–accumulates of one image's forward pass."""
    return sum(layer.times * layer.macs for layer in _layers(variant, num_classes, image_shape))


def activations(variant: Variant, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the numbers that the dense layers and attention's products of one image's forward pass give, as fvcore does."""
    return sum(layer.times * (layer.outputs + layer.attended) for layer in _layers(variant, num_classes, image_shape))


def kept_activations(variant: Variant, *, num_classes: int, image_shape: ImageShape, remat: str = "none") -> int:
    """Estimate how many numbers of one image the backward pass finds in memory, by rematerialisation policy.

    `none`: what each layer gives, what goes into it, and attention's probabilities. `dots`: what dense layers give. `block`: the inputs of
    the blocks, the ends of the network as in `none`, and one block at a time as in `none`.
    """
    layers = list(_layers(variant, num_classes, image_shape))
    if remat == "dots":
        return sum(layer.times * layer.outputs for layer in layers)
    tokens = _tokens(variant, image_shape)
    inputs = variant.depth * tokens * variant.width if remat == "block" else 0
    return inputs + sum(
        (1 if remat == "block" else layer.times) * (layer.outputs + layer.attended + layer.kept) for layer in layers
    )


def _tokens(variant: Variant, image_shape: ImageShape) -> int:
    rows, columns = variant.grid(image_shape)
    return rows * columns + variant.class_tokens


def _layers(variant: Variant, num_classes: int, image_shape: ImageShape) -> Iterator[_Layer]:
    width, tokens = variant.width, _tokens(variant, image_shape)
    patches = tokens - variant.class_tokens
    yield _dense(variant.patch**2 * image_shape[2], width, patches)
    yield _Layer(params=variant.class_tokens * width)
    if variant.positions == "learned":
        yield _Layer(params=tokens * width)
    for layer in _block(variant, tokens):
        yield replace(layer, times=variant.depth)
    yield _norm(width, tokens)
    if variant.pool == "attention":
        yield _Layer(params=width)  # the query
        yield from _attention(variant, queries=1, tokens=tokens)
        yield from _mlp(variant, tokens=1)
    yield _dense(width, num_classes, 1)


def _block(variant: Variant, tokens: int) -> Iterator[_Layer]:
    yield _norm(variant.width, tokens)
    yield from _attention(variant, queries=tokens, tokens=tokens)
    yield from _mlp(variant, tokens)


def _attention(variant: Variant, *, queries: int, tokens: int) -> Iterator[_Layer]:
    width = variant.width
    yield _dense(width, width, queries)  # query
    yield _dense(width, width, tokens)  # key
    yield _dense(width, width, tokens)  # value
    scores = queries * tokens * variant.heads
    yield _Layer(macs=2 * queries * tokens * width, attended=scores + queries * width, kept=scores)
    yield _dense(width, width, queries)  # out


def _mlp(variant: Variant, tokens: int) -> Iterator[_Layer]:
    yield _norm(variant.width, tokens)
    yield _dense(variant.width, variant.hidden, tokens)
    yield _dense(variant.hidden, variant.width, tokens)


def _dense(inputs: int, outputs: int, tokens: int) -> _Layer:
    return _Layer(
        params=inputs * outputs + outputs, macs=tokens * inputs * outputs, outputs=tokens * outputs, kept=tokens * outputs
    )


def _norm(width: int, tokens: int) -> _Layer:
    return _Layer(params=2 * width, kept=tokens * width)
