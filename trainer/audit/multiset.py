"""A sum that tells one multiset of ids from another, whatever their order.

Each id is hashed to 128 bits and the hashes are added modulo 2⁶⁴ twice over. Sums of parts add up to the sum of the whole, so the sums of
attempts can be added. An id that is missing, doubled or replaced changes the sum. Two different multisets agree by accident with
probability 2⁻¹²⁸ (the hash is splitmix64's finaliser, not proof against someone who forges records).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Multiset"]

_MASK = 2**64 - 1
_KEYS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Multiset:
    """Holds a number of ids, and the two sums of their hashes modulo 2⁶⁴."""

    count: int = 0
    sums: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, ids: np.ndarray, times: int = 1) -> Multiset:
        """Sum the hashes of these ids, each `times` times."""
        sums = tuple(int(_hash(ids, key).sum(dtype=np.uint64)) * times & _MASK for key in _KEYS)
        return cls(len(ids) * times, (sums[0], sums[1]))

    @classmethod
    def of_all(cls, examples: int, times: int = 1) -> Multiset:
        """Sum the hashes of 0 … examples − 1, each `times` times. It works in parts, so that four billion ids fit into memory."""
        whole = cls()
        for first in range(0, examples, _CHUNK):
            whole += cls.of(np.arange(first, min(first + _CHUNK, examples)), times)
        return whole

    def __add__(self, other: Multiset) -> Multiset:
        first, second = ((a + b) & _MASK for a, b in zip(self.sums, other.sums, strict=True))
        return Multiset(self.count + other.count, (first, second))

    def to_json(self) -> list[int | str]:
        """Return `[count, "32 hex digits"]`, which `from_json` reads back."""
        return [self.count, f"{self.sums[0]:016x}{self.sums[1]:016x}"]

    @classmethod
    def from_json(cls, content: list) -> Multiset:
        """Read what `to_json` returned."""
        return cls(int(content[0]), (int(content[1][:16], 16), int(content[1][16:], 16)))


def _hash(ids: np.ndarray, key: np.uint64) -> np.ndarray:
    values = np.asarray(ids).astype(np.uint64) + key
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))
