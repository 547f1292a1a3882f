"""The head of a network: the variables whose shape depends on the number of classes.

It is found by tracing the network for one class more. No name is looked for, so it works for any family; what lies between the last block
and the head, as a hidden layer of a head of two, is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.tree_util import KeyPath

from trainer.config import TrainConfig
from trainer.models.building import built
from trainer.models.initial import variable_shapes
from trainer.typing import ImageShape, PyTree

__all__ = ["Path", "by_path", "head_of", "path_of", "shapes_of"]

Path: TypeAlias = tuple[str, ...]
"""Names a variable: `("params", "block0", "conv0", "kernel")`."""


def head_of(config: TrainConfig) -> frozenset[Path]:
    """Return the paths of the variables whose shape depends on the number of classes, as `("params", "classifier", "kernel")`."""
    card = config.data.card
    one, more = (shapes_of(config, card.num_classes + extra, card.image_shape) for extra in (0, 1))
    return frozenset(path for path in {*one, *more} if path not in one or path not in more or one[path].shape != more[path].shape)


def shapes_of(config: TrainConfig, num_classes: int, image_shape: ImageShape) -> dict[Path, jax.ShapeDtypeStruct]:
    """Trace the config's network for so many classes and images [H, W, C]: the shape and dtype of each variable, no entry stacked."""
    model, dtype = config.model, jnp.dtype(config.numerics.dtype)
    module = built(model.family, model.name, model.options, num_classes=num_classes, image_shape=image_shape, dtype=dtype)
    return dict(by_path(variable_shapes(module, image_shape=image_shape)))


def by_path(variables: PyTree) -> Mapping[Path, jax.ShapeDtypeStruct]:
    """Return the leaves of a tree of variables by their paths."""
    return {path_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(variables)}


def path_of(path: KeyPath) -> Path:
    """Return JAX's path as names."""
    return tuple(jax.tree_util.keystr(path, simple=True, separator="/").split("/"))
