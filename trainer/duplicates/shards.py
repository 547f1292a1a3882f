"""Work that survives a kill: each part of it leaves a file, which appears whole or not at all, and is not done again."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from scaling.errors import DataError
from trainer.duplicates.worker import done_by

__all__ = ["Columns", "Shard", "computed", "key_of", "loaded", "rows_of"]

Columns = dict[str, np.ndarray]
_DRAFTS_LIVE_SECONDS = 86_400.0


@dataclass(frozen=True)
class Shard:
    """Names a part of some work. name: of its file, made of all that its content depends on. task: what is done. weight: images in it."""

    name: str
    task: Any
    weight: int


@dataclass(frozen=True)
class _Kept:
    """Does a shard's work and keeps what comes of it."""

    folder: str
    work: Callable[[Any], Columns]
    mapped: str | None

    def __call__(self, shard: Shard) -> None:
        columns = self.work(shard.task)
        if self.mapped is not None:
            rows = columns.pop(self.mapped)
            self._write(beside(Path(shard.name)).name, lambda file: np.save(file, rows))
        self._write(shard.name, lambda file: np.savez(file, **columns))  # type: ignore[arg-type]

    def _write(self, name: str, write: Callable[[BinaryIO], None]) -> None:
        draft = Path(self.folder, f".{name}.{os.getpid()}")
        with draft.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(Path(self.folder, name))


def computed(
    folder: Path,
    shards: Sequence[Shard],
    work: Callable[[Any], Columns],
    *,
    workers: int = 0,
    on_done: Callable[[int], None] = lambda weight: None,
    mapped: str | None = None,
) -> list[Path]:
    """Return the file of each shard, after those that are not there yet were computed.

    mapped: the column that gets a file of its own, `beside` the others, of which single rows are read later.
    on_done: told the weights of shards that are done: at once of all that were there, then of each. Raises as `done_by`, and `DataError`
    where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        there = set(os.listdir(folder))
        missing = [shard for shard in shards if shard.name not in there]
        on_done(sum(shard.weight for shard in shards if shard.name in there))
        for number, _ in done_by(_Kept(str(folder), work, mapped), missing, workers):
            on_done(missing[number].weight)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written: {error}", hint="--work names another folder; what is there is kept"
        ) from error
    return [folder / shard.name for shard in shards]


def loaded(path: Path) -> Columns:
    """Read a shard's columns. Raises `DataError` for a file that is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def beside(path: Path) -> Path:
    """Return the file of a shard's column that is read by single rows."""
    return path.with_suffix(".npy")


def rows_of(path: Path) -> np.ndarray:
    """Map the column of a shard that is read by single rows. Raises `DataError` for a file that is damaged."""
    try:
        return np.asarray(np.load(beside(path), mmap_mode="r"))
    except (OSError, EOFError, ValueError) as error:
        raise _damaged(beside(path), error) from error


def key_of(parts: Iterable[object]) -> str:
    """Hash what a shard depends on to 16 hex digits."""
    hashed = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else str(part).encode("utf-8", "backslashreplace")
        hashed.update(f"{len(content)}:".encode())
        hashed.update(content)
    return hashed.hexdigest()[:16]


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is damaged: {error}", hint=f"remove {path.stem}.*, and run it again: the others are kept")


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half-written, once nobody can be at it any more."""
    for draft in folder.glob(".*"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > _DRAFTS_LIVE_SECONDS:
                draft.unlink()
