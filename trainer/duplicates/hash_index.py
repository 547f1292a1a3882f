"""`HashIndex`: finds, among many hashes of 256 bits, those that differ from another in few bits, without looking at all of them.

Multi-index hashing (Norouzi, Punjani, Fleet 2012, arXiv 1307.2982). The bits are dealt into m chunks, and for each chunk a table tells which
hashes have which bits there. Two hashes that differ in at most r bits agree, in one chunk at least, but for f bits, where the f + 1 of all
chunks add up to r + 1 (the pigeonhole principle). So for each chunk all keys within f bits of the query's are looked up.

How many chunks is chosen by what they would cost for so many hashes: long chunks need many keys, short ones name many hashes in vain.
Pairs beyond the guaranteed radius are found too, where chance brings one of their chunks close enough; the docs state how many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from math import comb

import numpy as np

from trainer.duplicates.nearest import Pairs

__all__ = ["GUARANTEED", "HashIndex"]

GUARANTEED = 31
"""Bits. All pairs that differ in at most so many are found: the distance up to which PDQ's authors speak of a match."""
_BITS = 256
_PROBE_COST, _CANDIDATE_COST = 8.0, 20.0
"""Nanoseconds, as measured: a look into a table, and the comparison with a hash that it names."""
_AT_ONCE = 2**21
"""Keys or candidates that are worked on at once: some 100 MB."""
_HELD = 2**23
"""Pairs that are held before those that are too many are dropped."""
_FULL = 512
"""Hashes that one key may name; of more, the first ones are taken. Only near-copies of one picture fill a key so, and some of them are enough."""


@dataclass(frozen=True)
class _Chunk:
    """Tells by `width` bits from `first` on which hashes have them: those with key k are `order[starts[k] : starts[k + 1]]`.

    flips: [p] uint32, what a query's key is combined with: all patterns of few enough bits.
    """

    first: int
    width: int
    flips: np.ndarray
    starts: np.ndarray
    order: np.ndarray


