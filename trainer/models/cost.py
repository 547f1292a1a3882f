"""What a model costs: as its family states it, or else counted from the module that the family builds."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.errors import UsageError
from trainer.models import family
from trainer.models.counting import counts_of
from trainer.typing import ImageShape, Options

__all__ = ["Cost", "cost"]


@dataclass(frozen=True)
class Cost:
    """Holds the parameters of a model and the multiply–accumulates of one image's forward pass.

    counted: whether one of them was counted from the module, since the family states none.
    """

    params: int
    macs: int
    counted: bool


def cost(family_name: str, model: str, options: Options, *, num_classes: int, image_shape: ImageShape) -> Cost:
    """Return what a model costs.

    What the family does not state is counted once a process, in a process of its own, which takes the seconds in which JAX starts.

    Raises `UsageError` for a module that cannot be trained, built here or counted, and what the family's own counts raise.
    """
    known = family(family_name)
    params = None if known.params is None else known.params(model, options, num_classes=num_classes, image_shape=image_shape)
    macs = None if known.macs is None else known.macs(model, options, num_classes=num_classes, image_shape=image_shape)
    if params is not None and macs is not None:
        return Cost(params, macs, counted=False)
    found = counts_of(family_name, model, options, num_classes=num_classes, image_shape=image_shape)
    if "refused" in found:
        raise UsageError(str(found["refused"]), hint=found["hint"])
    if "unknown" in found:
        raise UsageError(
            f"{model} cannot be built here, so its costs cannot be counted: {found['unknown']}",
            hint="let its family state `params` and `macs`, or work where it can be built",
        )
    if macs is None and found["macs"] is None:
        raise UsageError(f"the program of {model} does not tell how many products it takes", hint="let its family state `macs`")
    return Cost(found["params"] if params is None else params, found["macs"] if macs is None else macs, counted=True)
