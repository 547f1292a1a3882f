"""Parameters, multiply–accumulates and activations of an NFNet from its dimensions alone, in plain Python.

The counting walks the same blocks as `network.NFNet`; tests hold the two together, and both to the published figures.
MACs count convolutions and dense layers, as the published figures do; training FLOPs an image are 6 × MACs (forward 2, backward 4).
Activations count the outputs of convolutions, squeeze-and-excite's two layers among them (which timm writes as 1×1 convolutions), as
timm's tables and fvcore do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.models.nfnet.variants import Variant

__all__ = ["REMAT", "activations", "kept_activations", "macs", "params"]


@dataclass(frozen=True)
class _Layer:
    """params. macs, outputs: of one image. block: which residual block it is in; None for stem and head."""

    params: int
    macs: int
    outputs: int = 0
    block: int | None = None


def params(variant: Variant, *, num_classes: int, channels: int = 3) -> int:
    """Trainable parameters."""
    return sum(layer.params for layer in _layers(variant, num_classes, channels, (1, 1)))


def macs(variant: Variant, *, num_classes: int, height: int, width: int, channels: int = 3) -> int:
    """Multiply–accumulates of one image's forward pass at `height` × `width` pixels."""
    return sum(layer.macs for layer in _layers(variant, num_classes, channels, (height, width)))


def activations(variant: Variant, *, num_classes: int, height: int, width: int, channels: int = 3) -> int:
    """Numbers that the convolutions and dense layers of one image's forward pass give."""
    return sum(layer.outputs for layer in _layers(variant, num_classes, channels, (height, width)))


REMAT = ("none", "block", "dots")


def kept_activations(variant: Variant, *, num_classes: int, height: int, width: int, channels: int = 3, remat: str = "none") -> int:
    """About how many numbers of one image the backward pass finds in memory, by rematerialisation policy.

    `none`: what each layer gives, and that after the non-linearity. `dots`: what each layer gives. `block`: the inputs of the blocks, stem
    and head as in `none`, and one block at a time as in `none`.
    """
    layers = list(_layers(variant, num_classes, channels, (height, width)))
    if remat != "block":
        return (1 if remat == "dots" else 2) * sum(layer.outputs for layer in layers)
    inside = [0] * sum(variant.depth)
    for layer in layers:
        if layer.block is not None:
            inside[layer.block] += layer.outputs
    inputs = sum(rows * columns * inputs for _, inputs, (rows, columns) in _block_inputs(variant, (height, width)))
    return inputs + 2 * (max(inside) + sum(layer.outputs for layer in layers if layer.block is None))


def _block_inputs(variant: Variant, px: tuple[int, int]) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """(stage, channels, pixels) of each block's input."""
    for _, stride in variant.stem_convolutions:
        px = _shrink(px, stride)
    channels = variant.stem_convolutions[-1][0]
    for stage, (width, depth) in enumerate(zip(variant.width, variant.depth, strict=True)):
        for position in range(depth):
            yield stage, channels, px
            channels, px = width, _shrink(px, variant.strides[stage] if position == 0 else 1)


def _layers(variant: Variant, num_classes: int, channels: int, px: tuple[int, int]) -> Iterator[_Layer]:
    image = px
    for out, stride in variant.stem_convolutions:
        px = _shrink(px, stride)
        yield _conv(3, channels, out, px)
        channels = out
    stage_before = -1
    for block, (stage, channels, before) in enumerate(_block_inputs(variant, image)):
        width, (groups, bottleneck) = variant.width[stage], variant.groups_and_bottleneck(stage)
        stride = variant.strides[stage] if stage != stage_before else 1
        px, stage_before = _shrink(before, stride), stage
        if stride > 1 or channels != width:
            yield _conv(1, channels, width, px, block=block)
        yield _conv(1, channels, bottleneck, before, block=block)
        yield _conv(3, bottleneck, bottleneck, px, groups, block=block)
        yield _conv(3, bottleneck, bottleneck, px, groups, block=block)
        yield _conv(1, bottleneck, width, px, block=block)
        hidden = max(1, int(width * variant.se_ratio))
        yield _dense(width, hidden, block=block)
        yield _dense(hidden, width, block=block)
        yield _Layer(params=1, macs=0, block=block)  # skip_gain
    yield _conv(1, variant.width[-1], variant.head_width, px)
    yield _dense(variant.head_width, num_classes)


def _conv(kernel: int, inputs: int, outputs: int, px: tuple[int, int], groups: int = 1, block: int | None = None) -> _Layer:
    weights, pixels = kernel * kernel * (inputs // groups) * outputs, px[0] * px[1]
    return _Layer(params=weights + 2 * outputs, macs=weights * pixels, outputs=outputs * pixels, block=block)


def _dense(inputs: int, outputs: int, block: int | None = None) -> _Layer:
    return _Layer(params=inputs * outputs + outputs, macs=inputs * outputs, outputs=outputs, block=block)


def _shrink(px: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-px[0] // stride), -(-px[1] // stride)
