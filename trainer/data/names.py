"""`NameTable` keeps millions of names in two arrays, which pickle and hash at the speed of memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["NameTable"]


@dataclass(frozen=True)
class NameTable:
    """Keeps names end to end: name k is `text[starts[k] : starts[k + 1]]`, in UTF-8 with what is not UTF-8 escaped."""

    text: bytes
    starts: np.ndarray

    @classmethod
    def of(cls, names: Iterable[str]) -> NameTable:
        """Make a table of names, in their order."""
        encoded = [name.encode("utf-8", "surrogateescape") for name in names]
        return cls(b"".join(encoded), np.cumsum([0, *map(len, encoded)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> str:
        return self.text[self.starts[index] : self.starts[index + 1]].decode("utf-8", "surrogateescape")

    def take(self, indices: np.ndarray) -> NameTable:
        """Return a table of the names at `indices`, in that order."""
        return NameTable.of(self[int(index)] for index in indices)
