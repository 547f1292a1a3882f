"""Reads an SQLite file of an earlier version through a copy that is brought up to date: whoever only reads changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
import weakref
from pathlib import Path

from sqlalchemy import Engine

from orchestrator.store import schema
from orchestrator.store.engine import read_engine, sqlite_path, store_url, write_engine

__all__ = ["UpgradedCopy"]


class UpgradedCopy:
    """Keeps a copy of a file in a temporary folder, and makes it anew when the file has changed.

    Once another process has upgraded the file itself, that is read.
    """

    def __init__(self, source: Engine) -> None:
        """Make the first copy. source: reads the file. Raises `StoreError`, as where there is no room for the copy."""
        path = sqlite_path(source.url)
        assert path is not None  # a server's database is not copied
        self._source, self._file, self._lock = source, path, threading.Lock()
        self._changes = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._seen = self._version()
        self._folder: _TemporaryFolder | None = None
        self._reader = self._made()

    def reader(self) -> Engine:
        """Return what reads the file as it is now, in this version's schema. Raises `StoreError`, `StoreTooNew`."""
        with self._lock:
            seen = self._version()
            if seen != self._seen:
                self._drop()
                self._reader, self._seen = self._made(), seen
            return self._reader

    def close(self) -> None:
        """Remove the copy."""
        self._drop()
        self._changes.close()

    def _drop(self) -> None:
        """Remove this copy. Who still reads it reads on: the system keeps an open file."""
        if self._reader is not self._source:
            self._reader.dispose()
        if self._folder is not None:
            self._folder.remove()

    def _version(self) -> int:
        """Return a number that changes with every commit of others."""
        return int(self._changes.execute("PRAGMA data_version").fetchone()[0])

    def _made(self) -> Engine:
        if schema.found_revision(self._source) == schema.head_revision():
            return self._source
        self._folder = _TemporaryFolder(self._file)
        url = store_url(str(self._folder.path / self._file.name))
        copy = sqlite_path(url)
        assert copy is not None
        try:
            schema.copy_to(self._source, copy)
            writer = write_engine(url)
            schema.migrate(writer, is_copy=True)
            writer.dispose()
        except BaseException:
            self._folder.remove()
            raise
        return read_engine(url)


class _TemporaryFolder:
    """Makes a folder for the copy of `file`. It is removed at the end of the process at the latest."""

    def __init__(self, file: Path) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix="scaling-"))
        except OSError as error:
            raise schema.no_copy(file, error) from error
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
