"""Temporary folders that do not stay when their process is killed: whoever makes the next one removes them.

Each holds a file that its process has locked for as long as it lives. The system takes the lock away, however the process ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["own_folder"]

_LOCK = ".scaling-lock"
_YOUNG_SECONDS = 60.0
"""A folder of this age may not have been locked yet, and processes of one that was killed may be at work in it."""


@contextlib.contextmanager
def own_folder(prefix: str, place: str) -> Iterator[Path]:
    """Make a new folder in `place` that only this user can enter, and remove it at the end.

    Folders with the same prefix that killed processes left are removed too.
    """
    _sweep(prefix, Path(place))
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)  # not inherited: what this process starts does not keep it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what dies may still write
        os.close(lock)


def _sweep(prefix: str, place: Path) -> None:
    """Remove what processes of this user left. Folders without a lock are somebody else's, and stay."""
    for folder in place.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                found = os.fstat(lock)
                if found.st_uid == folder.lstat().st_uid == os.getuid() and time.time() - found.st_mtime > _YOUNG_SECONDS:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
