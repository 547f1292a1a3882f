"""Says what to do about an SQLite file that cannot be opened: one cure for each fault, the same for commands and `scaling doctor`."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cure_of", "repair"]

_ANOTHER = "name another with --db or SCALING_DB"


def cure_of(path: Path, error: object) -> str:
    """Return what to do about SQLite's error on this file."""
    said = str(error)
    if path.is_dir():
        return f"it is a folder: {_ANOTHER}"
    if "not a database" in said:
        return f"it is no SQLite file, or an encrypted one: {_ANOTHER}"
    if "malformed" in said:
        return repair(path)
    if not os.access(path, os.R_OK):
        return f"this user may not read it: {_ANOTHER}"
    if not os.access(path.parent, os.W_OK):
        return (
            "its folder is read-only, and SQLite writes beside a file also to read it: copy it elsewhere, and name that with --db"
        )
    return f"is it a scaling database, on a disk that is not full or read-only? {_ANOTHER}"


def repair(path: Path) -> str:
    """Return what to do about a file that is damaged; names the newest copy that a migration left."""
    copies = sorted(path.parent.glob(f"{path.name}.before-*"))
    put_back = f"put back a copy ({copies[-1].name} is one), or save" if copies else "put back a copy, or save"
    return f"{put_back} what can be read: sqlite3 {path.name} .recover | sqlite3 saved.db"
