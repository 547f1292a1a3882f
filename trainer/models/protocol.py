"""What the project needs of a model family and of the networks that it builds, as protocols with types, shapes and units."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from trainer.typing import ImageShape, Options, PyTree

if TYPE_CHECKING:
    import jax

__all__ = ["REMAT", "Builds", "Counts", "CountsParams", "Family", "LayerOf", "Mask", "ModelFamily", "Network"]

Mask: TypeAlias = Callable[[tuple[str, ...], tuple[int, ...]], bool]
"""Says something of a parameter by its path, e.g. `("block3", "conv1", "kernel")`, and its shape: those that a checkpoint has, of one layer."""

LayerOf: TypeAlias = Callable[[tuple[str, ...]], int | None]
"""Says which layer a parameter belongs to, by its path: 0 for those next to the image; None for those of the last, with the head."""

REMAT = ("none", "block", "dots")
"""Policies of what the backward pass keeps of a block's forward pass (`trainer.models.rematerialisation`)."""


class Network(Protocol):
    """Says what a run asks of a network: it is a Flax module on images [B, height, width, channels] float32.

    Four things more are used where a module has them. `parameter_stacks` maps a name to the entries of its parameters that are alike: `init`
    makes them one by one, training and evaluation give them as one array `[layers, …]` under that name. `drawn_params(shapes, seed=)` gives
    the parameters that a run starts from, in place of what the module's initialisers give. An argument `mask` of `__call__` is given in
    training: [B] bool, False for padding and skipped examples, which are to stay out of a batch's statistics.
    `resized(path, values, before=, after=)` gives a parameter that was trained on images of shape `before`, [H, W, C], as it is for images of
    shape `after`, or None where it cannot: fine-tuning asks it of parameters whose shapes differ.
    """

    def init(self, key: jax.Array, images: jax.Array, /) -> Mapping[str, PyTree]:
        """Return `{"params": …}`, and other collections. Those that a forward pass needs are carried from step to step."""

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
    """Counts the trainable parameters of one model. It takes `num_classes=`, and `image_shape=` or `channels=` or both."""

    def __call__(self, name: str, options: Options, /, *args: Any, **shape: Any) -> int: ...


class Builds(Protocol):
    """Builds the network of one model. What it takes beside `num_classes=` and `dtype=`, that of the computation, are the model's options.

    It may take `image_shape=`, and `scan=` (bool) and `remat=` ("none", "block", "dots") as well; it is given them only if it names them.
    """

    def __call__(self, name: str, /, *args: Any, **options: Any) -> Network: ...


@runtime_checkable
class ModelFamily(Protocol):
    """Says which models there are, and how one is built. Any object with these methods is a family.

    What else a `Family` has may be there too: `params`, `macs`, `decayed`, `clipped`, `layer`, `activations`, `kept_activations`,
    `total_stride`.
    """

    def names(self) -> tuple[str, ...]:
        """Return the family's models by name, smallest first."""

    def check(self, name: str, options: Options, /) -> object:
        """Raise `UsageError` or `UnknownName` for what cannot be built. What it returns is not looked at."""

    def build(self, name: str, /, *args: Any, **options: Any) -> Network:
        """Build the network; see `Builds`."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Makes a `ModelFamily` of functions, one for each of its methods, and of those that it may leave out.

    params, macs: count trainable parameters, and multiply–accumulates of one image's forward pass. None: both are counted from the module
        (`trainer.models.cost`). `params` may take `channels` in place of `image_shape`.
    decayed, clipped: say which parameters weight decay and adaptive gradient clipping are for. None: as the optimiser has it by name.
    state: collections that its networks keep beside their parameters, as ("batch_stats",). Of a user's family they are found by counting.
    layer: (path) → which layer a parameter belongs to, 0 for those next to the image; None: to the last, with the head. For fine-tuning with
        `layer_decay` (`trainer.layer_decay`, which says what holds without it).
    activations: counts the outputs of convolutions, dense layers and products of attention, one image.
    kept_activations: counts about how many numbers the backward pass of one image finds in memory; takes `remat=` as well.
    total_stride: (name, options) → pixels along each side that one pixel of the last feature map stands for.
    """

    names: Callable[[], tuple[str, ...]]
    build: Builds
    check: Callable[[str, Options], object]
    params: CountsParams | None = None
    macs: Counts | None = None
    decayed: Mask | None = None
    clipped: Mask | None = None
    layer: LayerOf | None = None
    state: tuple[str, ...] = ()
    activations: Counts | None = None
    kept_activations: Callable[..., int] | None = None
    total_stride: Callable[[str, Options], int] | None = None

    def __post_init__(self) -> None:
        if self.params is not None:
            object.__setattr__(self, "params", _given_what_it_names(self.params))


def _given_what_it_names(params: CountsParams) -> CountsParams:
    """Wrap `params` of a family: it is called with `image_shape` (height, width, channels), or with `channels`, whichever it takes."""
    try:
        named: Mapping[str, inspect.Parameter] = inspect.signature(params).parameters
    except ValueError:  # a builtin does not tell
        named = {}
    takes_channels = "channels" in named
    takes_shape = "image_shape" in named or not takes_channels

    def asked(name: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> int:
        shape: dict[str, object] = {"image_shape": image_shape} if takes_shape else {}
        if takes_channels:
            shape["channels"] = image_shape[2]
        return params(name, options, num_classes=num_classes, **shape)

    return asked
