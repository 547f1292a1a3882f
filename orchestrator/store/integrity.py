"""Whether a store's database is whole: what SQLite finds in its own pages, and rows that name others which are not there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["faults_in"]

_SHOWN = 3


def faults_in(path: Path) -> list[str]:
    """Check an SQLite file page by page, and its foreign keys. It reads the whole file, about a second a gigabyte, and writes nothing.

    Returns: what is wrong, a line each, at most a few; nothing where it is whole. Raises `sqlite3.DatabaseError` for what is no database.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as base:
        found = [str(line) for (line,) in base.execute(f"PRAGMA integrity_check({_SHOWN})")]
        if found != ["ok"]:
            return found
        broken = base.execute("PRAGMA foreign_key_check").fetchmany(_SHOWN)
    return [f"row {row} of {table} names a row of {parent} that is not there" for table, row, parent, _ in broken]