class HashIndex:
    """Indexes hashes [n, 32] uint8. Takes some 32 + 4 m bytes a hash, and the tables of m chunks, each at most 16 bytes a hash."""

    def __init__(self, hashes: np.ndarray) -> None:
        self._words = _words(hashes)
        chunks = _cheapest(len(hashes))
        most, rest = divmod(GUARANTEED + 1, chunks)
        self._chunks: list[_Chunk] = []
        edges = np.linspace(0, _BITS, chunks + 1).astype(int)
        bits = _dealt(hashes)
        for number, (first, stop) in enumerate(pairwise(edges.tolist())):
            width, flips = stop - first, most - 1 + (number < rest)
            keys = _keys(bits, first, width)
            counts = np.bincount(keys, minlength=2**width)
            starts = np.zeros(2**width + 1, np.int32)
            np.cumsum(counts, out=starts[1:])
            self._chunks.append(_Chunk(first, width, _patterns(width, flips), starts, _order(keys)))

    def __len__(self) -> int:
        return self._words.shape[1]

    def search(self, hashes: np.ndarray, within: int, *, below: np.ndarray | None = None, most: int = 2**31) -> Pairs:
        """Find the pairs that differ in at most `within` bits: all up to `GUARANTEED`, many beyond. Away: bits.

        Many queries at once are quicker: those of one key look into the same places.

        Args:
            hashes: queries, [q, 32] uint8, at most 2²⁴.
            below: for each query, [q], the number of rows of the index from the first on that are looked at; None looks at all.
            most: pairs of a query that are kept, the nearest ones.
        """
        words, bits = _words(hashes), _dealt(hashes)
        limits = np.full(len(hashes), len(self), np.int64) if below is None else below
        kept: list[np.ndarray] = []
        held = 0
        for chunk in self._chunks:
            keys = _keys(bits, chunk.first, chunk.width)
            order = np.argsort(keys)
            half = [row.take(chunk.order) for row in self._words[:2]]  # in the order in which they are read
            step = max(1, _AT_ONCE // len(chunk.flips))
            for first in range(0, len(hashes), step):
                some = order[first : first + step]
                for asked, indexed, away in self._looked_up(chunk, half, keys[some], words, some, within):
                    wanted = indexed < limits[asked]
                    kept.append(asked[wanted] << 39 | away[wanted].astype(np.int64) << 31 | indexed[wanted])
                    held += len(kept[-1])
                    if held > _HELD:
                        kept, held = (
                            [_nearest(kept, most)],
                            0,
                        )  # what is left may be as many: it is looked at again after so many more
        found = _nearest(kept, most)
        return Pairs(found >> 39, found & (2**31 - 1), (found >> 31 & 255).astype(np.float32))

    def _looked_up(
        self, chunk: _Chunk, half: list[np.ndarray], keys: np.ndarray, words: np.ndarray, rows: np.ndarray, within: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield queries, rows of the index and bits that one chunk gives. rows: the queries that have the `keys`, which are sorted."""
        probes = (chunk.flips[:, None] ^ keys).ravel()
        starts = chunk.starts.take(probes)
        counts = np.minimum(chunk.starts.take(probes + np.uint32(1)) - starts, _FULL)
        hit = np.flatnonzero(counts)
        starts, counts, query = starts[hit], counts[hit], rows.take(hit % len(keys))
        own = [row.take(query) for row in words[:2]]
        ends = np.cumsum(counts, dtype=np.int64)
        done = 0
        while done < len(hit):
            before = int(ends[done - 1]) if done else 0
            stop = max(done + 1, int(np.searchsorted(ends, before + _AT_ONCE, side="right")))
            some = counts[done:stop]
            places = np.arange(int(ends[stop - 1]) - before, dtype=np.int32)
            places += np.repeat((starts[done:stop] - (ends[done:stop] - some - before)).astype(np.int32), some)
            bits = np.bitwise_count(np.repeat(own[0][done:stop], some) ^ half[0].take(places))
            bits += np.bitwise_count(np.repeat(own[1][done:stop], some) ^ half[1].take(places))
            near = np.flatnonzero(
                bits <= within
            )  # strangers differ in half of the bits, so half of a hash tells nearly all of them
            asked = query[done + np.searchsorted(ends[done:stop] - before, near, side="right")]
            indexed = chunk.order.take(places[near]).astype(np.int64)
            away = _distance(words, asked, self._words, indexed)
            near = np.flatnonzero(away <= within)
            yield asked[near], indexed[near], away[near]
            done = stop


def _nearest(kept: list[np.ndarray], most: int) -> np.ndarray:
    """Return each pair once, and of each query the `most` nearest. A pair is one number, which sorts by query, bits and row of the index."""
    found = np.unique(np.concatenate(kept or [np.empty(0, np.int64)]))
    query = found >> 39
    return found[np.arange(len(found)) - np.searchsorted(query, query) < most]


def _cheapest(hashes: int) -> int:
    """Choose the number of chunks by what a query costs: looks into tables, and hashes that they name."""

    def cost(chunks: int) -> float:
        most, rest = divmod(GUARANTEED + 1, chunks)
        width = _BITS // chunks
        probes = [sum(comb(width, flips) for flips in range(allowed + 1)) for allowed in (most, most - 1)]
        keys = rest * probes[0] + (chunks - rest) * probes[1]
        return keys * (_PROBE_COST + _CANDIDATE_COST * hashes / 2**width)

    fitting = [chunks for chunks in range(9, GUARANTEED + 2) if 2 ** (_BITS // chunks + 1) <= 4 * max(hashes, 256)]
    return min(fitting, key=cost)


@cache
def _dealing() -> np.ndarray:
    """Return the order in which bits are dealt to chunks, always the same: bits that stand side by side in a PDQ hash are alike."""
    return np.random.default_rng(256).permutation(_BITS)


def _dealt(hashes: np.ndarray) -> np.ndarray:
    """Return the bits of hashes [n, 32], dealt: [n, 256] uint8, packed again to [n, 33] so that a key lies in at most 5 bytes."""
    packed = np.packbits(np.unpackbits(hashes, axis=1)[:, _dealing()], axis=1)
    return np.pad(packed, ((0, 0), (0, 8)))


def _keys(dealt: np.ndarray, first: int, width: int) -> np.ndarray:
    """Return the bits `first` … `first + width` as numbers [n] uint32."""
    from_byte = first // 8
    number = np.zeros(len(dealt), np.uint64)
    for byte in range(from_byte, from_byte + 5):
        number = (number << np.uint64(8)) | dealt[:, byte]
    return ((number >> np.uint64(40 - (first - 8 * from_byte) - width)) & np.uint64(2**width - 1)).astype(np.uint32)


def _order(keys: np.ndarray) -> np.ndarray:
    """Return the rows sorted by key, those of one key by number: [n] int32."""
    return np.argsort(keys, kind="stable").astype(np.int32)


@cache
def _patterns(width: int, flips: int) -> np.ndarray:
    """Return all numbers of `width` bits of which at most `flips` are set, [p] uint32."""
    sets = (chosen for count in range(flips + 1) for chosen in combinations(range(width), count))
    return np.array([sum(1 << bit for bit in chosen) for chosen in sets], np.uint32)


def _words(hashes: np.ndarray) -> np.ndarray:
    """Return hashes [n, 32] uint8 as four rows of words, [4, n] uint64."""
    return np.ascontiguousarray(np.ascontiguousarray(hashes).view(np.uint64).reshape(len(hashes), 4).T)


def _distance(words: np.ndarray, rows: np.ndarray, others: np.ndarray, other_rows: np.ndarray) -> np.ndarray:
    """Count the bits in which pairs of hashes differ: [n] uint16."""
    found = np.zeros(len(rows), np.uint16)
    for word, other in zip(words, others, strict=True):
        found += np.bitwise_count(word.take(rows) ^ other.take(other_rows))
    return found
