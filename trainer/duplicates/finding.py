"""`find`: the images of one split that are duplicates of images in another, or in the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple, get_args

import numpy as np

from scaling.extras import needed_for
from trainer.duplicates import candidates
from trainer.duplicates.candidates import Exact
from trainer.duplicates.deciding import decided
from trainer.duplicates.nearest import Pairs
from trainer.duplicates.orientation import ORIENTATIONS
from trainer.duplicates.prints import Prints, prints
from trainer.duplicates.splits import Split
from trainer.duplicates.vectors import Embedding, vectors

__all__ = ["RULES", "Found", "Pair", "Searched", "find"]

Rule = Literal["exact", "perceptual", "embedding"]
RULES: tuple[Rule, ...] = get_args(Rule)


class Pair(NamedTuple):
    """Says that image `a` of one split and image `b` of the other are duplicates.

    rule: what proposed the pair. distance: between the aligned pixels, 0 where all agree; see `comparison`. orientation: of
    `ORIENTATIONS`, in which one looks like the other.
    """

    a: int
    b: int
    rule: Rule
    distance: float
    orientation: str


@dataclass(frozen=True)
class Searched:
    """Says how far a search is: `done` of `total` in the part of it that is called `what`."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Found:
    """Holds the duplicates of two splits, or of one with itself: `a` is `b` then, and in each pair `a` is the earlier image.

    pairs: by number. Of images of `b` with equal pixels all are named beside the first image of `a` that has these pixels, and the first one
        beside its further copies and near-copies. Within one split the first is named.
    unreadable_a, unreadable_b: (id, reason) of images that were not compared.
    """

    a: Split
    b: Split
    pairs: tuple[Pair, ...]
    unreadable_a: tuple[tuple[str, str], ...]
    unreadable_b: tuple[tuple[str, str], ...]

    @property
    def is_within(self) -> bool:
        """Say whether one split was compared with itself."""
        return self.a is self.b

    @cached_property
    def by_rule(self) -> dict[Rule, int]:
        """Count the pairs that each rule proposed."""
        return {rule: sum(pair.rule == rule for pair in self.pairs) for rule in RULES}

    @cached_property
    def conflicts(self) -> tuple[Pair, ...]:
        """Return the pairs whose labels differ, as far as labels of both splits mean the same: of one data set, or by name."""
        return tuple(pair for pair in self.pairs if self._differ(self.a.label(pair.a), self.b.label(pair.b)))

    def _differ(self, label: str | int | None, other: str | int | None) -> bool:
        if label is None or other is None:
            return False
        means_the_same = self.a.fingerprint == self.b.fingerprint or (isinstance(label, str) and isinstance(other, str))
        return means_the_same and label != other


