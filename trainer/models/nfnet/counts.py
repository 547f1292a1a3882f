"""Parameters, multiply–accumulates and activations of an NFNet from its dimensions alone, in plain Python.

The counting walks the same blocks as `network.NFNet`, the first of a stage and one that stands for the others. Tests compare the two, and
both with the published figures. MACs count convolutions and dense layers, as the published figures do; training FLOPs an image are
6 × MACs (forward 2, backward 4). Activations count the outputs of convolutions, squeeze-and-excite's two layers among them (which timm
writes as 1×1 convolutions), as timm's tables and fvcore do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from trainer.models.nfnet.variants import Variant

__all__ = ["activations", "kept_activations", "macs", "params"]


@dataclass(frozen=True)
class _Layer:
    """Counts one layer.

    macs, outputs: of one image. block: which residual block it is in; None for stem and head. times: how many such layers there are.
    """

    params: int
    macs: int
    outputs: int = 0
    block: int | None = None
    times: int = 1


def params(variant: Variant, *, num_classes: int, channels: int = 3) -> int:
    """Count the trainable parameters."""
    return sum(layer.times * layer.params for layer in _layers(variant, num_classes, channels, (1, 1)))


def macs(variant: Variant, *, num_classes: int, height: int, width: int, channels: int = 3) -> int:
    """Count the multiply–accumulates of one image's forward pass at `height` × `width` pixels."""
    return sum(layer.times * layer.macs for layer in _layers(variant, num_classes, channels, (height, width)))


def activations(variant: Variant, *, num_classes: int, height: int, width: int, channels: int = 3) -> int:
    """Count the numbers that the convolutions and dense layers of one image's forward pass give."""
    return sum(layer.times * layer.outputs for layer in _layers(variant, num_classes, channels, (height, width)))


def kept_activations(variant: Variant, *, num_classes: int, height: int, width: int, channels: int = 3, remat: str = "none") -> int:
    """Estimate how many numbers of one image the backward pass finds in memory, by rematerialisation policy.

    `none`: what each layer gives, and that after the non-linearity. `dots`: what each layer gives. `block`: the inputs of the blocks, stem
    and head as in `none`, and one block at a time as in `none`.
    """
    layers = list(_layers(variant, num_classes, channels, (height, width)))
    if remat != "block":
        return (1 if remat == "dots" else 2) * sum(layer.times * layer.outputs for layer in layers)
    inside = [0] * 2 * len(variant.depth)
    for layer in layers:
        if layer.block is not None:
            inside[layer.block] += layer.outputs
    inputs = sum(times * rows * columns * inputs for _, times, inputs, (rows, columns) in _block_inputs(variant, (height, width)))
    return inputs + 2 * (max(inside) + sum(layer.outputs for layer in layers if layer.block is None))


def _block_inputs(variant: Variant, px: tuple[int, int]) -> Iterator[tuple[int, int, int, tuple[int, int]]]:
    """Yield (stage, how many such blocks, channels, pixels) of the blocks' inputs.

    A stage has two entries: its first block, and the others, which are alike.
    """
    for _, stride in variant.stem_convolutions:
        px = _shrink(px, stride)
    channels = variant.stem_convolutions[-1][0]
    for stage, (width, depth) in enumerate(zip(variant.width, variant.depth, strict=True)):
        yield stage, 1, channels, px
        channels, px = width, _shrink(px, variant.strides[stage])
        if depth > 1:
            yield stage, depth - 1, channels, px


def _layers(variant: Variant, num_classes: int, channels: int, px: tuple[int, int]) -> Iterator[_Layer]:
    image = px
    for out, stride in variant.stem_convolutions:
        px = _shrink(px, stride)
        yield _conv(3, channels, out, px)
        channels = out
    stage_before = -1
    for block, (stage, times, channels, before) in enumerate(_block_inputs(variant, image)):
        width, (groups, bottleneck) = variant.width[stage], variant.groups_and_bottleneck(stage)
        stride = variant.strides[stage] if stage != stage_before else 1
        px, stage_before = _shrink(before, stride), stage
        layers = [_conv(1, channels, width, px)] if stride > 1 or channels != width else []
        layers += [
            _conv(1, channels, bottleneck, before),
            *[_conv(3, bottleneck, bottleneck, px, groups)] * 2,
            _conv(1, bottleneck, width, px),
        ]
        hidden = max(1, int(width * variant.se_ratio))
        skip_gain = _Layer(params=1, macs=0)
        layers += [_dense(width, hidden), _dense(hidden, width), skip_gain]
        yield from (replace(layer, block=block, times=times) for layer in layers)
    yield _conv(1, variant.width[-1], variant.head_width, px)
    yield _dense(variant.head_width, num_classes)


def _conv(kernel: int, inputs: int, outputs: int, px: tuple[int, int], groups: int = 1) -> _Layer:
    weights, pixels = kernel * kernel * (inputs // groups) * outputs, px[0] * px[1]
    return _Layer(params=weights + 2 * outputs, macs=weights * pixels, outputs=outputs * pixels)


def _dense(inputs: int, outputs: int) -> _Layer:
    return _Layer(params=inputs * outputs + outputs, macs=inputs * outputs, outputs=outputs)


def _shrink(px: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-px[0] // stride), -(-px[1] // stride)
