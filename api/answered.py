"""Which routes `api.answers` answers from what it keeps: those of the analysis, and pages that read all runs of an experiment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

from fastapi import APIRouter

__all__ = ["Answered", "of_results", "of_store"]

Of = Literal["results", "store"]
_Route = TypeVar("_Route", bound=Callable[..., Any])


def of_results(route: _Route) -> _Route:
    """Mark a route whose answer changes with the results of runs alone; it is computed once for all clients."""
    route.answered_of = "results"  # type: ignore[attr-defined]
    return route


def of_store(route: _Route) -> _Route:
    """Mark a route whose answer takes long in a large store and changes with every commit; it is computed once for all clients."""
    route.answered_of = "store"  # type: ignore[attr-defined]
    return route


class Answered:
    """Tells of a path whether its route is marked. routers: each with the prefix that its paths get."""

    def __init__(self, routers: Iterable[tuple[str, APIRouter]]) -> None:
        self._patterns: list[tuple[re.Pattern[str], Of]] = []
        for prefix, router in routers:
            for route in router.routes:
                of, path = getattr(getattr(route, "endpoint", None), "answered_of", None), getattr(route, "path", "")
                if of is not None:
                    self._patterns.append((re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(prefix + path))), of))

    @staticmethod
    def is_page(path: str) -> bool:
        """Say whether a marked path is a page, which shows what is there, and not JSON or CSV, which wait for what is asked."""
        return not path.startswith("/api/") and not path.endswith((".csv", ".json"))

    def of(self, path: str) -> Of | None:
        """Return of what the answer at `path` is: the `results`, the `store`; None where its route is not marked."""
        return next((of for pattern, of in self._patterns if pattern.fullmatch(path)), None)
