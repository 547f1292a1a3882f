"""The search for the newest sound checkpoint of a run, whichever of its attempts wrote it.

An attempt says in its own folder (`attempt.json`) what it is and which checkpoint it starts from. So when all of its own are damaged,
the search goes on in the attempt before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.checkpoint.files import Damaged, committed, read_arrays, read_manifest
from trainer.storage import Storage, storage_at

__all__ = ["Restored", "describe_attempt", "restore"]

_ATTEMPT = "attempt.json"


@dataclass(frozen=True)
class Restored:
    """Holds a verified checkpoint in host memory: arrays by name, and the counters saved with it.

    place: the folder or URL of the attempt it was found in.
    """

    step: int
    arrays: Mapping[str, np.ndarray]
    counters: Mapping[str, Any]
    place: str


def restore(place: str | Path, *, at_most: int | None = None) -> tuple[Restored | None, list[str]]:
    """Read the newest sound checkpoint of the attempt at `place`, none past step `at_most`, or of the attempts before it.

    Returns it, or None when there is none, and a list of faults. These say what is wrong with newer ones that were passed over, or that an
    attempt has none.
    """
    faults: list[str] = []
    seen: set[str] = set()
    while True:
        storage = storage_at(place)
        seen.add(storage.url)
        steps = committed(storage)
        if not steps:
            faults.append(f"{storage.url}: no checkpoint there")
        for step in reversed(steps):
            if at_most is not None and step > at_most:
                continue
            try:
                manifest = read_manifest(storage, step)
                arrays = read_arrays(storage, step, manifest)
            except Damaged as damage:
                faults.append(f"{storage.url}: {damage}")
                continue
            return Restored(step, arrays, manifest["counters"], storage.url), faults
        origin = _origin(storage)
        if origin is None or storage_at(origin[0]).url in seen:
            return None, faults
        place, at_most = origin[0], _least(at_most, origin[1])


def describe_attempt(storage: Storage, resume_from: Mapping[str, Any] | None, content: Mapping[str, object]) -> None:
    """Write down what this attempt is and where it starts from. An attempt that goes on in the same folder keeps the folder's first origin.

    Raises `OSError` when nothing can be written there.
    """
    origin = None
    if resume_from is not None:
        before = storage_at(resume_from["directory"]).url
        origin = {"directory": before, "step": resume_from.get("step"), "parent": resume_from.get("parent")}
        if before == storage.url:
            origin = _stated_origin(storage)
    storage.publish(_ATTEMPT, json.dumps({**content, "resumed_from": origin}, indent=1).encode())


def _stated_origin(storage: Storage) -> dict[str, Any] | None:
    with suppress(OSError, ValueError, KeyError), storage.open(_ATTEMPT) as file:
        return json.loads(file.read())["resumed_from"]
    return None


def _origin(storage: Storage) -> tuple[str, int | None] | None:
    """Return the folder and the step that an attempt started from, or None when it started afresh.

    Where that folder is not there, the home was moved as a whole. Attempts of a run lie side by side. So do the folders of runs, or those
    of stores that hold them, two or three levels above.
    """
    origin = _stated_origin(storage)
    if origin is None:
        return None
    there, here = origin["directory"].split("/"), storage.url.split("/")
    up = 2 if there[-2:-1] == [origin.get("parent")] else 1
    beside = [*here[:-up], *there[-up:]]
    other_store = [[*here[:-level], *there[-depth:]] for level in (3, 2) for depth in (3, 2)]
    places = ["/".join(parts) for parts in (there, beside, *other_store)]
    return next((place for place in places if committed(storage_at(place))), places[1]), origin["step"]


def _least(first: int | None, second: int | None) -> int | None:
    return min((bound for bound in (first, second) if bound is not None), default=None)
