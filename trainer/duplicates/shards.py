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
from typing import Any

import numpy as np

from scaling.errors import DataError
from trainer.duplicates.worker import done_by

__all__ = ["Columns", "Shard", "computed", "key_of", "loaded"]

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

    def __call__(self, shard: Shard) -> None:
        columns = self.work(shard.task)
        draft = Path(self.folder, f".{shard.name}.{os.getpid()}")
        with draft.open("wb") as file:
            np.savez(file, **columns)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        draft.replace(Path(self.folder, shard.name))


def computed(
    folder: Path,
    shards: Sequence[Shard],
    work: Callable[[Any], Columns],
    *,
    workers: int = 0,
    on_done: Callable[[int], None] = lambda weight: None,
) -> list[Path]:
    """Return the file of each shard, after those that are not there yet were computed.

    on_done: told the weights of shards that are done: at once of all that were there, then of each. Raises as `done_by`, and `DataError`
    where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        there = set(os.listdir(folder))
        missing = [shard for shard in shards if shard.name not in there]
        on_done(sum(shard.weight for shard in shards if shard.name in there))
        for number, _ in done_by(_Kept(str(folder), work), missing, workers):
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
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}", hint="remove it, and run it again: the others are kept") from error


def key_of(parts: Iterable[object]) -> str:
    """Hash what a shard depends on to 16 hex digits."""
    hashed = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else str(part).encode("utf-8", "backslashreplace")
        hashed.update(f"{len(content)}:".encode())
        hashed.update(content)
    return hashed.hexdigest()[:16]


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half-written, once nobody can be at it any more."""
    for draft in folder.glob(".*"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > _DRAFTS_LIVE_SECONDS:
                draft.unlink()
