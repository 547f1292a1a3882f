"""The store: all that this project remembers, read and written in transactions.

>>> store = Store.open("scaling.db")        # creates or upgrades it
>>> with store.write() as session:          # one transaction: commits at the end, rolls back on an exception
...     ...                                 # functions of `grid`, `ledger`, `lease` take the session
>>> store.runs()                            # the table that `analysis` reads
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, NotSupportedError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from orchestrator.store import schema
from orchestrator.store.engine import DEFAULT_URL, read_engine, server_error, sqlite_path, store_url, write_engine
from orchestrator.store.imported import sources
from orchestrator.store.known_runs import KnownRuns
from orchestrator.store.marks import Marks
from orchestrator.store.one_file import OneFile
from orchestrator.store.probed import measured_conversions
from orchestrator.store.upgraded_copy import UpgradedCopy
from scaling.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Store"]

_logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_SERVER_SECONDS = 1800.0
"""How long a database's server may be away: a restart, a failover, an upgrade, a machine that is moved."""
_FILE_SECONDS = 15.0
"""How long a database's file may be out of reach."""
_SAY_SECONDS = 60.0
"""How often a wait for the database is logged."""


class Store:
    """Opens a database of runs: with `Store.open` to write, with `Store.open_readonly` to read.

    A file of SQLite that is deleted, replaced or emptied while it is open, or that loses its log, is no longer the store: every transaction
    then raises `StoreError`, and so does the one that was under way. A scheduler also notices what else is copied into it (`store.marks`).

    wait_seconds: how long a transaction waits to begin while the database cannot be reached. One that has begun is not tried again: whoever
    writes does not know whether it was committed, and gets `StoreAway`.

    away_seconds: how long the database has been out of reach, all waits together.
    """

    def __init__(self, url: str = DEFAULT_URL, *, writable: bool) -> None:
        self.url, self.wait_seconds, self.away_seconds = store_url(url), 0.0, 0.0
        self._reader = read_engine(self.url)
        self._writer = write_engine(self.url) if writable else None
        self._path = sqlite_path(self.url)
        self._file: OneFile | None = None
        self._copy: UpgradedCopy | None = None
        self._marks = Marks(self._path) if writable and self._path is not None else None

    @classmethod
    def open(cls, url: str = DEFAULT_URL) -> Store:
        """Open for writing; creates the tables or upgrades them. Raises `StoreTooNew`, `StoreError`."""
        store = cls(url, writable=True)
        assert store._writer is not None
        schema.migrate(store._writer)
        store._watch_file()
        return store

    @classmethod
    def open_existing(cls, url: str = DEFAULT_URL) -> Store:
        """Open for writing a store that is there already; upgrades it. Raises `StoreError` when there is none."""
        with cls(url, writable=False) as found:
            found._revision()
        return cls.open(url)

    @classmethod
    def open_readonly(cls, url: str = DEFAULT_URL) -> Store:
        """Open for reading. A file of an earlier version is read through an upgraded copy, see `UpgradedCopy`.

        Raises `StoreError` when there is nothing to read, or a server's database is of an earlier version; `StoreTooNew` for a newer schema.
        """
        store = cls(url, writable=False)
        store._read_as_upgraded(store._revision())
        return store

    @classmethod
    def open_as_upgraded(cls, url: str = DEFAULT_URL) -> Store | None:
        """Open for reading what `open` would find; None where it would begin an empty one. Raises as `open`, and nothing is written."""
        store = cls(url, writable=False)
        path = sqlite_path(store.url)
        if path is not None and not path.exists():
            if not path.absolute().parent.is_dir():
                raise StoreError(
                    f"there is no folder {path.parent} for the store {path}", hint="name another with --db or SCALING_DB"
                )
            return None
        if (found := schema.found_revision(store._reader)) is None:
            return None
        store._read_as_upgraded(found)
        return store

    def _read_as_upgraded(self, found: str) -> None:
        """Begin to read a store of the schema `found`."""
        if found != (head := schema.head_revision()):
            if sqlite_path(self.url) is None:
                raise StoreError(
                    f"the store {self.name} has schema {found} and must be upgraded to {head} before it can be read",
                    hint="the first command that writes upgrades it, such as `scaling submit`; nothing was changed",
                )
            self._copy = UpgradedCopy(self._reader)
        self._watch_file()

    def _revision(self) -> str:
        """Return the schema of a store that is there. Raises `StoreError` where there is none, or an empty one; `StoreTooNew`."""
        path = sqlite_path(self.url)
        if path is not None and not path.exists():
            raise StoreError(
                f"there is no store at {path}",
                hint="`scaling init` writes an experiments file, `scaling submit` makes a store of it; --db or SCALING_DB names another",
            )
        found = schema.found_revision(self._reader)
        if found is None:
            raise StoreError(
                f"the database {self.name} is empty",
                hint="the first `scaling submit` or `scaling import` fills it; --db or SCALING_DB names another",
            )
        return found

    @property
    def name(self) -> str:
        """Return the path or URL, without a password."""
        return str(sqlite_path(self.url) or self.url.render_as_string(hide_password=True))

    def wait_for_server(self) -> None:
        """Make later transactions wait for a database that is away: half an hour for a server, 15 s for a file."""
        self.wait_seconds = _FILE_SECONDS if sqlite_path(self.url) else _SERVER_SECONDS

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open one writing transaction. What is done inside happens as a whole or not at all."""
        if self._writer is None:
            raise StoreError(f"the store {self.name} was opened for reading", hint="open it with Store.open")
        try:
            with self._begun(self._writer, expire_on_commit=False) as session:
                if self._marks is not None:
                    self._marks.begun()
                yield session
                session.commit()
                if self._marks is not None:
                    self._marks.committed()
            self._refuse_another_file()
        except (IntegrityError, ProgrammingError, DataError, NotSupportedError):
            raise  # what was asked for was wrong, not the storage
        except DatabaseError as error:
            self._refuse_another_file()
            raise self._refused(error, "written") from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a consistent view of the database, which cannot write."""
        try:
            reader = self._reader if self._copy is None else self._copy.reader()
            with self._begun(reader) as session:
                yield session
        except DatabaseError as error:
            self._refuse_another_file()
            raise self._refused(error, "read") from error

    def _refused(self, error: DatabaseError, done: str) -> StoreError:
        """Word the error of a transaction that failed. done: `read` or `written`."""
        if sqlite_path(self.url) is None and isinstance(error, OperationalError):
            return server_error(self.name, error)
        disk = "is the disk full or read-only, or another program holding the database? What was committed before is safe"
        hints = {"written": disk, "read": "is it whole, and written by this version of scaling?"}
        if done == "written" and not isinstance(error, OperationalError):
            hints["written"] = (
                "was the file overwritten while this command used it? Nothing more is written: put a good copy back, then submit again"
            )
        return StoreError(f"the store {self.name} cannot be {done}: {error.orig}", hint=hints[done])

    def _begun(self, engine: Engine, **options: Any) -> Session:
        """Begin a transaction and return its session; closing it without a commit rolls back.

        Raises `OperationalError` when the database cannot be reached within `wait_seconds`.
        """
        begun, pause, said = time.monotonic(), _FIRST_PAUSE_SECONDS, -_SAY_SECONDS
        while True:
            self._refuse_another_file()  # before SQLite makes a new one
            session = Session(engine, info={"marks": self._marks}, **options)
            try:
                session.connection()
                self._watch_file()
                self._refuse_another_file()
            except BaseException as error:
                session.close()
                waited = time.monotonic() - begun
                if not isinstance(error, OperationalError) or waited + pause > self.wait_seconds:
                    self.wait_seconds = 0.0  # who has waited for so long does not do so again
                    raise
            else:
                waited = time.monotonic() - begun
                if said >= 0:
                    self.away_seconds += waited
                    _logger.warning("the store %s is back after %.0f s", self.name, waited)
                return session
            if waited - said >= _SAY_SECONDS:
                said = waited
                rest = self.wait_seconds - waited
                _logger.warning("the store %s cannot be reached; it is waited for, at most %.0f s more", self.name, rest)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _watch_file(self) -> None:
        if self._file is None and self._path is not None:
            with suppress(FileNotFoundError):
                self._file = OneFile(self._path, writable=self._writer is not None)

    def _refuse_another_file(self) -> None:
        """Raise `StoreError` when the file is not the one that was opened, or was overwritten.

        SQLite goes on writing to a file that has no name any more, and whatever it writes there is gone when the command ends.
        """
        if self._file is not None:
            self._file.check()
        if self._marks is not None:
            self._marks.refuse_lost()

    def runs(self, experiment: str | None = None, known: KnownRuns | None = None) -> pd.DataFrame:
        """Return all runs (of an experiment) as the table that `analysis` takes: the columns of `scaling.columns.RUN_COLUMNS`.

        >>> with scaling.Store.open_readonly("scaling.db") as store:
        ...     runs = store.runs()
        >>> bool(runs["val_loss"].min() > 0)
        True

        known: of this experiment, from the read before; then what has changed since is read alone.
        """
        from analysis.reading.accelerator_hours import with_measured
        from analysis.reading.imported import with_sources

        with self.read() as session:
            table = (known or KnownRuns(experiment)).table(session)
            measured, imported = measured_conversions(session), sources(session, experiment)
        return with_measured(with_sources(table, imported), measured)

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()
        if self._writer is not None:
            self._writer.dispose()
        if self._file is not None:
            self._file.close()  # last: as long as it is open, nobody else removes the log
            self._file = None
        if self._copy is not None:
            self._copy.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
