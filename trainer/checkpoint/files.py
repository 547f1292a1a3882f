"""The files of a checkpoint: how it is committed and how it is read back.

    <attempt>/checkpoints/<step>/state.<life>.<part>.npz   arrays, or pieces of arrays, of one process
                                 part.<life>.<part>.json   what that file holds: names, shapes, size, sha256
                                 manifest.json             counters and all parts, with a sha256 of itself; written last

The manifest is the commit: a folder without one does not count. Each life of a trainer names its files anew, so nothing that a manifest
names is ever written again. A step can therefore be written twice, and one of the two is always whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypedDict
from zipfile import BadZipFile

import numpy as np

from scaling.fault_points import reached
from trainer.storage import Storage

__all__ = [
    "FORMAT",
    "Damaged",
    "Piece",
    "Snapshot",
    "commit",
    "committed",
    "read_arrays",
    "read_manifest",
    "remove_step",
    "uncommitted",
    "write_part",
]

FORMAT = 2
"""Version of the manifest, counted up when it changes meaning. 1 was one `state.npz` in a folder that was renamed."""

_FOLDER = "checkpoints"
_BLOCK_BYTES = 1 << 22


class Damaged(Exception):
    """Reports that a checkpoint is not what its manifest says, or has none; `str` names the difference."""


class Part(TypedDict):
    """Says what a file of one process holds. pieces: (array name, where the piece starts in it)."""

    file: str
    bytes: int
    sha256: str
    pieces: list[tuple[str, list[int]]]


class Manifest(TypedDict):
    """Says what a checkpoint is made of. The file holds the sha256 of these fields as well.

    counters: JSON values. shapes: array name → shape of the whole array.
    """

    format: int
    step: int
    counters: dict[str, Any]
    shapes: dict[str, list[int]]
    parts: list[Part]


@dataclass(frozen=True)
class Piece:
    """Holds a box of an array: where it starts in the array, and its values. A whole array starts at zero and has its own shape."""

    start: tuple[int, ...]
    values: np.ndarray


@dataclass(frozen=True)
class Snapshot:
    """Holds the state of a run after `step` steps, in host memory, as far as this process has it.

    pieces: array name → pieces; shapes: array name → shape of the whole array.
    counters: JSON values, the same in every process.
    life: a name for this life of the trainer, the same in all its processes.
    part: number of this process. parts: numbers of those that hold pieces; the first of them writes the manifest.
    """

    step: int
    pieces: Mapping[str, Sequence[Piece]]
    shapes: Mapping[str, tuple[int, ...]]
    counters: Mapping[str, object]
    life: str
    part: int = 0
    parts: tuple[int, ...] = (0,)


def committed(storage: Storage) -> list[int]:
    """List the steps that have a manifest, oldest first. They are not verified yet."""
    steps = [int(name) for name in storage.names(_FOLDER) if name.isdigit()]
    return sorted(step for step in steps if "manifest.json" in storage.names(f"{_FOLDER}/{step}"))


def uncommitted(storage: Storage) -> list[int]:
    """List the steps that were begun and have no manifest."""
    return sorted({int(name) for name in storage.names(_FOLDER) if name.isdigit()} - set(committed(storage)))


def remove_step(storage: Storage, step: int) -> None:
    """Remove the checkpoint of a step. The manifest goes first, so that a checkpoint that is half removed does not count."""
    storage.remove(f"{_FOLDER}/{step}/manifest.json")
    storage.remove(f"{_FOLDER}/{step}")


def write_part(storage: Storage, snapshot: Snapshot) -> None:
    """Write this process's pieces, and a file that says what they are."""
    stem = f"{snapshot.life}.{snapshot.part}"
    folder, name = f"{_FOLDER}/{snapshot.step}", f"state.{stem}.npz"
    keyed = {_key(array, piece.start): piece.values for array, pieces in snapshot.pieces.items() for piece in pieces}
    with storage.create(f"{folder}/{name}") as file:
        stream = _Hashing(file)
        np.savez(stream, **keyed)  # type: ignore[arg-type]
    part: Part = {
        "file": name,
        "bytes": stream.bytes,
        "sha256": stream.digest.hexdigest(),
        "pieces": [(array, list(piece.start)) for array, pieces in snapshot.pieces.items() for piece in pieces],
    }
    storage.publish(f"{folder}/part.{stem}.json", json.dumps(part).encode())


