"""Vision Transformers: those published (S/16 to G/14, SoViT-400m/14), nano variants for small images, and any other by numbers.

`variants` says what a name stands for, `counts` its parameters and MACs, `network`, `layers` and `positions` the computation. Only `build`
loads JAX.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from scaling.errors import UnknownName, UsageError
from trainer.models.layers import layer_by_block
from trainer.models.protocol import REMAT
from trainer.models.vit import counts
from trainer.models.vit.variants import Variant, custom, names, variant
from trainer.typing import ImageShape, Options

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from trainer.models.vit.network import ViT

__all__ = [
    "Variant",
    "activations",
    "build",
    "decayed",
    "kept_activations",
    "layer",
    "macs",
    "names",
    "params",
    "resolve",
    "total_stride",
    "variant",
]

_REGULARISERS = ("dropout", "stochastic_depth")
_DIMENSIONS = tuple(field.name for field in fields(Variant) if field.name != "name")
_OPTIONS = (*_DIMENSIONS, *_REGULARISERS)


def resolve(name: str, options: Options) -> Variant:
    """Return the dimensions that a name and the options of an experiments file stand for.

    `options`: `dropout`, `stochastic_depth`, or any field of `Variant`; with `width`, `depth`, `heads` and `patch` the name is free.
    Raises `UsageError` or `UnknownName`.
    """
    for key, value in options.items():
        if key not in _OPTIONS:
            raise UnknownName("model option", key, _OPTIONS)
        if key in _REGULARISERS and not (type(value) in (int, float) and 0 <= value < 1):
            raise UsageError(f"{name}: {key}: {value!r} is not a rate", hint="give a number from 0 up to, not including, 1")
    dimensions: dict[str, Any] = {key: value for key, value in options.items() if key in _DIMENSIONS}
    by_numbers = name not in names() and ("width" in dimensions or "depth" in dimensions)
    return custom(name, **dimensions) if by_numbers else variant(name, **dimensions)


def params(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the trainable parameters; learned positions are as many as an image [H, W, C] has patches. Raises `UsageError`."""
    return counts.params(resolve(name, options), num_classes=num_classes, image_shape=image_shape)


def macs(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the multiply–accumulates of one image [H, W, C], forward. Raises `UsageError` where patches do not divide it."""
    return counts.macs(resolve(name, options), num_classes=num_classes, image_shape=image_shape)


def activations(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the outputs of dense layers and of attention's products of one image [H, W, C]."""
    return counts.activations(resolve(name, options), num_classes=num_classes, image_shape=image_shape)


def kept_activations(name: str, options: Options, *, num_classes: int, image_shape: ImageShape, remat: str = "none") -> int:
    """Estimate how many numbers of one image [H, W, C] the backward pass finds in memory. Raises `UnknownName` for the policy."""
    if remat not in REMAT:
        raise UnknownName("rematerialisation policy", remat, REMAT)
    return counts.kept_activations(resolve(name, options), num_classes=num_classes, image_shape=image_shape, remat=remat)


def total_stride(name: str, options: Options) -> int:
    """Return the side of a patch in pixels."""
    return resolve(name, options).patch


def decayed(path: tuple[str, ...], shape: tuple[int, ...]) -> bool:
    """Say whether weight decay belongs to a parameter: kernels alone. Not biases, LayerNorm, positions, class token and query of the pool."""
    return path[-1] == "kernel"


def layer(path: tuple[str, ...]) -> int | None:
    """Return the layer of a parameter: the tokens' embedding and positions, then each block; norm, pool and classifier are the last."""
    return 0 if path[0] in ("embedding", "positions", "class_token") else layer_by_block(path)


def build(
    name: str | Variant,
    *,
    num_classes: int,
    image_shape: ImageShape | None = None,
    dtype: DTypeLike | None = None,
    scan: bool = False,
    remat: str = "none",
    **options: Any,
) -> ViT:
    """Build a Flax module with `.init(key, x)` and `.apply(variables, x)` on NHWC float images.

    Args:
        name: ViT-S/16 … ViT-G/14, SoViT-400m/14, nano-ViT-Ti … nano-ViT-L, any name with dimensions in `options`, or a `Variant`.
        num_classes: outputs of the classifier.
        image_shape: [H, W, C] in training; positions are resampled for images of another size. None: the images have that size.
        dtype: of the computation; parameters stay float32. Default float32.
        scan: the blocks as one loop: compiles sooner the more blocks there are. Same parameters.
        remat: "none", "block" or "dots": what the backward pass computes again to save memory; see `trainer.models.rematerialisation`.
        options: `dropout`, `stochastic_depth` (rates, default 0) or any field of `Variant`.

    >>> module = build("nano-ViT-Ti", num_classes=10)
    >>> module.apply(module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1))), images)
    """
    import jax.numpy as jnp

    from trainer.models.vit.network import ViT

    rates = {key: options.pop(key, 0.0) for key in _REGULARISERS}
    dimensions = name if isinstance(name, Variant) else resolve(name, options)
    return ViT(dimensions, num_classes, image_shape, dtype=dtype or jnp.float32, scan=scan, remat=remat, **rates)
