"""How a sentence lists names that may be many."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["and_listed", "listed"]


def listed(names: Sequence[str], most: int = 3) -> str:
    """List the first `most` names, with a mark where there are others: `a, b, c, …`."""
    return ", ".join([*names[:most], *(["…"] if len(names) > most else [])])


def and_listed(names: Sequence[str], last: str = "and") -> str:
    """List all names, with a word before the last: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
