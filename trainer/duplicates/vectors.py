"""Features of each image of a split, kept as its prints are: by the fixed features of `features`, or by a network."""

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
from trainer.duplicates.prints import SHARD_IMAGES, full_scale_of, identity, parts_of
from trainer.duplicates.shards import Columns, Shard, computed, key_of, loaded
from trainer.duplicates.splits import Split

__all__ = ["Embedding", "FixedFeatures", "VectorShard", "Vectors", "vectors"]

VERSION = 1
_AT_ONCE = 64
"""Images whose pixels are held for one call of an embedding."""


class Embedding(Protocol):
    """Gives features of images. name: what tells them from others; part of the name of what is kept."""

    @property
    def name(self) -> str: ...

    def __call__(self, images: Sequence[np.ndarray], /) -> np.ndarray:
        """Return unit vectors [n, d] float32 of images uint8 [H, W, 1 or 3] of any size; zeros for one without features."""


class FixedFeatures:
    """Gives the features of `trainer.duplicates.features`."""

    name = "fixed"

    def __call__(self, images: Sequence[np.ndarray], /) -> np.ndarray:
        features = _features()
        return np.stack([features(image) for image in images])


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
class _Embedding:
    """Computes the features of a range of images."""

    examples: Examples
    channels: int
    full_scale: float
    embedding: Embedding
    orientations: int

    def __call__(self, images: range) -> Columns:
        rows: list[np.ndarray] = []
        for first in range(0, len(images), _AT_ONCE):
            some = images[first : first + _AT_ONCE]
            pixels = {
                row: shown(found, self.full_scale) for row, index in enumerate(some) if (found := self._read(index)) is not None
            }
            turned = [np.ascontiguousarray(oriented(image, k)) for image in pixels.values() for k in range(self.orientations)]
            if not turned:
                rows.append(np.zeros((len(some), self.orientations, 0), np.float16))
                continue
            found = np.asarray(self.embedding(turned), np.float16)
            values = np.zeros((len(some), self.orientations, found.shape[-1]), np.float16)
            values[list(pixels)] = found.reshape(len(pixels), self.orientations, -1)
            rows.append(values)
        longest = max(values.shape[2] for values in rows)
        whole = [values if values.shape[2] else np.zeros((*values.shape[:2], longest), np.float16) for values in rows]
        return {"vectors": np.concatenate(whole)}

    def _read(self, index: int) -> np.ndarray | None:
        try:
            return read(self.examples, index, self.channels)
        except Unreadable:
            return None


def vectors(
    split: Split,
    work: Path,
    embedding: Embedding,
    *,
    orientations: int,
    workers: int = 0,
    on_done: Callable[[int], None] = lambda images: None,
    shard_images: int = SHARD_IMAGES,
) -> Vectors:
    """Compute the features of a split, or take those that are in the folder `work`.

    orientations: 8, or 1 for the images as they are. workers: 0 for an embedding that holds a device.
    Raises `DataError`, `MissingExtra`, `UsageError`.
    """
    ranges = parts_of(len(split), shard_images)
    told = [VERSION, embedding.name, orientations]
    shards = [Shard(f"{key_of([*told, *identity(split, part)])}.npz", part, len(part)) for part in ranges]
    made = _Embedding(split.examples, split.channels, full_scale_of(split.examples), embedding, orientations)
    files = computed(work / "features", shards, made, workers=workers, on_done=on_done)
    return Vectors(tuple(files), tuple(part.start for part in ranges))


@cache
def _features() -> Callable[[np.ndarray], np.ndarray]:
    with needed_for("features of small images need"):
        from trainer.duplicates.features import features
    return features
