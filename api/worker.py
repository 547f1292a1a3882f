"""Who computes the answers of the analysis: a process beside the server, so that a fit holds up no other page; threads in tests.

Both are `concurrent.futures.Executor`s. The process has the same routes over the same store, and remembers what its answers share.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING, TypeVar

from api.inward import Reply, ask

if TYPE_CHECKING:
    from fastapi import FastAPI

    from api.database import Database

__all__ = ["InProcess", "InThreads", "Worker"]

_Found = TypeVar("_Found")
_THREADS = 4
_routes: FastAPI | None = None


class Worker(ABC):
    """Computes answers, one link at a time."""

    @abstractmethod
    def begin(self, path: str, query: bytes, accept: bytes, state: dict[str, str]) -> Future[Reply]:
        """Begin the answer to a link, and return the future of it."""

    @abstractmethod
    def compute(self, what: Callable[[Database, str], _Found], name: str) -> Future[_Found]:
        """Begin what a function of a module makes of the store and a name, and return the future of it."""

    @abstractmethod
    def warm(self) -> None:
        """Load what the first answer needs, before anybody asks."""

    @abstractmethod
    def close(self) -> None:
        """End it; what is under way is given up."""


class InThreads(Worker):
    """Computes in threads of this process, by the routes `app`."""

    def __init__(self, app: FastAPI) -> None:
        self._app, self._pool = app, ThreadPoolExecutor(_THREADS, "answers")

    def begin(self, path: str, query: bytes, accept: bytes, state: dict[str, str]) -> Future[Reply]:
        return self._pool.submit(_answered, self._app, path, query, accept, state)

    def compute(self, what: Callable[[Database, str], _Found], name: str) -> Future[_Found]:
        return self._pool.submit(what, self._app.state.database, name)

    def warm(self) -> None:
        return None  # this process has loaded what it needs

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class InProcess(Worker):
    """Computes in a process of its own over the store `db`; another one is started when that has died. can_steer: as of `routes_over`."""

    def __init__(self, db: str, *, can_steer: bool = False) -> None:
        self._db, self._can_steer, self._lock, self._is_closed = db, can_steer, threading.Lock(), False
        self._pool = self._started()

    def begin(self, path: str, query: bytes, accept: bytes, state: dict[str, str]) -> Future[Reply]:
        return self._submitted(_answered_there, path, query, accept, state)

    def compute(self, what: Callable[[Database, str], _Found], name: str) -> Future[_Found]:
        return self._submitted(_computed_there, what, name)

    def _submitted(self, what: Callable[..., _Found], *given: object) -> Future[_Found]:
        with self._lock:
            try:
                return self._pool.submit(what, *given)
            except BrokenProcessPool:
                if self._is_closed:
                    raise
                self._pool = self._started()
                return self._pool.submit(what, *given)

    def warm(self) -> None:
        self._pool.submit(_loaded)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
        processes = list((self._pool._processes or {}).values())  # Python 3.14 has `kill_workers`
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:  # else the server waits at its end for the fit that is under way
            process.kill()

    def _started(self) -> ProcessPoolExecutor:
        # Not forked: this process has threads, and a fork would copy their locks as they are.
        return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin, initargs=(self._db, self._can_steer))


def _begin(db: str, can_steer: bool) -> None:
    global _routes
    # Before NumPy is loaded: on matrices this small, threads of BLAS burn processor time waiting for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from api.app import routes_over
    from api.database import Database

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _routes = routes_over(Database(db), can_steer=can_steer)


def _end_with_parent() -> None:
    """Wait until the server is gone, however it went, and end this process: its queue never says so."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(0)


def _loaded() -> None:
    import analysis.figures
    import analysis.fitting.fit_all

    _ = analysis.figures.frontier_figure, analysis.fitting.fit_all.fit_all


def _answered_there(path: str, query: bytes, accept: bytes, state: dict[str, str]) -> Reply:
    assert _routes is not None
    return _answered(_routes, path, query, accept, state)


def _computed_there(what: Callable[[Database, str], _Found], name: str) -> _Found:
    assert _routes is not None
    return what(_routes.state.database, name)


def _answered(app: FastAPI, path: str, query: bytes, accept: bytes, state: dict[str, str]) -> Reply:
    with app.state.database.pinned():
        return asyncio.run(ask(app, path, query, accept, dict(state)))
