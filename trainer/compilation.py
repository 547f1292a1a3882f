"""What compiling costs: how many programs were built, how many came from JAX's cache on disk, and the seconds it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jax import monitoring

__all__ = ["Compilation", "counted_compilation"]

_REQUESTED = "/jax/core/compile/backend_compile_duration"
_LOADED = "/jax/compilation_cache/cache_hits"


@dataclass
class Compilation:
    """Counts what was compiled, and the seconds it took.

    compiled: programs that XLA built. loaded: programs read from the persistent cache instead. seconds: tracing included.
    """

    compiled: int = 0
    loaded: int = 0
    seconds: float = 0.0


_open: list[Compilation] = []


@contextmanager
def counted_compilation() -> Iterator[Compilation]:
    """Count what this process compiles inside the block, whatever thread or function asks for it. Blocks may nest."""
    count = Compilation()
    _open.append(count)
    started = time.perf_counter()
    try:
        yield count
    finally:
        count.seconds = time.perf_counter() - started
        _open[:] = [other for other in _open if other is not count]


def _on_duration(event: str, duration_secs: float, **_: object) -> None:
    del duration_secs
    if event == _REQUESTED:  # comes after the cache was asked, for hits too
        for count in _open:
            count.compiled += 1


def _on_event(event: str, **_: object) -> None:
    if event == _LOADED:
        for count in _open:
            count.loaded += 1
            count.compiled -= 1


monitoring.register_event_duration_secs_listener(_on_duration)
monitoring.register_event_listener(_on_event)
