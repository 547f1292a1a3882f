"""Builds the network of a family's model: its `build` is given what it names."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from trainer.models.protocol import Network
from trainer.typing import ImageShape, Options

if TYPE_CHECKING:
    from jax.typing import DTypeLike

__all__ = ["built", "named_by_build"]


def built(
    family_name: str, model: str, options: Options, *, num_classes: int, image_shape: ImageShape, dtype: DTypeLike, **wanted: object
) -> Network:
    """Build the network of one model. image_shape and what else is `wanted` are given to a `build` that names them."""
    from trainer.models import family

    offered = {"image_shape": image_shape, **wanted}
    named = named_by_build(family_name)
    given = {name: value for name, value in offered.items() if name in named}
    return family(family_name).build(model, num_classes=num_classes, dtype=dtype, **given, **options)


def named_by_build(family_name: str) -> frozenset[str]:
    """Return the names of what the family's `build` takes; of a builtin, which does not tell, none."""
    from trainer.models import family

    try:
        return frozenset(inspect.signature(family(family_name).build).parameters)
    except ValueError:
        return frozenset()
