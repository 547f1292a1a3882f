"""Detects that an older content was copied into a database's file of SQLite while a scheduler writes to it: `cp backup.db scaling.db`.

The file stays the same one, so its inode says nothing. Nor does a value that was written a moment ago: it is in the log, which SQLite
reads before the file, and the copy changed the file alone. So there are three counters, each in a table and so on a page of its own. One
of them is raised with the lease; whenever SQLite has begun the log anew, it is the next one's turn. At least one is not written
meanwhile: it is in the file and not in the log, and a copy from before its last change has a lower one. What a later copy lacks is in the
log still. An exception is a log that was begun anew by the very transaction that raised the counter; such a copy is noticed the next
time. A random text beside each count tells the counters of two stores apart.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.orm import Session

from orchestrator.store.one_file import log_of
from scaling.errors import StoreError

__all__ = ["Marks"]

_GENERATION = slice(12, 24)
"""Bytes in the head of a log: how often it was begun anew, and two random numbers for it."""


Mark = tuple[int, str]
"""A count, and the random text that was written with it."""

_NEVER: Mark = (0, "")
_TABLES = ("mark_0", "mark_1", "mark_2")


class Marks:
    """Holds the counters of one database, as this process has seen them. It belongs to the process that has the lease."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = [_NEVER] * len(_TABLES)
        self._turn, self._generation, self._is_over = 0, b"", False
        self._written: Mark | None = None
        self._lost = ""

    def check(self) -> None:
        """Raise `StoreError` when the file holds less than this process has written to it, now or at an earlier check."""
        if not self._lost:
            try:
                found = self._read()
            except sqlite3.OperationalError as error:
                raise StoreError(f"the store {self._path} cannot be read: {error}", hint="is its disk still there?") from error
            except sqlite3.DatabaseError as error:
                self._lost = f"is damaged ({error})"
            else:
                if any(now[0] <= seen[0] and now != seen for now, seen in zip(found, self._seen, strict=True)):
                    self._lost = "holds an older or another state"
                self._seen = found
        self.refuse_lost()

    def refuse_lost(self) -> None:
        """Raise `StoreError` when an earlier `check` has found another content: nothing is to be written over it."""
        if self._lost:
            raise StoreError(
                f"the database {self._path} {self._lost}: it was overwritten while this command used it",
                hint="nothing more is written. Put the right file back, then submit again: it goes on from what that file holds",
            )

    def advance(self, session: Session) -> None:
        """Check, and raise one counter in this transaction. Raises as `check`."""
        self.check()
        generation = self._generation_now()
        if self._is_over or generation != self._generation:
            self._turn = (self._turn + 1) % len(_TABLES)
        self._generation = generation
        connection, table = session.connection(), _TABLES[self._turn]
        self._written = (max(count for count, _ in self._seen) + 1, secrets.token_hex(8))
        connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, count INTEGER, text TEXT)")
        connection.exec_driver_sql(f"INSERT OR REPLACE INTO {table} VALUES (0, ?, ?)", self._written)

    def begun(self) -> None:
        """Note that a transaction has begun: what an earlier one raised and rolled back was never written."""
        self._written = None

    def committed(self) -> None:
        """Note that the transaction is in the log, with the counter if it called `advance`."""
        if self._written:
            self._seen[self._turn], self._written = self._written, None
            began, self._generation = self._generation, self._generation_now()
            self._is_over = began != self._generation  # this transaction has begun the log anew

    def _read(self) -> list[Mark]:
        """Read all counters over a connection of its own: the others remember pages that they have read before."""
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found: list[Mark] = []
            for table in _TABLES:
                row = connection.execute(f"SELECT count, text FROM {table}").fetchone() if table in there else None
                found.append(row or _NEVER)
            return found

    def _generation_now(self) -> bytes:
        try:
            with log_of(self._path).open("rb") as log:
                return log.read(_GENERATION.stop)[_GENERATION]
        except OSError:
            return b""