def find(
    a: Split,
    b: Split | None,
    *,
    work: Path,
    workers: int,
    embedding: Embedding | None = None,
    on_progress: Callable[[Searched], None] | None = None,
) -> Found:
    """Find the images of `a` that are duplicates of images in `b`, exactly or nearly; b None: of images in `a` itself.

    Equal pixels, hashes and features propose pairs, the comparison of aligned pixels decides. Hashes are of images from 64 px up.

    Args:
        work: folder of what is computed of each image, 5 to 10 kB, and of each pair. A search that was killed goes on from there.
        workers: processes that read images; 0 reads them in this one.
        embedding: in place of the fixed features; it is called in this process.
        on_progress: told how far the search is.

    Raises:
        DataError: what the images lie on fails. An image that cannot be read is counted, and not compared.
        MissingExtra: the extra `dedup` is not installed.
        UsageError: the examples cannot be sent to worker processes.
    """
    told = on_progress or (lambda searched: None)
    other = a if b is None else b
    printed = prints(a, work, workers=workers, on_done=_counting(f"reading {a}", len(a), told))
    printed_other = (
        printed if b is None else prints(other, work, workers=workers, on_done=_counting(f"reading {other}", len(other), told))
    )
    others = None if b is None else printed_other
    joined = candidates.exact(printed, others)

    proposed: list[tuple[Rule, Pairs]] = []
    blocks = max(1, math.ceil(len(joined.other_firsts) / candidates.BLOCK))
    counting = _counting("looking up hashes", blocks * len(joined.firsts), told)
    proposed.append(("perceptual", candidates.by_hashes(printed, others, joined, counting)))
    counting(blocks * len(joined.firsts))  # images without a hash were not looked up
    features = _features()
    counting = _counting(f"features of {a}", len(a), told)
    asked = vectors(a, printed, work, embedding, orientations=1, workers=workers, on_done=counting)
    counting = _counting(f"features of {other}, turned", len(other), told)
    indexed = vectors(other, printed_other, work, embedding, orientations=8, workers=workers, on_done=counting)
    counting = _counting("looking up features", 8 * blocks * len(joined.firsts), told)
    close = candidates.by_features(
        asked,
        indexed,
        joined,
        is_within=b is None,
        neighbours=features.NEIGHBOURS,
        least_similarity=features.LEAST_SIMILARITY,
        on_done=counting,
    )
    counting(8 * blocks * len(joined.firsts))
    proposed.append(("embedding", close))

    pairs, rules = _united(proposed, joined)
    sides = (pairs[:, ::-1] if b is None else pairs) if len(pairs) else pairs
    verdict = decided(printed, printed_other, sides, work, workers=workers, on_done=_counting("comparing pixels", len(pairs), told))
    chosen = np.flatnonzero(verdict["is_duplicate"])
    near = [
        Pair(one, two, rules[row], distance, ORIENTATIONS[turn])
        for row, (one, two), distance, turn in zip(
            chosen.tolist(),
            sides[chosen].tolist(),
            verdict["distance"][chosen].tolist(),
            verdict["orientation"][chosen].tolist(),
            strict=True,
        )
    ]
    same = [Pair(*((two, one) if b is None else (one, two)), "exact", 0.0, ORIENTATIONS[0]) for one, two in joined.pairs.tolist()]
    found = [*same, *near, *(() if b is None else [*_of_copies(near, joined), *_with_copies(same, joined)])]
    return Found(a, other, tuple(sorted(found)), _named(a, printed), _named(other, printed_other))


def _united(proposed: list[tuple[Rule, Pairs]], joined: Exact) -> tuple[np.ndarray, list[Rule]]:
    """Return each pair (question, other) once [n, 2], sorted, and the rule that proposed it first. Equal pixels need no comparison."""
    pairs = np.concatenate([np.stack([found.question, found.other], axis=1) for _, found in proposed])
    number = np.concatenate([np.full(len(found.question), place) for place, (_, found) in enumerate(proposed)])
    order = np.lexsort((number, pairs[:, 1], pairs[:, 0]))
    pairs, number = pairs[order], number[order]
    new = np.ones(len(pairs), bool)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    pairs, number = pairs[new], number[new]
    if len(joined.pairs) and len(pairs):
        places = np.minimum(np.searchsorted(joined.pairs[:, 0], pairs[:, 0]), len(joined.pairs) - 1)
        differ = (joined.pairs[places] != pairs).any(axis=1)
        pairs, number = pairs[differ], number[differ]
    return pairs, [proposed[place][0] for place in number.tolist()]


def _of_copies(near: list[Pair], joined: Exact) -> list[Pair]:
    """Return for each further copy of an image of `a` the nearest pair of the first one: only that was compared."""
    nearest: dict[int, Pair] = {}
    for pair in near:
        if pair.a not in nearest or pair.distance < nearest[pair.a].distance:
            nearest[pair.a] = pair
    return [nearest[first]._replace(a=copy) for copy, first in joined.copies.tolist() if first in nearest]


def _with_copies(same: list[Pair], joined: Exact) -> list[Pair]:
    """Return for the first image of `a` with some pixels a pair with each further image of `b` that has them: their labels may differ."""
    own = {copy for copy, _ in joined.copies.tolist()}
    first_with = {pair.b: pair for pair in reversed(same) if pair.a not in own}
    return [first_with[first]._replace(b=copy) for copy, first in joined.other_copies.tolist() if first in first_with]


def _named(split: Split, printed: Prints) -> tuple[tuple[str, str], ...]:
    return tuple((split.id(index), reason) for index, reason in printed.unreadable)


def _counting(what: str, total: int, told: Callable[[Searched], None]) -> Callable[[int], None]:
    """Return a function that is told of what was done, and tells how far that is."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done = min(done + more, total)
        told(Searched(what, done, total))

    return count


@cache
def _features() -> ModuleType:
    with needed_for("features of images need"):
        from trainer.duplicates import features
    return features
