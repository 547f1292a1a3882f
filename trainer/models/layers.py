"""Which layer of a network a parameter belongs to, by the names of its path."""

from __future__ import annotations

import re

__all__ = ["layer_by_block", "layer_by_name"]


def layer_by_block(path: tuple[str, ...]) -> int | None:
    """Return i + 1 for a parameter of `block<i>`; None, the last layer, for all others."""
    number = re.fullmatch(r"block(\d+)", path[0])
    return int(number[1]) + 1 if number else None


def layer_by_name(path: tuple[str, ...]) -> int | None:
    """Return the layer of a parameter of a family that does not say: i + 1 where its path's first entry ends in the number i, else 0."""
    number = re.search(r"\d+$", path[0])
    return int(number[0]) + 1 if number else 0
