"""What the project needs of a model family and of the networks that it builds, as protocols with types, shapes and units."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from scaling.errors import UsageError
from trainer.typing import ImageShape, Options, PyTree

if TYPE_CHECKING:
    import jax

__all__ = ["REMAT", "Builds", "Counts", "CountsParams", "Family", "ModelFamily", "Network"]

REMAT = ("none", "block", "dots")
"""Policies of what the backward pass keeps of a block's forward pass (`trainer.models.rematerialisation`)."""


class Network(Protocol):
    """Says what a run asks of a network: it is a Flax module on images [B, height, width, channels] float32.

    Two things more are used where a module has them. `parameter_stacks` maps a name to the entries of its parameters that are alike: `init`
    makes them one by one, training and evaluation give them as one array `[layers, …]` under that name. `drawn_params(shapes, seed=)` gives
    the parameters that a run starts from, in place of what the module's initialisers give.
    """

    def init(self, key: jax.Array, images: jax.Array, /) -> Mapping[str, PyTree]:
        """Return `{"params": …}`. Other collections are not carried from step to step, so a network cannot need one."""

    def lazy_init(self, key: jax.Array, images: jax.ShapeDtypeStruct, /) -> Mapping[str, PyTree]:
        """Return what `init` returns, from the shape of the images alone."""

    def apply(
        self,
        variables: Mapping[str, PyTree],
        images: jax.Array,
        /,
        *,
        train: bool,
        rngs: dict[str, jax.Array] | None = None,
        mutable: list[str] | bool = False,
    ) -> Any:
        """Return logits [B, num_classes]. With `mutable`, also return the collections named.

        In training, `rngs` has the key of the stream `dropout`.
        """


class Counts(Protocol):
    """Counts something of one model on one image [H, W, C], from its dimensions alone."""

    def __call__(self, name: str, options: Options, /, *, num_classes: int, image_shape: ImageShape) -> int: ...


class CountsParams(Protocol):
    """Counts the trainable parameters of one model. It takes `num_classes=`, and `channels=` or `image_shape=` or both."""

    def __call__(self, name: str, options: Options, /, *args: Any, **shape: Any) -> int: ...


class Builds(Protocol):
    """Builds the network of one model. What it takes beside `num_classes=` and `dtype=`, that of the computation, are the model's options.

    It may take `image_shape=` (height, width, channels in training), `scan=` (bool) and `remat=` ("none", "block", "dots") as well; it is
    given them only if it names them.
    """

    def __call__(self, name: str, /, *args: Any, **options: Any) -> Network: ...


@runtime_checkable
class ModelFamily(Protocol):
    """Says which models there are, what they cost and how one is built. Any object with these methods is a family.

    Three more may be left out, as model cards then do: `activations`, `kept_activations` and `total_stride`, see `Family`.
    """

    def names(self) -> tuple[str, ...]:
        """Return the family's models by name, smallest first."""

    def check(self, name: str, options: Options, /) -> object:
        """Raise `UsageError` or `UnknownName` for what cannot be built. What it returns is not looked at."""

    def params(self, name: str, options: Options, /, *args: Any, **shape: Any) -> int:
        """Count the trainable parameters; see `CountsParams`."""

    def macs(self, name: str, options: Options, /, *, num_classes: int, image_shape: ImageShape) -> int:
        """Count the multiply–accumulates of one image's forward pass."""

    def build(self, name: str, /, *args: Any, **options: Any) -> Network:
        """Build the network; see `Builds`."""


@dataclass(frozen=True)
class Family:
    """Makes a `ModelFamily` of functions, one for each of its methods, and of those that it may leave out.

    params: given `channels` or `image_shape`, whichever it names; whoever asks may say either, and must say `image_shape` to a family that
        names it.
    activations: counts the outputs of convolutions and dense layers, one image.
    kept_activations: counts about how many numbers the backward pass of one image finds in memory; takes `remat=` as well.
    total_stride: (name, options) → pixels along each side that one pixel of the last feature map stands for.
    """

    names: Callable[[], tuple[str, ...]]
    params: CountsParams
    macs: Counts
    build: Builds
    check: Callable[[str, Options], object]
    activations: Counts | None = None
    kept_activations: Callable[..., int] | None = None
    total_stride: Callable[[str, Options], int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", _given_what_it_names(self.params))


def _given_what_it_names(params: CountsParams) -> CountsParams:
    """Wrap `params` of a family: it is called with `channels` or `image_shape` (height, width, channels), whichever of the two it takes."""
    try:
        named: Mapping[str, inspect.Parameter] = inspect.signature(params).parameters
    except ValueError:  # a builtin does not tell
        named = {}
    takes_shape = "image_shape" in named
    takes_channels = "channels" in named or not takes_shape

    @wraps(params)
    def asked(
        name: str, options: Options, *, num_classes: int, channels: int | None = None, image_shape: ImageShape | None = None
    ) -> int:
        if takes_shape and image_shape is None:
            raise UsageError(f"the parameters of {name} depend on the size of its images", hint="give image_shape")
        shape: dict[str, object] = {"image_shape": image_shape} if takes_shape else {}
        if takes_channels:
            shape["channels"] = image_shape[2] if image_shape else channels
        return params(name, options, num_classes=num_classes, **shape)

    return asked
