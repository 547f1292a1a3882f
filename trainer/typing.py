"""Names the types that many signatures of this package share. Loads no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["ImageShape", "Options", "PyTree"]

ImageShape: TypeAlias = tuple[int, int, int]
"""(height, width, channels); the first two in pixels."""

Options: TypeAlias = Mapping[str, Any]
"""Options of a model or a data set by name, as the experiments file has them: numbers, texts, lists, mappings. Their taker checks them."""

PyTree: TypeAlias = Any
"""Arrays, or shapes of arrays, in nested mappings and tuples. Neither JAX nor Flax has a type for them."""
