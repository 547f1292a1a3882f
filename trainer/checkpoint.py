"""Checkpoints that are whole or not there: arrays and counters in one atomic commit, verified before they are used.

    <attempt>/checkpoints/<step>/state.npz       every array of the training state, by its path
                                 manifest.json   counters, sizes and sha256; written last

The folder is written under another name, synced, and renamed. A folder without a manifest, or whose bytes differ from it, does not
count: `restore` falls back to the one before.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaling.errors import DataError

__all__ = ["Restored", "restore", "save", "steps"]

_KEPT = 2
"""The newest, and the one before in case the newest is damaged."""


@dataclass(frozen=True)
class Restored:
    """A verified checkpoint: `state` in host memory, and the counters saved with it."""

    step: int
    state: Any
    counters: Mapping[str, Any]


def save(directory: Path, step: int, state: Any, counters: Mapping[str, Any]) -> Path:
    """Commit `state` (a tree of arrays) and `counters` (JSON values) as step `step`. Raises `OSError` when the disk refuses."""
    root = directory / "checkpoints"
    target, draft = root / str(step), root / f".{step}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    buffer = io.BytesIO()
    arrays: dict[str, Any] = _flatten(jax.device_get(state))
    np.savez(buffer, **arrays)
    data = buffer.getvalue()
    _write(draft / "state.npz", data)
    manifest = {"step": step, "counters": dict(counters), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    _write(draft / "manifest.json", json.dumps(manifest, indent=1).encode())
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    _sync_folder(root)
    for old in steps(directory)[:-_KEPT]:
        shutil.rmtree(root / str(old), ignore_errors=True)
    return target


def steps(directory: Path) -> list[int]:
    """Steps that have a committed checkpoint, oldest first; not yet verified."""
    root = directory / "checkpoints"
    if not root.is_dir():
        return []
    return sorted(int(entry.name) for entry in root.iterdir() if entry.name.isdigit() and (entry / "manifest.json").exists())


def restore(directory: Path, like: Any, *, at_most: int | None = None) -> Restored | None:
    """The newest checkpoint (not past step `at_most`) whose bytes are what its manifest says, shaped as `like`; None when there is none.

    Raises `DataError` when a sound checkpoint belongs to another model.
    """
    for step in reversed(steps(directory)):
        if at_most is not None and step > at_most:
            continue
        folder = directory / "checkpoints" / str(step)
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
            data = (folder / "state.npz").read_bytes()
        except (OSError, ValueError):
            continue
        if len(data) == manifest["bytes"] and hashlib.sha256(data).hexdigest() == manifest["sha256"]:
            return Restored(step, _unflatten(np.load(io.BytesIO(data)), like, folder), manifest["counters"])
    return None


def _flatten(state: Any) -> dict[str, np.ndarray]:
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


def _unflatten(arrays: Mapping[str, np.ndarray], like: Any, folder: Path) -> Any:
    def leaf(path: Any, expected: Any) -> np.ndarray:
        name = jax.tree_util.keystr(path)
        if name not in arrays or arrays[name].shape != expected.shape:
            raise DataError(
                f"checkpoint {folder} does not belong to this model: {name}", hint="resume with the config it was saved under"
            )
        return arrays[name]

    return jax.tree_util.tree_map_with_path(leaf, like)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
