"""Model families behind one protocol. Adding a family is adding a file (or a folder) and one line in `_FAMILIES`.

A family of your own: `models: [{source: "package.module:factory", name: …}]`, where `factory()` returns a `Family`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any

from scaling.errors import UnknownName, UsageError
from trainer.models import nfnet, simulated

__all__ = ["Family", "family", "family_names", "family_of"]


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


_FAMILIES = {
    "nfnet": Family(
        names=nfnet.names,
        params=nfnet.params,
        macs=nfnet.macs,
        build=nfnet.build,
        check=nfnet.resolve,
        activations=nfnet.activations,
        kept_activations=nfnet.kept_activations,
        total_stride=nfnet.total_stride,
    )
}


def _simulated() -> Family:
    """Chosen by `simulate:` in a file, never by a model's name."""
    params, macs = simulated.params_and_macs(family)
    return Family(
        tuple, params, macs, simulated.build, lambda name, options: family(options["of"]).check(name, options["of_options"])
    )


def family_names() -> tuple[str, ...]:
    """Families that ship with the project."""
    return tuple(_FAMILIES)


def family(name: str) -> Family:
    """A family by name, or a user's own by `package.module:factory`. Raises `UnknownName`, `UsageError`."""
    if ":" in name:
        return _imported(name)
    if name == simulated.FAMILY:
        return _simulated()
    if name not in _FAMILIES:
        raise UnknownName("model family", name, _FAMILIES)
    return _FAMILIES[name]


def family_of(model: str) -> str:
    """The family that knows a model of this name. Raises `UnknownName` over the models of all families."""
    for name, entry in _FAMILIES.items():
        if model in entry.names():
            return name
    raise UnknownName("model", model, [known for entry in _FAMILIES.values() for known in entry.names()])


def _imported(source: str) -> Family:
    module, _, attribute = source.partition(":")
    try:
        made = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"model family {source!r} cannot be imported: {error}", hint="write package.module:factory") from error
    if not isinstance(made, Family):
        raise UsageError(
            f"model family {source!r}: {attribute}() gave a {type(made).__name__}", hint="let it return a trainer.models.Family"
        )
    return made
