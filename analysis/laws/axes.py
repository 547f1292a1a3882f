"""The inputs of laws: their letters, their names, and the columns that hold them unless others are named."""

from __future__ import annotations

__all__ = ["AXIS_COLUMNS", "AXIS_NAMES"]

AXIS_NAMES = {"C": "compute", "N": "params", "D": "examples seen", "U": "unique examples", "K": "steps", "M": "batch size"}

AXIS_COLUMNS = {"C": "core_hours", "N": "params", "D": "examples_seen", "U": "unique_examples", "K": "steps", "M": "batch_size"}
