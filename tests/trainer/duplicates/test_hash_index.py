"""Candidates of the index are those of a comparison with every hash, up to the guaranteed radius."""

import numpy as np
import pytest

from trainer.duplicates import hash_index
from trainer.duplicates.hash_index import GUARANTEED, HashIndex


def brute_force(queries, hashes, within):
    """{(query, indexed): bits}, by looking at all."""
    bits = np.unpackbits(queries[:, None] ^ hashes[None], axis=2).sum(axis=2, dtype=int)
    return {(int(q), int(k)): int(bits[q, k]) for q, k in zip(*np.nonzero(bits <= within), strict=True)}


def found_of(pairs):
    return {(q, k): b for q, k, b in zip(pairs.question.tolist(), pairs.other.tolist(), pairs.away.tolist(), strict=True)}


def planted(hashes, rng, most):
    """A copy of each hash in which up to `most` bits are turned."""
    copies = np.unpackbits(hashes, axis=1)
    for row, bits in enumerate(rng.integers(0, most + 1, len(hashes))):
        copies[row, rng.choice(256, bits, replace=False)] ^= 1
    return np.packbits(copies, axis=1)


def random_hashes(rng, count):
    return rng.integers(0, 256, (count, 32), np.uint8)


def alike_hashes(rng, count):
    """Bits of which some are nearly always set and others copy their neighbours, as those of smooth images do."""
    bits = rng.random((count, 256)) < np.linspace(0.02, 0.98, 256)
    bits[:, 1::2] = bits[:, ::2] ^ (rng.random((count, 128)) < 0.1)
    return np.packbits(bits, axis=1)


@pytest.mark.parametrize("make", [random_hashes, alike_hashes])
@pytest.mark.parametrize("count", [1, 40, 900])
def test_all_pairs_within_the_guaranteed_radius_and_none_that_is_farther_than_asked(make, count):
    rng = np.random.default_rng(count)
    hashes = make(rng, count)
    queries = np.concatenate([planted(hashes[:300], rng, 60), make(rng, 30)])
    index = HashIndex(hashes)
    wanted = brute_force(queries, hashes, GUARANTEED)
    assert wanted
    assert found_of(index.search(queries, GUARANTEED)) == wanted
    wide, all_wide = found_of(index.search(queries, 60)), brute_force(queries, hashes, 60)
    assert wide.items() <= all_wide.items()
    assert {pair: bits for pair, bits in wide.items() if bits <= GUARANTEED} == wanted


def test_no_hashes():
    index = HashIndex(np.empty((0, 32), np.uint8))
    assert len(index) == 0
    assert len(index.search(random_hashes(np.random.default_rng(0), 3), 31).question) == 0
    assert len(HashIndex(random_hashes(np.random.default_rng(0), 3)).search(np.empty((0, 32), np.uint8), 31).question) == 0


def test_only_rows_below_a_limit_and_only_the_nearest():
    rng = np.random.default_rng(3)
    hashes = planted(np.repeat(random_hashes(rng, 1), 60, axis=0), rng, 20)
    below = np.arange(60)
    found = HashIndex(hashes).search(hashes, GUARANTEED, below=below, most=5)
    every = brute_force(hashes, hashes, GUARANTEED)
    for query in range(60):
        wanted = sorted((bits, k) for (q, k), bits in every.items() if q == query and k < query)[:5]
        assert [(b, k) for q, k, b in zip(*found, strict=True) if q == query] == wanted


def test_hashes_that_are_all_the_same_are_found_among_the_first_ones(monkeypatch):
    monkeypatch.setattr(hash_index, "_FULL", 10)
    same = np.repeat(random_hashes(np.random.default_rng(4), 1), 150, axis=0)
    found = HashIndex(same).search(same, GUARANTEED, most=3)
    assert len(HashIndex(same).search(same, GUARANTEED).other) == 150 * 10
    assert found.other.reshape(150, 3).tolist() == [[0, 1, 2]] * 150
