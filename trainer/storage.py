"""The storage of an attempt's files: a folder on disk, or an object store behind an fsspec URL.

Both promise the little that checkpoints are built on: bytes of a closed file are durable, and `publish` makes a small file appear whole
or not at all. Neither needs a rename of folders, which object stores do not have.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

__all__ = ["GONE_SECONDS", "Disk", "ObjectStore", "Storage", "storage_at"]

GONE_SECONDS = 30.0
"""How long a folder that was there is waited for before it is made anew: a disk may come back."""


class Storage(Protocol):
    """Keeps an attempt's files. Names are relative, with `/` between. Every method raises `OSError` when the storage refuses."""

    url: str

    def create(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a new file to write to; durable once the block is left, and gone when it is left with an exception."""

    def publish(self, name: str, data: bytes) -> None:
        """Make a file appear, whole and durable, in place of what had its name."""

    def append(self, name: str, data: bytes) -> None:
        """Add to the end of a file, durably; a new one when there is none."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read, seekable. Raises `FileNotFoundError`."""

    def names(self, folder: str) -> list[str]:
        """List the names directly in a folder, sorted; none when there is no such folder."""

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it; nothing happens when it is not there."""


def storage_at(place: str | Path) -> Storage:
    """Return the storage of a folder or an fsspec URL (`file://` is the disk). Raises `OSError`, `ImportError` without the URL's driver."""
    text = str(place)
    if text.startswith("file://"):
        return Disk(Path(text.removeprefix("file://")))
    return ObjectStore(text) if "://" in text else Disk(Path(text))


class Disk:
    """Stores files in a folder. Files and the folders that name them are synced, so what was written survives a power cut.

    The folder is made when something is first written. When it was there and is gone, writing raises `FileNotFoundError`; after
    `GONE_SECONDS` of that it is made anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, str(folder)
        self._was_there = folder.is_dir()
        self._missed_at: float | None = None

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        path = self.folder / name
        self._make_folder(path.parent)
        try:
            with path.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
        _sync_folder(path.parent)

    def publish(self, name: str, data: bytes) -> None:
        path = self.folder / name
        draft = path.with_name(f".{path.name}.draft")
        with self.create(str(draft.relative_to(self.folder))) as file:
            file.write(data)
        os.replace(draft, path)
        _sync_folder(path.parent)

    def append(self, name: str, data: bytes) -> None:
        path = self.folder / name
        self._make_folder(path.parent)
        with path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)

    def open(self, name: str) -> IO[bytes]:
        return (self.folder / name).open("rb")

    def names(self, folder: str) -> list[str]:
        with suppress(FileNotFoundError, NotADirectoryError):
            return sorted(os.listdir(self.folder / folder))
        return []

    def remove(self, name: str) -> None:
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        if self.folder.is_dir():
            self._missed_at = None
        elif self._was_there:
            self._missed_at = self._missed_at or time.monotonic()
            if time.monotonic() - self._missed_at < GONE_SECONDS:
                raise FileNotFoundError(errno.ENOENT, "the folder of the attempt is gone", str(self.folder))
        _make_folder(folder)
        self._was_there = True


class ObjectStore:
    """Stores files in any fsspec file system, used as an object store: a file appears when it is closed, nothing is renamed."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        self._system: Any
        self._system, root = fsspec.core.url_to_fs(self.url)
        self._root = root.rstrip("/")

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        path = self._path(name)
        self._system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        try:
            with self._system.open(path, "wb") as file:
                yield file
        except BaseException:
            with suppress(OSError):
                self._system.rm_file(path)
            raise

    def publish(self, name: str, data: bytes) -> None:
        path = self._path(name)
        self._system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        self._system.pipe_file(path, data)

    def append(self, name: str, data: bytes) -> None:
        before = b""
        with suppress(FileNotFoundError), self.open(name) as file:
            before = file.read()
        self.publish(name, before + data)

    def open(self, name: str) -> IO[bytes]:
        return self._system.open(self._path(name), "rb")

    def names(self, folder: str) -> list[str]:
        path = self._path(folder)
        self._system.invalidate_cache(path)  # another process may have written since
        with suppress(FileNotFoundError, NotADirectoryError):
            return sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in self._system.ls(path, detail=False))
        return []

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._system.rm(self._path(name), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _make_folder(folder: Path) -> None:
    """Make a folder with every folder on the way, and sync those that name them."""
    missing = [folder]
    while not missing[-1].exists():
        missing.append(missing[-1].parent)
    folder.mkdir(parents=True, exist_ok=True)
    for parent in missing[1:]:
        _sync_folder(parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
