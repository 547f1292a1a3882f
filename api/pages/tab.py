"""A place in the navigation."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Tab"]


@dataclass(frozen=True, order=True)
class Tab:
    """Names a page in the navigation. `place` orders the tabs from left to right."""

    place: int
    path: str = field(compare=False)
    title: str = field(compare=False)
