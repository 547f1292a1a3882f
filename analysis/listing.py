"""How a sentence lists names that may be many."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["listed"]


def listed(names: Sequence[str], most: int = 3) -> str:
    """List the first `most` names, with a mark where there are others: `a, b, c, …`."""
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])
