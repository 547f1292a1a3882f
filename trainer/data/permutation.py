"""A keyed permutation of 0 … n − 1 with O(1) memory: the order of an epoch, for five examples or for four billion.

A Feistel network over the smallest even number of bits that holds n, walked until the value is below n (at most four expected rounds
of walking, since the domain is less than 4 n). An affine map would be cheaper and leave visible structure in each batch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["permute", "unpermute"]

_ROUNDS = 6
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # multipliers of splitmix64's finaliser
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def permute(places: np.ndarray, n: int, key: tuple[int, ...]) -> np.ndarray:
    """Map each place to its id.

    Args:
        places: integers in 0 … n − 1, any shape.
        n: size of the domain.
        key: integers; another key is another permutation.

    Returns:
        int64 array of the shape of `places`; over all places each of 0 … n − 1 occurs once.
    """
    half = _half(n)
    round_keys = _round_keys(key)
    ids = _feistel(places.astype(np.uint64), half, round_keys)
    while (outside := ids >= n).any():
        ids[outside] = _feistel(ids[outside], half, round_keys)
    return ids.astype(np.int64)


def unpermute(ids: np.ndarray, n: int, key: tuple[int, ...]) -> np.ndarray:
    """Map each id back to its place: `unpermute(permute(places, n, key), n, key) == places`. That this works is why no id comes twice."""
    half = _half(n)
    round_keys = _round_keys(key)
    places = _feistel_back(ids.astype(np.uint64), half, round_keys)
    while (outside := places >= n).any():
        places[outside] = _feistel_back(places[outside], half, round_keys)
    return places.astype(np.int64)


def _half(n: int) -> int:
    """Count the bits of each half of the smallest even number of bits that holds n."""
    return max(1, (max(n - 1, 1).bit_length() + 1) // 2)


def _feistel_back(values: np.ndarray, half: int, round_keys: tuple[np.uint64, ...]) -> np.ndarray:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> shift, values & mask
    for round_key in reversed(round_keys):
        left, right = right ^ (_mix(left ^ round_key) & mask), left
    return (left << shift) | right


def _feistel(values: np.ndarray, half: int, round_keys: tuple[np.uint64, ...]) -> np.ndarray:
    shift, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> shift, values & mask
    for round_key in round_keys:
        left, right = right, left ^ (_mix(right ^ round_key) & mask)
    return (left << shift) | right


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))


@lru_cache(maxsize=64)
def _round_keys(key: tuple[int, ...]) -> tuple[np.uint64, ...]:
    state = np.zeros(1, np.uint64)
    for part in key:
        state = _mix(state + np.uint64(part & (2**64 - 1)) + _GOLDEN)
    counters = np.arange(1, _ROUNDS + 1, dtype=np.uint64) * _GOLDEN
    return tuple(_mix(state + counters))
