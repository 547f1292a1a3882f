"""Decides which candidates are duplicates: both images are read again, and their pixels compared."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.extras import needed_for
from trainer.data.dataset import Examples
from trainer.duplicates.orientation import ORIENTATIONS
from trainer.duplicates.pixels import Unreadable, read, shown
from trainer.duplicates.prints import full_scale_of
from trainer.duplicates.shards import Columns, Shard, computed, key_of, loaded
from trainer.duplicates.splits import Split

if TYPE_CHECKING:
    from trainer.duplicates.comparison import Prepared

__all__ = ["decided"]

VERSION = 1
"""Raised when `comparison` comes to say something else."""
_SHARD_PAIRS = 1024
_REMEMBERED = 2048
"""Prepared images that a worker remembers, a few kB each: those of one question follow each other, its candidates may come again."""


class _Comparing:
    """Compares pairs [n, 2] of images, one of each side."""

    def __init__(self, a: Split, b: Split) -> None:
        self._sides: tuple[tuple[Examples, int, float], ...] = tuple(
            (split.examples, split.channels, full_scale_of(split.examples)) for split in (a, b)
        )
        self._is_one = a is b
        self._remembered: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_remembered": OrderedDict()}

    def __call__(self, pairs: np.ndarray) -> Columns:
        compare = _comparison().compare
        distance = np.full(len(pairs), np.inf, np.float32)
        orientation, is_duplicate = np.zeros(len(pairs), np.uint8), np.zeros(len(pairs), bool)
        for row, (one, other) in enumerate(pairs.tolist()):
            both = self._prepared(0, one), self._prepared(0 if self._is_one else 1, other)
            if both[0] is None or both[1] is None:
                continue  # it was there before, and is gone: of what is left there is no pair
            found = compare(*both)
            distance[row], is_duplicate[row] = found.distance, found.is_duplicate
            orientation[row] = ORIENTATIONS.index(found.orientation)
        return {"distance": distance, "orientation": orientation, "is_duplicate": is_duplicate}

    def _prepared(self, side: int, index: int) -> Prepared | None:
        place = side, index
        if place in self._remembered:
            self._remembered.move_to_end(place)
        else:
            examples, channels, full_scale = self._sides[side]
            try:
                self._remembered[place] = _comparison().prepared(shown(read(examples, index, channels), full_scale))
            except Unreadable:
                self._remembered[place] = None
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        found: Prepared | None = self._remembered[place]
        return found


def decided(
    a: Split,
    b: Split,
    pairs: np.ndarray,
    work: Path,
    *,
    content: object,
    workers: int = 0,
    on_done: Callable[[int], None] = lambda pairs: None,
) -> Columns:
    """Compare pairs [n, 2] of an image of `a` and one of `b`, by worker processes, a shard at a time.

    content: what tells the images of both splits from others. Returns `distance` [n] float32, `orientation` [n] uint8, a place in
    `ORIENTATIONS`, and `is_duplicate` [n] bool. Raises `DataError`, `MissingExtra`, `UsageError`.
    """
    parts = [pairs[first : first + _SHARD_PAIRS] for first in range(0, len(pairs), _SHARD_PAIRS)]
    told = [VERSION, content]
    shards = [Shard(f"{key_of([*told, np.ascontiguousarray(part).tobytes()])}.npz", part, len(part)) for part in parts]
    files = computed(work / "compared", shards, _Comparing(a, b), workers=workers, on_done=on_done)
    empty: Columns = {"distance": np.empty(0, np.float32), "orientation": np.empty(0, np.uint8), "is_duplicate": np.empty(0, bool)}
    columns = [empty, *map(loaded, files)]
    return {name: np.concatenate([part[name] for part in columns]) for name in empty}


@cache
def _comparison() -> ModuleType:
    with needed_for("the comparison of images needs"):
        from trainer.duplicates import comparison
    return comparison
