"""Memory without a name that several processes map: it is freed when the last of them is gone, however it went."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Callable

import numpy as np

__all__ = ["create", "mapped"]


def create(shape: tuple[int, ...], kind: str) -> int:
    """Make zeroed memory for an array of this shape and type. Returns its file descriptor, to be inherited by a process.

    The caller closes it.
    """
    anonymous: Callable[[str], int] | None = getattr(os, "memfd_create", None)
    if anonymous is not None:
        handle = anonymous("batches")
    else:  # not Linux: a file that has already been deleted, kept in the page cache
        with tempfile.TemporaryFile() as file:
            handle = os.dup(file.fileno())
    os.ftruncate(handle, _bytes(shape, kind))
    return handle


def mapped(handle: int, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Map the memory as an array; it stays mapped as long as the array lives."""
    return np.frombuffer(mmap.mmap(handle, _bytes(shape, kind)), kind).reshape(shape)


def _bytes(shape: tuple[int, ...], kind: str) -> int:
    return math.prod(shape) * np.dtype(kind).itemsize
