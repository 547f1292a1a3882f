"""What the project needs of a model family."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from scaling.errors import UsageError

__all__ = ["Family"]


@dataclass(frozen=True)
class Family:
    """What the project needs of a model family.

    names: models by name, smallest first.
    params: (name, options, num_classes=, channels= or image_shape= or both) → trainable parameters. It is given those that it names;
        whoever asks may say either, and must say `image_shape` to a family that names it.
    macs: (name, options, num_classes=, image_shape=) → multiply–accumulates of one image's forward pass.
    build: (name, num_classes=, dtype=, **options) → Flax module on NHWC float images, `apply(variables, x, train=…)` → logits. It may take
        `scan=` (bool) and `remat=` ("none", "block", "dots") as well; it is asked for them only if it names them. A module with
        `parameter_stacks` (name → entries of its parameters that are alike) makes them one by one in `init`, and is given them as one array
        `[layers, …]` under that name in training and evaluation. A run starts from what the module's initialisers give, or, where it has
        `drawn_params(shapes, seed=)`, from that. Collections beside "params" are not carried from step to step, so a module cannot need one.
    check: (name, options) → None, or raises `UsageError` or `UnknownName` for what cannot be built.

    What a family may leave out, and model cards then do:
    activations: as `macs` → outputs of convolutions and dense layers, one image.
    kept_activations: as `macs`, and remat= → numbers that the backward pass of one image finds in memory, about.
    total_stride: (name, options) → pixels along each side that one pixel of the last feature map stands for.
    """

    names: Callable[[], tuple[str, ...]]
    params: Callable[..., int]
    macs: Callable[..., int]
    build: Callable[..., Any]
    check: Callable[[str, Mapping[str, Any]], Any]
    activations: Callable[..., int] | None = None
    kept_activations: Callable[..., int] | None = None
    total_stride: Callable[[str, Mapping[str, Any]], int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", _given_what_it_names(self.params))


def _given_what_it_names(params: Callable[..., int]) -> Callable[..., int]:
    """`params` of a family, called with `channels` or `image_shape` (height, width, channels), whichever of the two it takes."""
    try:
        named: Mapping[str, Any] = inspect.signature(params).parameters
    except ValueError:  # a builtin does not tell
        named = {}
    takes_shape = "image_shape" in named
    takes_channels = "channels" in named or not takes_shape

    @wraps(params)
    def asked(
        name: str,
        options: Mapping[str, Any],
        *,
        num_classes: int,
        channels: int | None = None,
        image_shape: tuple[int, int, int] | None = None,
    ) -> int:
        if takes_shape and image_shape is None:
            raise UsageError(f"the parameters of {name} depend on the size of its images", hint="give image_shape")
        shape: dict[str, Any] = {"image_shape": image_shape} if takes_shape else {}
        if takes_channels:
            shape["channels"] = image_shape[2] if image_shape else channels
        return params(name, options, num_classes=num_classes, **shape)

    return asked
