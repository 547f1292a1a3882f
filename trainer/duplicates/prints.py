"""What is kept of each image to find it again: a digest of its pixels, perceptual hashes, size; or why it cannot be read.

`prints` computes it for a split by worker processes, a shard of images at a time. A shard's file is named by all that it depends on, so a
search that was killed goes on, and an image file that was written anew is read anew. An image takes about 300 bytes on disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainer.data.dataset import Examples
from trainer.duplicates.hashing import BITS, hashes
from trainer.duplicates.pixels import DIGEST_BYTES, Unreadable, digest, read, shown
from trainer.duplicates.shards import Columns, Shard, computed, key_of, loaded
from trainer.duplicates.splits import Split
from trainer.duplicates.stamps import stamps

__all__ = ["SHARD_IMAGES", "PrintShard", "Prints", "full_scale_of", "parts_of", "prints"]

VERSION = 1
"""Raised when what is computed of an image changes."""
SHARD_IMAGES = 1024
"""Images that a kill costs, a worker."""


class PrintShard(NamedTuple):
    """Holds the prints of n images, from `first` on.

    readable: [n] bool; the rows of others are zeros. digests: [n, 16] uint8. hashes: [n, 8, 32] uint8, and quality: [n] uint8, as
    `hashing.hashes`. size: [n, 2] int32, height and width in pixels.
    """

    first: int
    readable: np.ndarray
    digests: np.ndarray
    hashes: np.ndarray
    quality: np.ndarray
    size: np.ndarray


@dataclass(frozen=True)
class Prints:
    """Holds the prints of a split, on disk. unreadable: (number, reason) of each image that has none. least_side_px: of all others."""

    images: int
    files: tuple[Path, ...]
    firsts: tuple[int, ...]
    unreadable: tuple[tuple[int, str], ...]
    least_side_px: int

    def __iter__(self) -> Iterator[PrintShard]:
        """Read one shard after another."""
        for first, file in zip(self.firsts, self.files, strict=True):
            columns = loaded(file)
            yield PrintShard(first, *(columns[name] for name in PrintShard._fields[1:]))

    def digests(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers [n] of the readable images, and their digests as pairs of words [n, 2] uint64."""
        numbers = [shard.first + np.flatnonzero(shard.readable) for shard in self]
        rows = [shard.digests[shard.readable].view(np.uint64) for shard in self]
        return np.concatenate(numbers or [np.empty(0, np.int64)]), np.concatenate(rows or [np.empty((0, 2), np.uint64)])


@dataclass(frozen=True)
class _Printing:
    """Computes the prints of a range of images."""

    examples: Examples
    channels: int
    full_scale: float

    def __call__(self, images: range) -> Columns:
        count = len(images)
        columns: Columns = {
            "readable": np.zeros(count, bool),
            "digests": np.zeros((count, DIGEST_BYTES), np.uint8),
            "hashes": np.zeros((count, 8, BITS // 8), np.uint8),
            "quality": np.zeros(count, np.uint8),
            "size": np.zeros((count, 2), np.int32),
        }
        reasons: dict[int, str] = {}
        for row, index in enumerate(images):
            try:
                pixels = read(self.examples, index, self.channels)
            except Unreadable as error:
                reasons[index] = str(error)
                continue
            columns["readable"][row] = True
            columns["size"][row] = pixels.shape[:2]
            columns["digests"][row] = np.frombuffer(digest(pixels, self.full_scale), np.uint8)
            columns["hashes"][row], columns["quality"][row] = hashes(shown(pixels, self.full_scale))
        return columns | {"reasons": np.frombuffer(json.dumps(reasons).encode(), np.uint8)}


def prints(
    split: Split,
    work: Path,
    *,
    workers: int = 0,
    on_done: Callable[[int], None] = lambda images: None,
    shard_images: int = SHARD_IMAGES,
) -> Prints:
    """Compute the prints of a split, or take those that are in the folder `work`. Raises `DataError`, `MissingExtra`, `UsageError`."""
    ranges = parts_of(len(split), shard_images)
    shards = [Shard(f"{key_of([VERSION, *identity(split, part)])}.npz", part, len(part)) for part in ranges]
    printing = _Printing(split.examples, split.channels, full_scale_of(split.examples))
    files = computed(work / "prints", shards, printing, workers=workers, on_done=on_done)
    unreadable: dict[int, str] = {}
    least = np.iinfo(np.int32).max
    for file in files:
        columns = loaded(file)
        unreadable |= {int(index): reason for index, reason in json.loads(columns["reasons"].tobytes()).items()}
        least = int(columns["size"][columns["readable"]].min(initial=least))
    return Prints(len(split), tuple(files), tuple(part.start for part in ranges), tuple(sorted(unreadable.items())), least)


def identity(split: Split, images: range) -> list[object]:
    """Return what tells these images from all others that a folder may keep something of."""
    return [
        split.fingerprint,
        split.name,
        len(split),
        split.channels,
        full_scale_of(split.examples),
        images,
        stamps(split.examples, images),
    ]


def parts_of(images: int, size: int) -> list[range]:
    """Divide the numbers of so many images into ranges of `size`."""
    return [range(first, min(first + size, images)) for first in range(0, images, size)]


def full_scale_of(examples: Examples) -> float:
    """Return the largest value that a stored pixel of a data set can have."""
    return float(getattr(getattr(examples, "normalization", None), "full_scale", 255.0))
