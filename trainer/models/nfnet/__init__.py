"""NFNet-F (Brock et al. 2021, arXiv 2102.06171), exact to the released code, and nano variants by the same rules.

`variants` says what a name stands for, `counts` its parameters and MACs, `network` and `layers` the computation, `released` reads
published parameters. Only `build` loads JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from scaling.errors import UnknownName, UsageError
from trainer.models.layers import layer_by_block
from trainer.models.nfnet import counts
from trainer.models.nfnet.released import load_released
from trainer.models.nfnet.variants import Variant, checked, custom, names, variant
from trainer.models.protocol import REMAT
from trainer.typing import ImageShape, Options

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from trainer.models.nfnet.network import NFNet

__all__ = [
    "Variant",
    "activations",
    "build",
    "kept_activations",
    "layer",
    "load_released",
    "macs",
    "names",
    "params",
    "resolve",
    "total_stride",
    "variant",
]

_REGULARISERS = ("dropout", "stochastic_depth")
_OPTIONS = ("width_rule", *_REGULARISERS, *(field.name for field in fields(Variant) if field.name not in ("name", "dropout")))


def resolve(name: str, options: Options) -> Variant:
    """Return the dimensions that a name and the options of an experiments file stand for.

    `options`: `width_rule` ("paper", "released_code"), `dropout`, `stochastic_depth`, or any field of `Variant`; with both `width` and
    `depth` the name is free. Raises `UsageError` or `UnknownName`.
    """
    for key, value in options.items():
        if key not in _OPTIONS:
            raise UnknownName("model option", key, _OPTIONS)
        if key in _REGULARISERS and not (type(value) in (int, float) and 0 <= value < 1):
            raise UsageError(f"{name}: {key}: {value!r} is not a rate", hint="give a number from 0 up to, not including, 1")
    dimensions: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in options.items()
        if key not in (*_REGULARISERS, "width_rule")
    }
    if "width" in dimensions and "depth" in dimensions and name not in names():
        return custom(name, **dimensions)
    named = variant(name, width=options.get("width_rule", "paper"))
    return checked(replace(named, **dimensions))


def params(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the trainable parameters."""
    return counts.params(resolve(name, options), num_classes=num_classes, channels=image_shape[2])


def macs(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the multiply–accumulates of one image [H, W, C], forward."""
    height, width, channels = image_shape
    return counts.macs(resolve(name, options), num_classes=num_classes, height=height, width=width, channels=channels)


def activations(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
    """Count the outputs of convolutions and dense layers of one image [H, W, C]."""
    height, width, channels = image_shape
    return counts.activations(resolve(name, options), num_classes=num_classes, height=height, width=width, channels=channels)


def kept_activations(name: str, options: Options, *, num_classes: int, image_shape: ImageShape, remat: str = "none") -> int:
    """Estimate how many numbers of one image [H, W, C] the backward pass finds in memory. Raises `UnknownName` for the policy."""
    if remat not in REMAT:
        raise UnknownName("rematerialisation policy", remat, REMAT)
    height, width, channels = image_shape
    dimensions = resolve(name, options)
    return counts.kept_activations(dimensions, num_classes=num_classes, height=height, width=width, channels=channels, remat=remat)


def total_stride(name: str, options: Options) -> int:
    """Return how many pixels along each side one pixel of the last feature map stands for; images should not be smaller."""
    return resolve(name, options).total_stride


def layer(path: tuple[str, ...]) -> int | None:
    """Return the layer of a parameter: the stem, then each block; `final_conv` and the classifier are the last."""
    return 0 if path[0].startswith("stem_") else layer_by_block(path)


def build(
    name: str | Variant,
    *,
    num_classes: int,
    width: str | Sequence[int] = "paper",
    dtype: DTypeLike | None = None,
    scan: bool = False,
    remat: str = "none",
    **options: Any,
) -> NFNet:
    """Build a Flax module with `.init(key, x)` and `.apply(variables, x)` on NHWC float images.

    Args:
        name: F0 … F7+, nano-F0 … nano-F7+, or a `Variant`.
        num_classes: outputs of the classifier.
        width: "paper" or "released_code": how the bottleneck of stage 1 of a "+" variant is rounded; or the channels of each stage, as in
            an experiments file.
        dtype: of the computation; parameters stay float32. Default float32.
        scan: the blocks of a stage as one loop: compiles sooner the more blocks a stage has, and is slow on a CPU. Same parameters.
        remat: "none", "block" or "dots": what the backward pass computes again to save memory; see `trainer.models.rematerialisation`.
        options: `dropout`, `stochastic_depth` (rates, default 0) or any field of `Variant`.

    >>> module = build("nano-F0", num_classes=10)
    >>> module.apply(module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1))), images)
    """
    import jax.numpy as jnp

    from trainer.models.nfnet.network import NFNet

    rates = {key: options.pop(key, 0.0) for key in _REGULARISERS}
    given = {"width_rule" if isinstance(width, str) else "width": width}
    dimensions = name if isinstance(name, Variant) else resolve(name, {**given, **options})
    return NFNet(dimensions, num_classes, dtype=dtype or jnp.float32, scan=scan, remat=remat, **rates)
