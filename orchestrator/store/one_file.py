"""Watches that a database of SQLite stays the file that was opened, together with its log.

SQLite keeps what was committed last in `scaling.db-wal`, and `scaling.db-shm` says where in it. While a connection is open nobody but a
user removes these two: SQLite itself does so when the last connection closes, and a checkpoint only empties them. When they are removed
all the same, this process goes on in files without a name, and other processes begin new ones. All that was committed is gone when the
command ends.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from scaling.errors import StoreError

__all__ = ["OneFile", "log_of"]

_PUT_BACK = "Put the right file back, then submit again: it goes on from what that file holds"


def log_of(path: Path) -> Path:
    """Return the path of a database's log: beside the file itself, where the path is a link to it."""
    return Path(os.path.realpath(path) + "-wal")


class OneFile:
    """Holds one connection open for as long as the store is open, and remembers device and inode of the database's three files.

    writable: whether this process may write to the database.

    Raises `FileNotFoundError` when there is no such file.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        self._kept: sqlite3.Connection | None = None
        self._path, self._writable = path, writable
        self._file = _identity(path)
        if self._file is None:
            raise FileNotFoundError(path)
        self._sides: dict[str, tuple[int, int] | None] = {}
        with suppress(sqlite3.Error):  # a folder that may not be written: then there is no log to lose
            self._kept = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, check_same_thread=False, timeout=60)
            self._kept.execute("SELECT count(*) FROM sqlite_master").fetchall()  # only what reads has the log open
            self._sides = {name: _identity(place) for name, place in self._side_files().items()}

    def check(self) -> None:
        """Raise `StoreError` when the file, or its log, is not there any more, is another one, or has been emptied."""
        found = _identity(self._path)
        if found != self._file:
            self._refuse(f"database {self._path} {_became(found)}")
        with suppress(OSError):
            if os.stat(self._path).st_size == 0:  # before SQLite opens it again: it removes the log of an empty file
                self._refuse(f"database {self._path} is empty now")
        for name, place in self._side_files().items():
            if (known := self._sides.get(name)) is not None and (there := _identity(place)) != known:
                saved = self._save()
                self._refuse(f"{name} of the database, {place}, {_became(there)}", saved)

    def close(self) -> None:
        """Close the connection. SQLite then puts the log into the file and removes it, unless other processes have it open."""
        if self._kept is not None:
            self._kept.close()

    def __del__(self) -> None:
        self.close()

    def _side_files(self) -> dict[str, Path]:
        log = log_of(self._path)
        return {"log": log, "index": log.with_name(log.name.removesuffix("-wal") + "-shm")}

    def _save(self) -> bool:
        """Write what was committed from the removed log, which is still open here, into the file. Returns whether all of it is there.

        This is done only where no other process has begun a log of its own: its changes would be mixed with ours.
        """
        log = log_of(self._path)
        if (
            self._kept is None
            or not self._writable
            or (_identity(log) != self._sides["log"] and log.exists() and log.stat().st_size)
        ):
            return False
        try:
            busy, pages, stored = self._kept.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False
        return not busy and pages == stored

    def _refuse(self, what: str, saved: bool | None = None) -> None:
        hint = f"nothing more is written. {_PUT_BACK}"
        if saved is not None:
            kept = (
                "what was committed before was saved into the file"
                if saved
                else "what it held may be lost: look, or restore a copy"
            )
            hint = f"nothing more is written; {kept}. Submit again: it goes on from what the file holds"
        raise StoreError(f"the {what}: it was deleted, moved or replaced while this command used it", hint=hint)


def _became(found: tuple[int, int] | None) -> str:
    return "is another file now" if found else "is not there any more"


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
