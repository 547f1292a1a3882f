"""Decides which candidates are duplicates, by the small pictures that were kept of both images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from scaling.extras import needed_for
from trainer.duplicates.orientation import ORIENTATIONS
from trainer.duplicates.prints import Prints
from trainer.duplicates.shards import Columns, Shard, computed, key_of, loaded

__all__ = ["decided"]

VERSION = 5
"""Raised when `comparison` comes to say something else."""
_SHARD_PAIRS = 1024


@dataclass(frozen=True)
class _Comparing:
    """Compares pairs [n, 2] of images, one of each side."""

    a: Prints
    b: Prints

    def __call__(self, pairs: np.ndarray) -> Columns:
        compare = _comparison().compare
        distance, orientation = np.zeros(len(pairs), np.float32), np.zeros(len(pairs), np.uint8)
        is_duplicate = np.zeros(len(pairs), bool)
        for row, (one, other) in enumerate(pairs.tolist()):
            found = compare(self.a.small(one), self.b.small(other))
            distance[row], is_duplicate[row] = found.distance, found.is_duplicate
            orientation[row] = ORIENTATIONS.index(found.orientation)
        return {"distance": distance, "orientation": orientation, "is_duplicate": is_duplicate}


def decided(
    a: Prints, b: Prints, pairs: np.ndarray, work: Path, *, workers: int = 0, on_done: Callable[[int], None] = lambda pairs: None
) -> Columns:
    """Compare pairs [n, 2] of an image of `a` and one of `b`, by worker processes, a shard at a time.

    Returns `distance` [n] float32, `orientation` [n] uint8, a place in `ORIENTATIONS`, and `is_duplicate` [n] bool.
    Raises `DataError`, `MissingExtra`.
    """
    content = key_of(path.name for path in (*a.files, *b.files))
    parts = [pairs[first : first + _SHARD_PAIRS] for first in range(0, len(pairs), _SHARD_PAIRS)]
    shards = [Shard(f"{key_of([VERSION, content, np.ascontiguousarray(part).tobytes()])}.npz", part, len(part)) for part in parts]
    files = computed(work / "compared", shards, _Comparing(a, b), workers=workers, on_done=on_done)
    empty: Columns = {"distance": np.empty(0, np.float32), "orientation": np.empty(0, np.uint8), "is_duplicate": np.empty(0, bool)}
    columns = [empty, *map(loaded, files)]
    return {name: np.concatenate([part[name] for part in columns]) for name in empty}


@cache
def _comparison() -> ModuleType:
    with needed_for("the comparison of images needs"):
        from trainer.duplicates import comparison
    return comparison
