"""The fingerprint of a data set, 16 hex digits: cheap enough to take at every start, sure enough to notice what changes a result.

Files that would take hours to read are covered in part:

- of all examples, what each is called, how many bytes it has and which class it is of;
- the bytes of 64 examples a split, always the same ones.

An example whose bytes change while its size stays is noticed only if it is among those 64. Where the files lie, and when they were
written, play no part. The parts are kept beside the whole, so that a change can be named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

from trainer.data.dataset import BadExample
from trainer.data.permutation import permute

__all__ = ["SAMPLED", "Parts", "chosen", "digest", "sampled", "whole"]

SAMPLED = 64
"""Examples of a split whose bytes are read."""

Parts = tuple[tuple[str, str], ...]
"""(what, digest or number) for each part of a data set."""


def digest(*contents: bytes | np.ndarray) -> str:
    """Hash these bytes, each with its length (arrays: type and shape) before it, to 16 hex digits of sha256."""
    hashed = hashlib.sha256()
    for content in contents:
        if isinstance(content, np.ndarray):
            hashed.update(f"{content.dtype.str}{content.shape}".encode())
            hashed.update(np.ascontiguousarray(content).data)
        else:
            hashed.update(f"{len(content)}:".encode())
            hashed.update(content)
    return hashed.hexdigest()[:16]


def sampled(examples: int, read: Callable[[int], bytes]) -> str:
    """Hash the bytes of the `SAMPLED` examples that `chosen` names."""
    return digest(*(_content(read, int(index)) for index in chosen(examples)))


def chosen(examples: int) -> np.ndarray:
    """Choose `SAMPLED` of so many examples, always the same ones. Returns their ids, in order."""
    return np.sort(permute(np.arange(min(examples, SAMPLED)), max(examples, 1), (examples,)))


def _content(read: Callable[[int], bytes], index: int) -> bytes:
    """Read an example's bytes, or the kind of error of an unreadable one: what becomes of it is for the run to say."""
    try:
        return read(index)
    except (BadExample, FileNotFoundError, PermissionError) as error:
        return f"unreadable: {type(error).__name__}".encode()


def whole(parts: Mapping[str, object]) -> tuple[str, Parts]:
    """Return the fingerprint over all parts, and the parts to keep."""
    kept = tuple((name, str(value)) for name, value in parts.items())
    return digest(*(f"{name}={value}".encode() for name, value in kept)), kept
