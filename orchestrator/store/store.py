"""The store: everything this project remembers, behind two doors.

>>> store = Store.open("scaling.db")        # creates or upgrades it
>>> with store.write() as session:          # one transaction: commits at the end, rolls back on an exception
...     ...                                 # functions of `grid`, `ledger`, `lease` take the session
>>> store.runs_frame()                      # the table that `analysis` reads
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from orchestrator.store import queries, schema
from orchestrator.store.engine import DEFAULT_URL, read_engine, sqlite_path, store_url, write_engine
from scaling.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Store"]


class Store:
    """A database of runs. Open it with `Store.open` to write, `Store.open_readonly` to look."""

    def __init__(self, url: str = DEFAULT_URL, *, writable: bool) -> None:
        self.url = store_url(url)
        self._reader = read_engine(self.url)
        self._writer = write_engine(self.url) if writable else None

    @classmethod
    def open(cls, url: str = DEFAULT_URL) -> Store:
        """Open for writing; creates the tables or upgrades them. Raises `StoreTooNew`, `StoreError`."""
        store = cls(url, writable=True)
        assert store._writer is not None
        schema.migrate(store._writer)
        return store

    @classmethod
    def open_existing(cls, url: str = DEFAULT_URL) -> Store:
        """Open for writing what is there already. Raises `StoreError` when nothing is."""
        cls.open_readonly(url).close()
        return cls.open(url)

    @classmethod
    def open_readonly(cls, url: str = DEFAULT_URL) -> Store:
        """Open for reading. Raises `StoreError` when there is nothing to read, `StoreTooNew` for a newer schema."""
        store = cls(url, writable=False)
        path = sqlite_path(store.url)
        if path is not None and not path.exists():
            raise StoreError(
                f"there is no store at {path}", hint="`scaling submit experiments.yaml` makes one; --db or SCALING_DB names another"
            )
        schema.check(store._reader)
        return store

    @property
    def name(self) -> str:
        """Path or URL, without a password."""
        return str(sqlite_path(self.url) or self.url.render_as_string(hide_password=True))

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One writing transaction. What runs inside it happens as a whole or not at all."""
        if self._writer is None:
            raise StoreError(f"the store {self.name} was opened for reading", hint="open it with Store.open")
        try:
            with Session(self._writer, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            raise StoreError(
                f"the store {self.name} cannot be written: {error.orig}",
                hint="is the disk full or read-only, or another program holding the database? What was committed before is safe",
            ) from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; cannot write."""
        try:
            with Session(self._reader) as session, session.begin():
                yield session
        except DatabaseError as error:
            raise StoreError(
                f"the store {self.name} cannot be read: {error.orig}", hint="is it whole, and written by this version of scaling?"
            ) from error

    def runs_frame(self, experiment: str | None = None) -> pd.DataFrame:
        """All runs (of an experiment) as the table that `analysis` takes: the columns of `scaling.columns.RUN_COLUMNS`."""
        import pandas as pd

        from scaling.columns import RUN_COLUMNS

        with self.read() as session:
            rows = queries.runs(session, experiment=experiment)
        return pd.DataFrame(rows, columns=[column.name for column in RUN_COLUMNS])

    def close(self) -> None:
        """Give back all connections."""
        self._reader.dispose()
        if self._writer is not None:
            self._writer.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
