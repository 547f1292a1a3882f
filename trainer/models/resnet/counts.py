"""Parameters, multiply–accumulates and activations of a ResNet from its dimensions alone, in plain Python.

The counting walks the same blocks as `network.ResNet`, the first of a stage and one that stands for the others. MACs count convolutions and the
dense layer; BatchNorm and pooling have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.models.resnet.variants import Variant
from trainer.typing import ImageShape

__all__ = ["activations", "macs", "params"]


@dataclass(frozen=True)
class _Layer:
    """Counts one layer. macs, outputs: of one image. times: how many such layers there are."""

    params: int
    macs: int
    outputs: int
    times: int = 1


def params(variant: Variant, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the trainable parameters."""
    return sum(layer.times * layer.params for layer in _layers(variant, num_classes, image_shape))


def macs(variant: Variant, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the multiply–accumulates of one image's forward pass."""
    return sum(layer.times * layer.macs for layer in _layers(variant, num_classes, image_shape))


def activations(variant: Variant, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the numbers that the convolutions and the dense layer of one image's forward pass give."""
    return sum(layer.times * layer.outputs for layer in _layers(variant, num_classes, image_shape))


def _layers(variant: Variant, num_classes: int, image_shape: ImageShape) -> Iterator[_Layer]:
    height, width, channels = image_shape
    px = _shrink((height, width), 1 if variant.stem == "small" else 2)
    inside = variant.inside
    yield _conv(7 if variant.stem == "imagenet" else 3, channels, inside[0], px)
    channels = inside[0]
    px = _shrink(px, 2 if variant.stem == "imagenet" else 1)
    for out, within, depth, stride in zip(variant.width, inside, variant.depth, variant.strides, strict=True):
        yield from _block(variant.block, channels, within, out, px, stride, times=1)
        channels, px = out, _shrink(px, stride)
        yield from _block(variant.block, channels, within, out, px, 1, times=depth - 1)
    weights = channels * num_classes
    yield _Layer(weights + num_classes, weights, num_classes)


def _block(block: str, channels: int, inside: int, out: int, px: tuple[int, int], stride: int, *, times: int) -> Iterator[_Layer]:
    after = _shrink(px, stride)
    if block == "basic":
        yield _conv(3, channels, inside, after, times)
        yield _conv(3, inside, out, after, times)
    else:
        yield _conv(1, channels, inside, px, times)
        yield _conv(3, inside, inside, after, times)
        yield _conv(1, inside, out, after, times)
    if stride > 1 or channels != out:
        yield _conv(1, channels, out, after, times)


def _conv(kernel: int, inputs: int, outputs: int, px: tuple[int, int], times: int = 1) -> _Layer:
    """Count a convolution without bias, and the scale and bias of the BatchNorm after it."""
    weights, pixels = kernel * kernel * inputs * outputs, px[0] * px[1]
    return _Layer(weights + 2 * outputs, weights * pixels, outputs * pixels, times)


def _shrink(px: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-px[0] // stride), -(-px[1] // stride)
