"""The store as the pages see it: it may appear, change or be replaced while the server runs."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

from fastapi import Depends, Request

from analysis.constant import constant
from orchestrator.store import Session, Store, queries
from orchestrator.store.engine import sqlite_path, store_url
from orchestrator.store.known_runs import KnownRuns
from orchestrator.store.versions import results_version, snapshot_of
from scaling.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Database", "TheDatabase"]

_Answer = TypeVar("_Answer")
_pinned: ContextVar[str | None] = ContextVar("pinned", default=None)
_ANSWERS_KEPT = 128
_TABLES_KEPT = 4
_LONG_SCAN_SECONDS, _SHARE = 0.1, 10.0
"""A scan of the results that takes more processor time than this is made for a tenth of the time at most."""


@dataclass
class _Opened:
    """Holds a store that is open. `answers` are of the results at `answers_version`; one that is not done is being computed.

    results: the version of the results at a version of the store; `scanning` is held while it is read, `next_scan` is when that is due again.
    """

    store: Store
    file: tuple[int, int] | None
    changes: sqlite3.Connection | None
    name: str = field(default_factory=lambda: secrets.token_hex(6))
    answers: OrderedDict[Hashable, Future[object]] = field(default_factory=OrderedDict)
    answers_version: str | None = None
    known: OrderedDict[str | None, KnownRuns] = field(default_factory=OrderedDict)
    results: tuple[str, str] = ("", "")
    scanning: threading.Lock = field(default_factory=threading.Lock)
    next_scan: float = 0.0


class Database:
    """Opens the store when first needed, and again when another file has taken its place; remembers answers until its results change."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._path = sqlite_path(store_url(url))
        self._lock = threading.RLock()
        self._opened: _Opened | None = None

    @property
    def name(self) -> str:
        """Return the path or URL, without a password."""
        return str(self._path or store_url(self.url).render_as_string(hide_password=True))

    @property
    def exists(self) -> bool:
        """Say whether there is a store to open. A database server is taken to have one."""
        return self._path is None or self._path.exists()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a consistent view of the store. Raises `StoreError` when it cannot be read."""
        with self._open().store.read() as session:
            yield session

    def runs_frame(self, experiment: str | None) -> pd.DataFrame:
        """Return all runs (of an experiment) as the table that `analysis` takes. Shared: not to be changed."""

        def read() -> pd.DataFrame:
            opened = self._open()
            with self._lock:
                known = opened.known.setdefault(experiment, KnownRuns(experiment))
                opened.known.move_to_end(experiment)
                while len(opened.known) > _TABLES_KEPT:
                    opened.known.popitem(last=False)
            return constant(opened.store.runs(experiment, known))

        return self.remember(("runs_frame", experiment), read)

    def version(self) -> str | None:
        """Return a text that changes whenever the store does; None when that cannot be told cheaply or there is no store."""
        try:
            opened = self._open()
            changes = self._changes(opened)
            with opened.store.read() as session:
                count = snapshot_of(session) if changes is None else str(changes)
                gone = "-left" if queries.is_gone(session) else ""  # a scheduler that dies writes nothing
        except StoreError:
            return None
        return None if count is None else f"{opened.name}-{count}{gone}"

    def results(self, *, lately: bool = False) -> str | None:
        """Return a text that changes whenever answers of the analysis may; None as of `version`. It is read once for each version.

        lately: in a large store, where that takes long, what it was a moment ago is enough, so that a tenth of the time goes into it.
        """
        if (pinned := _pinned.get()) is not None:
            return pinned
        version = self.version()
        if version is None:
            return None
        with suppress(StoreError):
            opened = self._open()
            is_long = opened.next_scan > 0.0
            if lately and is_long and (opened.scanning.locked() or time.monotonic() < opened.next_scan):
                return opened.results[1]
            with opened.scanning:
                if opened.results[0] != version:
                    began, processor = time.monotonic(), time.thread_time()
                    with opened.store.read() as session:
                        opened.results = (version, f"{opened.name}-{results_version(session)}")
                    is_long, now = time.thread_time() - processor > _LONG_SCAN_SECONDS, time.monotonic()
                    opened.next_scan = now + _SHARE * (now - began) if is_long else 0.0
                return opened.results[1]
        return None

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Let `results` stay as it is for whatever the block calls, so that an answer of many parts reads the runs once."""
        token = _pinned.set(self.results())
        try:
            yield
        finally:
            _pinned.reset(token)

    def remember(self, key: Hashable, compute: Callable[[], _Answer]) -> _Answer:
        """Return the answer called `key`, computed at most once for each version of the results.

        The first to ask computes it, outside the lock, so that other questions are answered meanwhile; whoever asks the same waits
        for it. An error goes to all who wait, and is not remembered.
        """
        version = self.results()  # before computing: an answer may be newer than its version, never older
        with self._lock:
            answers = self._answers(version)
            answer = answers.get(key)
            is_first = answer is None
            if answer is None:
                answer = answers[key] = Future()
            answers.move_to_end(key)
            while len(answers) > _ANSWERS_KEPT:
                answers.popitem(last=False)
        if is_first:
            try:
                answer.set_result(compute())
            except BaseException as error:
                with self._lock:
                    if answers.get(key) is answer:
                        del answers[key]
                answer.set_exception(error)
                raise
        return cast(_Answer, answer.result())

    def _answers(self, version: str | None) -> OrderedDict[Hashable, Future[object]]:
        """Return what is remembered of the store at `version`; nothing where versions cannot be told."""
        if version is None:
            return OrderedDict()
        opened = self._open()
        if opened.answers_version != version:
            opened.answers.clear()
            opened.answers_version = version
        return opened.answers

    def _open(self) -> _Opened:
        with self._lock:
            file = self._file()
            if self._opened is not None and (self._path is None or self._opened.file == file):
                return self._opened
            self._close()
            store = Store.open_readonly(self.url)
            changes = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False) if self._path else None
            self._opened = _Opened(store, file, changes)
            return self._opened

    def _changes(self, opened: _Opened) -> int | None:
        """Count the commits of others that a connection to an SQLite file has seen; None for a database server."""
        if opened.changes is None:
            return None
        with self._lock:
            (count,) = opened.changes.execute("PRAGMA data_version").fetchone()
        return int(count)

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.store.close()
            if self._opened.changes is not None:
                self._opened.changes.close()
            self._opened = None

    def _file(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _of_the_app(request: Request) -> Database:
    return cast(Database, request.app.state.database)


TheDatabase = Annotated[Database, Depends(_of_the_app)]
"""The application's database, as a parameter of a route."""
