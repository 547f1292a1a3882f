"""What is kept of each image to find it again: a digest of its pixels, perceptual hashes, and the small picture that is compared.

`prints` computes it for a split by worker processes, a shard of images at a time. A shard's file is named by all that it depends on, so a
search that was killed goes on, and an image file that was written anew is read anew. An image takes 4.7 kB on disk, and 1.4 kB at 28 × 28 px.
Since the small pictures are kept, no image is decoded twice, however many candidates it has.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scaling.extras import needed_for
from trainer.data.dataset import Examples
from trainer.duplicates.hashing import BITS, hashes
from trainer.duplicates.pixels import DIGEST_BYTES, Unreadable, digest, read, shown
from trainer.duplicates.shards import Columns, Shard, computed, key_of, loaded, rows_of
from trainer.duplicates.splits import Split
from trainer.duplicates.stamps import stamps

if TYPE_CHECKING:
    from trainer.duplicates.comparison import Prepared

__all__ = ["SHARD_IMAGES", "PrintShard", "Prints", "full_scale_of", "identity", "parts_of", "prints"]

VERSION = 2
"""Raised when what is computed of an image changes."""
SHARD_IMAGES = 1024
"""Images that a kill costs, a worker."""
_SMALL = "small"
_MAPPED = 4096
"""Shards whose small pictures are mapped at once, 5 MB each."""


class PrintShard(NamedTuple):
    """Holds the prints of n images, from `first` on.

    readable: [n] bool; the rows of others are zeros. digests: [n, 16] uint8. hashes: [n, 8, 32] uint8, and detail: [n] uint8, as
    `hashing.hashes`.
    """

    first: int
    readable: np.ndarray
    digests: np.ndarray
    hashes: np.ndarray
    detail: np.ndarray


@dataclass(frozen=True)
class Prints:
    """Holds the prints of a split, on disk: those from image `firsts[k]` on in `files[k]`. unreadable: (number, reason) of each image without."""

    files: tuple[Path, ...]
    firsts: tuple[int, ...]
    unreadable: tuple[tuple[int, str], ...]

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

    def small(self, index: int) -> Prepared:
        """Return the small picture of a readable image. Its shard is mapped, not read."""
        place = bisect_right(self.firsts, index) - 1
        return _prepared(_rows(self.files[place])[index - self.firsts[place]])


@lru_cache(maxsize=_MAPPED)
def _rows(file: Path) -> np.ndarray:
    return rows_of(file)


@dataclass(frozen=True)
class _Printing:
    """Computes the prints of a range of images."""

    examples: Examples
    channels: int
    full_scale: float

    def __call__(self, images: range) -> Columns:
        count, prepared = len(images), _comparison().prepared
        columns: Columns = {
            "readable": np.zeros(count, bool),
            "digests": np.zeros((count, DIGEST_BYTES), np.uint8),
            "hashes": np.zeros((count, 8, BITS // 8), np.uint8),
            "detail": np.zeros(count, np.uint8),
        }
        reasons: dict[int, str] = {}
        small: dict[int, Prepared] = {}
        for row, index in enumerate(images):
            try:
                pixels = read(self.examples, index, self.channels)
            except Unreadable as error:
                reasons[index] = str(error)
                continue
            small[row] = prepared(shown(pixels, self.full_scale))
            columns["readable"][row] = True
            columns["digests"][row] = np.frombuffer(digest(pixels, self.full_scale), np.uint8)
            columns["hashes"][row], columns["detail"][row] = hashes(small[row].luma)
        return columns | {"reasons": np.frombuffer(json.dumps(reasons).encode(), np.uint8), _SMALL: _stored(small, count)}


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
    files = computed(work / "prints", shards, printing, workers=workers, on_done=on_done, mapped=_SMALL)
    unreadable: dict[int, str] = {}
    for file in files:
        unreadable |= {int(index): reason for index, reason in json.loads(loaded(file)["reasons"].tobytes()).items()}
    return Prints(tuple(files), tuple(part.start for part in ranges), tuple(sorted(unreadable.items())))


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


def _stored(small: dict[int, Prepared], count: int) -> np.ndarray:
    """Return small pictures as rows of one table, [count]: those that are smaller than the largest stand in its corner."""
    height = max((picture.luma.shape[0] for picture in small.values()), default=0)
    width = max((picture.luma.shape[1] for picture in small.values()), default=0)
    coloured = any(picture.colour is not None for picture in small.values())
    colour = next(picture.colour.shape for picture in small.values() if picture.colour is not None) if coloured else (0,)
    rows = np.zeros(
        count, [("size", "<i4", (2,)), ("luma", "u1", (height, width)), ("is_coloured", "?"), ("colour", "<f2", colour)]
    )
    for row, picture in small.items():
        rows["size"][row] = picture.height, picture.width
        rows["luma"][row, : picture.luma.shape[0], : picture.luma.shape[1]] = picture.luma
        if picture.colour is not None:
            rows["is_coloured"][row], rows["colour"][row] = True, picture.colour
    return rows


def _prepared(row: np.void) -> Prepared:
    height, width = row["size"].tolist()
    luma = np.array(row["luma"][:height, :width])
    return _comparison().Prepared(height, width, luma, np.array(row["colour"]) if row["is_coloured"] else None)


@cache
def _comparison() -> ModuleType:
    with needed_for("the comparison of images needs"):
        from trainer.duplicates import comparison
    return comparison
