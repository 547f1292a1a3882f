"""Pairs of images that may be duplicates: the same digest, hashes that differ in few bits, or features that lie close.

Of two splits, each image of the first is a question, and the second is indexed, in blocks, so that memory is bounded whatever the sizes.
Within one split, the later image of a pair is the question, since it is the one that is left out.

Copies are looked at once: only the first image of each digest takes part beyond the exact rule. And an image is compared with its
`MOST` nearest candidates of either kind, so that a thousand near-copies of one picture take time in proportion to a thousand, not to its square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from trainer.duplicates.feature_index import FeatureIndex
from trainer.duplicates.hash_index import HashIndex
from trainer.duplicates.hashing import LEAST_DETAIL
from trainer.duplicates.nearest import Nearest, Pairs
from trainer.duplicates.prints import Prints
from trainer.duplicates.vectors import Vectors

__all__ = ["BLOCK", "MOST", "RADIUS_BITS", "Exact", "by_features", "by_hashes", "exact"]

MOST = 32
"""Candidates of an image that are compared with it, the nearest ones."""
RADIUS_BITS = 40
"""Bits in which hashes of candidates differ at most; of 256, strangers differ in about 128."""
BLOCK = 2**17
"""Images that are indexed at once: some 400 MB."""
_QUERIES = 2**16

Told = Callable[[int], None]


@dataclass(frozen=True)
class Exact:
    """Says which images have equal pixels.

    pairs: [n, 2] int64, an image that is a question and the first one with its pixels. copies: [m, 2] int64, an image of the first split
    and the first of that split with its pixels: what is found of the one holds of the other. firsts, other_firsts: numbers of the images
    that take part beyond this rule, of either split. other_copies: as `copies`, of the second split.
    """

    pairs: np.ndarray
    copies: np.ndarray
    other_copies: np.ndarray
    firsts: np.ndarray
    other_firsts: np.ndarray


def exact(prints: Prints, others: Prints | None) -> Exact:
    """Join two splits by digests, or one with itself. Takes 24 bytes of memory an image, and twice that while it sorts."""
    numbers, digests = prints.digests()
    own = _first_of_each(numbers, digests)
    copies = np.stack([numbers, own], axis=1)[numbers != own]
    firsts = np.unique(own)
    if others is None:
        return Exact(copies, copies, copies, firsts, firsts)
    other_numbers, other_digests = others.digests()
    first = _first_of_each(np.concatenate([other_numbers, numbers]), np.concatenate([other_digests, digests]), len(other_numbers))
    pairs = np.stack([numbers, first[len(other_numbers) :]], axis=1)
    theirs = first[: len(other_numbers)]
    other_copies = np.stack([other_numbers, theirs], axis=1)[other_numbers != theirs]
    return Exact(pairs[pairs[:, 1] >= 0], copies, other_copies, firsts, np.unique(theirs))


def by_hashes(prints: Prints, others: Prints | None, joined: Exact, on_done: Told = lambda images: None) -> Pairs:
    """Find pairs whose hashes differ in at most `RADIUS_BITS`, in any orientation. Away: bits. on_done: told of images of the second split × blocks."""
    kept = Nearest(MOST)
    for numbers, hashes in _blocks(_hashed(others or prints, joined.other_firsts), BLOCK):
        index = HashIndex(hashes.reshape(-1, hashes.shape[-1]))
        for asked, questions in _blocks(_hashed(prints, joined.firsts), _QUERIES):
            earlier = None if others is not None else 8 * np.searchsorted(numbers, asked)
            found = index.search(questions[:, 0], RADIUS_BITS, below=earlier, most=8 * MOST)
            kept.add(asked[found.question], numbers[found.other // 8], found.away)
            on_done(len(asked))
    return kept.result()


def by_features(
    vectors: Vectors,
    others: Vectors,
    joined: Exact,
    *,
    is_within: bool,
    neighbours: int,
    least_similarity: float,
    on_done: Told = lambda images: None,
) -> Pairs:
    """Find the nearest `neighbours` of each image in each of 8 orientations. Away: 1 − cosine.

    vectors: of the images as they are, [n, 1, d] a shard. others: in 8 orientations, [n, 8, d].
    """
    kept = Nearest(MOST)
    for orientation in range(8):
        for numbers, indexed in _blocks(_featured(others, joined.other_firsts, orientation), BLOCK):
            index = FeatureIndex(indexed)
            for asked, questions in _blocks(_featured(vectors, joined.firsts, 0), _QUERIES):
                places, cosines = index.search(questions, neighbours + is_within)
                row, column = np.nonzero((places >= 0) & (cosines >= least_similarity))
                question, other = asked[row], numbers[places[row, column]]
                if is_within:
                    question, other = np.maximum(question, other), np.minimum(question, other)
                differ = question != other if is_within else np.ones(len(other), bool)
                kept.add(question[differ], other[differ], 1 - cosines[row, column][differ])
                on_done(len(asked))
    return kept.result()


def _first_of_each(numbers: np.ndarray, digests: np.ndarray, of: int | None = None) -> np.ndarray:
    """Return for each image the lowest number with its digest [n]; −1 where there is none among the first `of` images."""
    among = len(numbers) if of is None else of
    rows = np.arange(len(numbers))
    order = np.lexsort((rows, digests[:, 1], digests[:, 0]))
    begins = np.ones(len(order), bool)
    begins[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    group = np.cumsum(begins) - 1
    head = order[begins]  # of each group its earliest row, since rows are the last key
    first = np.where(head < among, numbers[head] if len(numbers) else head, -1)
    result = np.empty(len(numbers), np.int64)
    result[order] = first[group]
    return result


def _hashed(prints: Prints, firsts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield numbers [n] and hashes [n, 8, 32] of the images among `firsts` that have a hash worth comparing."""
    for shard in prints:
        numbers = shard.first + np.flatnonzero(shard.detail > LEAST_DETAIL)
        numbers = numbers[_among(numbers, firsts)]
        yield numbers, shard.hashes[numbers - shard.first]


def _featured(vectors: Vectors, firsts: np.ndarray, orientation: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield numbers [n] and features [n, d] of the images among `firsts` that have any."""
    for shard in vectors:
        rows = shard.vectors[:, orientation]
        numbers = shard.first + np.flatnonzero(rows.any(axis=1))
        numbers = numbers[_among(numbers, firsts)]
        yield numbers, rows[numbers - shard.first]


def _among(numbers: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Say which numbers are in an ordered array."""
    if not len(ordered):
        return np.zeros(len(numbers), bool)
    places = np.minimum(np.searchsorted(ordered, numbers), len(ordered) - 1)
    return np.asarray(ordered[places] == numbers)


def _blocks(shards: Iterable[tuple[np.ndarray, np.ndarray]], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Put shards together to blocks of at least `size` rows, but for the last. A split without rows has no block."""
    numbers: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    held = 0
    for number, row in shards:
        if len(number):
            numbers.append(number)
            rows.append(row)
            held += len(number)
        if held >= size:
            yield np.concatenate(numbers), np.concatenate(rows)
            numbers, rows, held = [], [], 0
    if held:
        yield np.concatenate(numbers), np.concatenate(rows)
