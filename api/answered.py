"""Which routes `api.answers` answers from what it keeps: those of the analysis, and pages that read all runs of an experiment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Literal, TypeVar, cast

from fastapi import APIRouter, Response

__all__ = ["Answered", "checked_alone", "of_results", "of_store"]

Of = Literal["results", "store"]
_Route = TypeVar("_Route", bound=Callable[..., Any])
_is_check: ContextVar[bool] = ContextVar("is_check", default=False)


def of_results(route: _Route) -> _Route:
    """Mark a route whose answer changes with the results of runs alone; it is computed once for all clients."""
    return _marked(route, "results")


def of_store(route: _Route) -> _Route:
    """Mark a route whose answer takes long in a large store and changes with every commit; it is computed once for all clients."""
    return _marked(route, "store")


@contextmanager
def checked_alone() -> Iterator[None]:
    """Let marked routes check in the block what their link asks, and answer nothing: 204, or the refusal that the link gets."""
    token = _is_check.set(True)
    try:
        yield
    finally:
        _is_check.reset(token)


def _marked(route: _Route, of: Of) -> _Route:
    @wraps(route)
    def answer(*given: Any, **named: Any) -> Any:
        return Response(status_code=204) if _is_check.get() else route(*given, **named)

    answer.answered_of = of  # type: ignore[attr-defined]
    return cast(_Route, answer)


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
