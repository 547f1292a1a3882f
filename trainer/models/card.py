"""The card of a model: what it is and what it costs, from its dimensions alone.

Nothing is built, and JAX is not loaded, unless the family does not state its costs (`trainer.models.cost`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from scaling.errors import UnknownName, UsageError
from trainer.models import family, family_of
from trainer.models.cost import cost
from trainer.typing import ImageShape, Options

__all__ = ["ModelCard", "TrainingMemory", "model_card"]

_BYTES = {"float32": 4, "bfloat16": 2}
_FLOAT32 = 4


@dataclass(frozen=True)
class TrainingMemory:
    """Estimates the bytes on one device that training at a batch size needs. The compiler decides what it keeps and what it shares.

    params, gradients, momentum, ema: float32 each. activations: what the backward pass finds in memory, in the dtype of the computation.
    """

    params_bytes: int
    gradients_bytes: int
    momentum_bytes: int
    ema_bytes: int
    activations_bytes: int

    @property
    def total_bytes(self) -> int:
        return sum(asdict(self).values())


@dataclass(frozen=True)
class ModelCard:
    """Counts what one model costs at one image size.

    params: trainable. macs: multiply–accumulates of one image's forward pass. train_flops_per_image: 6 × MACs (forward 2, backward 4).
    counted: whether one of the two was counted from the module, since the family states none.
    activations: outputs of convolutions, dense layers and products of attention of one image, as fvcore and timm count them; None when the family does not count.
    total_stride: pixels along each side that one pixel of the last feature map stands for; None likewise.
    memory: None likewise.
    """

    family: str
    model: str
    options: Options
    image_shape: ImageShape
    num_classes: int
    params: int
    macs: int
    counted: bool
    activations: int | None
    total_stride: int | None
    batch_size: int
    dtype: str
    remat: str
    memory: TrainingMemory | None

    @property
    def train_flops_per_image(self) -> int:
        return 6 * self.macs

    def to_dict(self) -> dict[str, object]:
        """Return the card as plain JSON values, derived ones among them."""
        memory = self.memory and asdict(self.memory) | {"total_bytes": self.memory.total_bytes}
        content = asdict(self) | {"image_shape": list(self.image_shape), "options": dict(self.options), "memory": memory}
        return content | {"train_flops_per_image": self.train_flops_per_image}


def model_card(
    model: str,
    *,
    family_name: str | None = None,
    options: Options | None = None,
    image_shape: ImageShape = (224, 224, 3),
    num_classes: int = 1000,
    batch_size: int = 256,
    dtype: str = "float32",
    remat: str = "none",
    ema: bool = False,
) -> ModelCard:
    """Make the card of a model by name, or by the dimensions in `options`.

    Args:
        family_name: a family, or `package.module:factory`; None: the family that knows the name, else NFNet for a model by its `width`.
        image_shape: [H, W, C] in pixels.
        batch_size: images on one device, for the memory.

    Raises:
        UnknownName, UsageError: no such model, family, option, dtype or policy; dimensions that do not fit together.
    """
    options = dict(options or {})
    if dtype not in _BYTES:
        raise UnknownName("dtype", dtype, _BYTES)
    for name, value in (("px", min(image_shape)), ("classes", num_classes), ("batch", batch_size)):
        if value < 1:
            raise UsageError(f"{name} is {value}", hint="give a positive number")
    name = family_name or family_of(model, options)
    known = family(name)
    try:
        known.check(model, options)
    except (TypeError, ArithmeticError, LookupError) as error:
        raise UsageError(
            f"{model}: these options make no model: {error}", hint="`scaling docs models` lists the options and their values"
        ) from error
    costs = cost(name, model, options, num_classes=num_classes, image_shape=image_shape)
    memory = None
    if known.kept_activations:
        kept = known.kept_activations(model, options, num_classes=num_classes, image_shape=image_shape, remat=remat)
        weights = _FLOAT32 * costs.params
        memory = TrainingMemory(weights, weights, weights, weights if ema else 0, batch_size * kept * _BYTES[dtype])
    return ModelCard(
        family=name,
        model=model,
        options=options,
        image_shape=image_shape,
        num_classes=num_classes,
        params=costs.params,
        macs=costs.macs,
        counted=costs.counted,
        activations=known.activations(model, options, num_classes=num_classes, image_shape=image_shape)
        if known.activations
        else None,
        total_stride=known.total_stride(model, options) if known.total_stride else None,
        batch_size=batch_size,
        dtype=dtype,
        remat=remat,
        memory=memory,
    )
