"""Parameters and multiply–accumulates of an NFNet from its dimensions alone, in plain Python.

The counting walks the same blocks as `network.NFNet`; tests hold the two together, and both to the published figures.
MACs count convolutions and dense layers, as the published figures do; training FLOPs an image are 6 × MACs (forward 2, backward 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.models.nfnet.variants import STEMS, Variant

__all__ = ["macs", "params"]


@dataclass(frozen=True)
class _Layer:
    """A layer's parameters, and its MACs a pixel of output × pixels."""

    params: int
    macs: int


def params(variant: Variant, *, num_classes: int, channels: int = 3) -> int:
    """Trainable parameters."""
    return sum(layer.params for layer in _layers(variant, num_classes, channels, (1, 1)))


def macs(variant: Variant, *, num_classes: int, height: int, width: int, channels: int = 3) -> int:
    """Multiply–accumulates of one image's forward pass at `height` × `width` pixels."""
    return sum(layer.macs for layer in _layers(variant, num_classes, channels, (height, width)))


def _layers(variant: Variant, num_classes: int, channels: int, px: tuple[int, int]) -> Iterator[_Layer]:
    for out, stride in STEMS[variant.stem].convolutions:
        out = out or variant.width[0] // 2
        px = _shrink(px, stride)
        yield _conv(3, channels, out, px)
        channels = out
    for stage, (width, depth) in enumerate(zip(variant.width, variant.depth, strict=True)):
        groups, bottleneck = variant.groups_and_bottleneck(stage)
        for position in range(depth):
            stride = variant.strides[stage] if position == 0 else 1
            before, px = px, _shrink(px, stride)
            if stride > 1 or channels != width:
                yield _conv(1, channels, width, px)
            yield _conv(1, channels, bottleneck, before)
            yield _conv(3, bottleneck, bottleneck, px, groups)
            yield _conv(3, bottleneck, bottleneck, px, groups)
            yield _conv(1, bottleneck, width, px)
            hidden = max(1, int(width * variant.se_ratio))
            yield _dense(width, hidden)
            yield _dense(hidden, width)
            yield _Layer(params=1, macs=0)  # skip_gain
            channels = width
    yield _conv(1, channels, variant.head_width, px)
    yield _dense(variant.head_width, num_classes)


def _conv(kernel: int, inputs: int, outputs: int, px: tuple[int, int], groups: int = 1) -> _Layer:
    weights = kernel * kernel * (inputs // groups) * outputs
    return _Layer(params=weights + 2 * outputs, macs=weights * px[0] * px[1])


def _dense(inputs: int, outputs: int) -> _Layer:
    return _Layer(params=inputs * outputs + outputs, macs=inputs * outputs)


def _shrink(px: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-px[0] // stride), -(-px[1] // stride)