def commit(storage: Storage, snapshot: Snapshot, *, wait_seconds: float) -> int:
    """Wait until every process's part is there, then write the manifest. Returns the checkpoint's size in bytes.

    Raises `TimeoutError` (an `OSError`) when a part does not come.
    """
    folder = f"{_FOLDER}/{snapshot.step}"
    parts = [_await_part(storage, f"{folder}/part.{snapshot.life}.{part}.json", wait_seconds) for part in snapshot.parts]
    body: Manifest = {
        "format": FORMAT,
        "step": snapshot.step,
        "counters": dict(snapshot.counters),
        "shapes": {name: list(shape) for name, shape in snapshot.shapes.items()},
        "parts": parts,
    }
    reached("checkpoint-drafted")
    storage.publish(f"{folder}/manifest.json", json.dumps({**body, "sha256": _digest(body)}).encode())
    reached("checkpoint-committed")
    return sum(part["bytes"] for part in parts)


def read_manifest(storage: Storage, step: int) -> Manifest:
    """Read the manifest of a step, and verify its sha256, format and step. Raises `Damaged`."""
    try:
        with storage.open(f"{_FOLDER}/{step}/manifest.json") as file:
            manifest = json.loads(file.read())
        stated = manifest.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise Damaged(f"step {step}: its manifest cannot be read: {error or type(error).__name__}") from error
    if stated != _digest(manifest):
        raise Damaged(f"step {step}: its manifest is not what was written")
    if manifest.get("format") != FORMAT:
        raise Damaged(f"step {step}: format {manifest.get('format')}, this version reads {FORMAT}")
    if manifest.get("step") != step:
        raise Damaged(f"step {step}: its manifest is of step {manifest.get('step')}")
    return manifest


def read_arrays(storage: Storage, step: int, manifest: Manifest) -> dict[str, np.ndarray]:
    """Read the arrays of a step, whole. Each file is verified by size and sha256 before it is used. Raises `Damaged`."""
    arrays: dict[str, np.ndarray] = {}
    for part in manifest["parts"]:
        try:
            with storage.open(f"{_FOLDER}/{step}/{part['file']}") as file:
                _verify(file, part, step)
                file.seek(0)
                with np.load(file) as pieces:
                    for name, start in part["pieces"]:
                        _place(arrays, name, tuple(start), pieces[_key(name, start)], tuple(manifest["shapes"][name]))
        except (OSError, BadZipFile, KeyError, ValueError) as error:
            raise Damaged(f"step {step}: {part['file']} cannot be read: {error}") from error
    return arrays


def _verify(file: IO[bytes], part: Part, step: int) -> None:
    digest, size = hashlib.sha256(), 0
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
        size += len(block)
    if size != part["bytes"]:
        raise Damaged(f"step {step}: {part['file']} has {size} bytes, {part['bytes']} were written")
    if digest.hexdigest() != part["sha256"]:
        raise Damaged(f"step {step}: {part['file']} is not what was written (sha256)")


def _place(arrays: dict[str, np.ndarray], name: str, start: tuple[int, ...], values: np.ndarray, shape: tuple[int, ...]) -> None:
    if values.shape == shape:
        arrays[name] = values
        return
    whole = arrays.setdefault(name, np.empty(shape, values.dtype))
    whole[tuple(slice(first, first + size) for first, size in zip(start, values.shape, strict=True))] = values


def _key(array: str, start: Sequence[int]) -> str:
    """Name a piece in the archive: by its array, so that `numpy.load` shows it, and by its start where that is not zero."""
    return array if not any(start) else f"{array}@{','.join(map(str, start))}"


def _await_part(storage: Storage, name: str, seconds: float) -> Part:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with storage.open(name) as file:
                return json.loads(file.read())
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"another process did not write its part of the checkpoint in {seconds:.0f} s ({name})"
                ) from None
            time.sleep(0.02)


def _digest(body: Manifest) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class _Hashing(io.RawIOBase):
    """Counts and hashes the bytes that are written through it. It cannot seek, so the archive is written in one pass."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest, self.bytes = file, hashlib.sha256(), 0

    def write(self, data: Any) -> int:
        self._file.write(data)
        self.digest.update(data)
        size = memoryview(data).nbytes
        self.bytes += size
        return size
