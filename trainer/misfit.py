"""Says before anything is trained whether a model that is pre-trained on images of one shape can be fine-tuned on those of another."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from trainer.head import Path, by_path
from trainer.models.initial import variable_shapes
from trainer.models.protocol import Network
from trainer.typing import ImageShape

__all__ = ["misfit"]

Builds = Callable[[int, ImageShape], Network]
"""Number of classes, image shape [H, W, C] → network."""


def misfit(builds: Builds, *, num_classes: int, before: ImageShape, after: ImageShape) -> str | None:
    """Name the first variable below the head that depends on the shape of images, and that the network's `resized` does not give.

    Nothing is computed: shapes are traced, and `resized` is asked for an array of zeros. Returns None where all of them fit.
    """
    if before == after:
        return None
    was, one_more = (_shapes(builds(count, before), before) for count in (num_classes, num_classes + 1))
    module = builds(num_classes, after)
    for path, like in _shapes(module, after).items():
        known = was.get(path)
        is_head = known is None or path not in one_more or one_more[path].shape != known.shape
        if is_head or known is None or known.shape == like.shape or _resized(module, path, known, before, after) == like.shape:
            continue
        return f"{'/'.join(path)} is {list(known.shape)} for images of {_size(before)}, and {list(like.shape)} for those of {_size(after)}"
    return None


def _shapes(module: Network, image_shape: ImageShape) -> dict[Path, jax.ShapeDtypeStruct]:
    return dict(by_path(variable_shapes(module, image_shape=image_shape)))


def _resized(
    module: Network, path: Path, known: jax.ShapeDtypeStruct, before: ImageShape, after: ImageShape
) -> tuple[int, ...] | None:
    """Return the shape of what the network's `resized` makes of a parameter; None where it makes nothing."""
    hook = getattr(module, "resized", None)
    if hook is None or path[0] != "params":
        return None
    given = hook(path[1:], np.zeros(known.shape, known.dtype), before=before, after=after)
    return None if given is None else np.shape(given)


def _size(image_shape: ImageShape) -> str:
    return " × ".join(map(str, image_shape))
