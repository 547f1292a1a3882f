"""ResNets with BatchNorm (He et al. 2015, arXiv 1512.03385): ResNet-18 to ResNet-152 in the form of today, and nano variants by the same rules.

`variants` says what a name stands for, `counts` its parameters and MACs, `network` the computation. Only `build` loads JAX.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from scaling.errors import UnknownName, UsageError
from trainer.models.layers import layer_by_block
from trainer.models.resnet import counts
from trainer.models.resnet.variants import Variant, custom, names, variant
from trainer.typing import ImageShape, Options

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from trainer.models.resnet.network import ResNet

__all__ = [
    "STATE",
    "Variant",
    "activations",
    "build",
    "clipped",
    "decayed",
    "layer",
    "macs",
    "names",
    "params",
    "resolve",
    "total_stride",
    "variant",
]

STATE = ("batch_stats",)
"""What a ResNet keeps beside its parameters: the averages of BatchNorm."""

_RATES = ("dropout", "stochastic_depth")
_FLAGS = ("zero_init_last",)
_DIMENSIONS = tuple(field.name for field in fields(Variant) if field.name != "name")
_OPTIONS = (*_DIMENSIONS, *_RATES, *_FLAGS)


def resolve(name: str, options: Options) -> Variant:
    """Return the dimensions that a name and the options of an experiments file stand for.

    `options`: `dropout`, `stochastic_depth`, `zero_init_last`, or any field of `Variant`; with both `width` and `depth` the name is free.
    Raises `UsageError` or `UnknownName`.
    """
    for key, value in options.items():
        if key not in _OPTIONS:
            raise UnknownName("model option", key, _OPTIONS)
        if key in _RATES and not (type(value) in (int, float) and 0 <= value < 1):
            raise UsageError(f"{name}: {key}: {value!r} is not a rate", hint="give a number from 0 up to, not including, 1")
        if key in _FLAGS and type(value) is not bool:
            raise UsageError(f"{name}: {key}: {value!r} is neither true nor false", hint="the default is true")
    dimensions: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in options.items() if key in _DIMENSIONS
    }
    if "width" in dimensions and "depth" in dimensions and name not in names():
        return custom(name, **dimensions)
    return variant(name, **dimensions)


def params(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the trainable parameters."""
    return counts.params(resolve(name, options), num_classes=num_classes, image_shape=image_shape)


def macs(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the multiply–accumulates of one image [H, W, C], forward: convolutions and the dense layer."""
    return counts.macs(resolve(name, options), num_classes=num_classes, image_shape=image_shape)


def activations(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the outputs of convolutions and the dense layer of one image [H, W, C]."""
    return counts.activations(resolve(name, options), num_classes=num_classes, image_shape=image_shape)


def total_stride(name: str, options: Options) -> int:
    """Return how many pixels along each side one pixel of the last feature map stands for; images should not be smaller."""
    return resolve(name, options).total_stride


def decayed(path: tuple[str, ...], shape: tuple[int, ...]) -> bool:
    """Say whether weight decay is for a parameter: kernels alone, not biases, nor scales and biases of BatchNorm."""
    return path[-1] == "kernel"


def clipped(path: tuple[str, ...], shape: tuple[int, ...]) -> bool:
    """Say whether adaptive gradient clipping is for a parameter: kernels, but the classifier's.

    It goes by the norm of what it clips, so that scales of BatchNorm that begin at 0 would hardly move.
    """
    return path[-1] == "kernel" and path[0] != "classifier"


def layer(path: tuple[str, ...]) -> int | None:
    """Return the layer of a parameter: the stem, then each block; the classifier is the last."""
    return 0 if path[0].startswith("stem_") else layer_by_block(path)


def build(
    name: str | Variant,
    *,
    num_classes: int,
    dtype: DTypeLike | None = None,
    remat: str = "none",
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    zero_init_last: bool = True,
    **dimensions: Any,
) -> ResNet:
    """Build a Flax module with `.init(key, x)` and `.apply(variables, x)` on NHWC float images.

    Args:
        name: ResNet-18 … ResNet-152, nano-ResNet-8 … nano-ResNet-38, any name with dimensions, or a `Variant`.
        num_classes: outputs of the classifier.
        dtype: of the computation; parameters, and the statistics of BatchNorm, stay float32. Default float32.
        remat: "none", "block" or "dots": what the backward pass computes again to save memory.
        dropout: rate before the classifier. stochastic_depth: rate of the last block; it grows linearly from 0 in the first.
        zero_init_last: the last BatchNorm of each block begins with a scale of 0, so that a block begins as its shortcut.
        dimensions: any field of `Variant`.
    """
    import jax.numpy as jnp

    from trainer.models.resnet.network import ResNet

    return ResNet(
        name if isinstance(name, Variant) else resolve(name, dimensions),
        num_classes,
        dropout=dropout,
        stochastic_depth=stochastic_depth,
        zero_init_last=zero_init_last,
        dtype=dtype or jnp.float32,
        remat=remat,
    )
