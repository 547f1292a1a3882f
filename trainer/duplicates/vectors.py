"""Features of each image of a split, kept as its prints are: those of `features`, of its small picture, or a network's, of its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from scaling.extras import needed_for
from trainer.data.dataset import Examples
from trainer.duplicates.orientation import oriented
from trainer.duplicates.pixels import Unreadable, read, shown
from trainer.duplicates.prints import SHARD_IMAGES, Prints, full_scale_of, identity, parts_of
from trainer.duplicates.shards import Columns, Shard, computed, key_of, loaded
from trainer.duplicates.splits import Split

__all__ = ["Embedding", "VectorShard", "Vectors", "vectors"]

VERSION = 1
_AT_ONCE = 64
"""Images whose pixels are held for one call of an embedding."""


class Embedding(Protocol):
    """Gives features of images. name: what tells them from others; part of the name of what is kept."""

    @property
    def name(self) -> str: ...

    def __call__(self, images: Sequence[np.ndarray], /) -> np.ndarray:
        """Return unit vectors [n, d] float32 of images uint8 [H, W, 1 or 3] of any size; zeros for one without features."""


class VectorShard(NamedTuple):
    """Holds the features of n images, from `first` on, in o orientations: [n, o, d] float16. Those of unreadable images are zeros."""

    first: int
    vectors: np.ndarray


@dataclass(frozen=True)
class Vectors:
    """Holds the features of a split, on disk."""

    files: tuple[Path, ...]
    firsts: tuple[int, ...]

    def __iter__(self) -> Iterator[VectorShard]:
        """Read one shard after another."""
        for first, file in zip(self.firsts, self.files, strict=True):
            yield VectorShard(first, loaded(file)["vectors"])


@dataclass(frozen=True)
class _Examples:
    """Holds of a split what worker processes need."""

    examples: Examples
    channels: int
    full_scale: float


@dataclass(frozen=True)
class _Embedding:
    """Computes the features of a range of images."""

    split: _Examples
    prints: Prints
    embedding: Embedding | None
    orientations: int

    def __call__(self, images: range) -> Columns:
        rows: list[np.ndarray] = []
        for first in range(0, len(images), _AT_ONCE):
            some = images[first : first + _AT_ONCE]
            pixels = {row: found for row, index in enumerate(some) if (found := self._read(index)) is not None}
            turned = [np.ascontiguousarray(oriented(image, k)) for image in pixels.values() for k in range(self.orientations)]
            if not turned:
                rows.append(np.zeros((len(some), self.orientations, 0), np.float16))
                continue
            found = np.asarray(_fixed(turned) if self.embedding is None else self.embedding(turned), np.float16)
            values = np.zeros((len(some), self.orientations, found.shape[-1]), np.float16)
            values[list(pixels)] = found.reshape(len(pixels), self.orientations, -1)
            rows.append(values)
        longest = max(values.shape[2] for values in rows)
        whole = [values if values.shape[2] else np.zeros((*values.shape[:2], longest), np.float16) for values in rows]
        return {"vectors": np.concatenate(whole)}

    def _read(self, index: int) -> np.ndarray | None:
        """Return what features are taken of, uint8 [H, W, C]; None where the image cannot be read."""
        if self.embedding is None:
            small = self.prints.small(index)
            return small.luma[..., None] if small.height else None
        try:
            return shown(read(self.split.examples, index, self.split.channels), self.split.full_scale)
        except Unreadable:
            return None


def _fixed(images: Sequence[np.ndarray]) -> np.ndarray:
    features = _features()
    return np.stack([features(image) for image in images])


def vectors(
    split: Split,
    prints: Prints,
    work: Path,
    embedding: Embedding | None,
    *,
    orientations: int,
    workers: int = 0,
    on_done: Callable[[int], None] = lambda images: None,
    shard_images: int = SHARD_IMAGES,
) -> Vectors:
    """Compute the features of a split, or take those that are in the folder `work`.

    embedding: None takes the features of `trainer.duplicates.features`; another is called in this process, since it may hold a device.
    orientations: 8, or 1 for the images as they are.
    Raises `DataError`, `MissingExtra`, `UsageError`.
    """
    ranges = parts_of(len(split), shard_images)
    told = [VERSION, "" if embedding is None else embedding.name, orientations]
    shards = [Shard(f"{key_of([*told, *identity(split, part)])}.npz", part, len(part)) for part in ranges]
    seen = _Examples(split.examples, split.channels, full_scale_of(split.examples))
    made = _Embedding(seen, prints, embedding, orientations)
    files = computed(work / "features", shards, made, workers=workers if embedding is None else 0, on_done=on_done)
    return Vectors(tuple(files), tuple(part.start for part in ranges))


@cache
def _features() -> Callable[[np.ndarray], np.ndarray]:
    with needed_for("features of images need"):
        from trainer.duplicates.features import features
    return features
