"""What a trainer process does as an attempt begins and the folder of runs, or the checkpoint to go on from, is not there.

It may come back: a disk that is not mounted yet, a file server that restarts. So the attempt ends as a fault of the storage, which costs its
run nothing, and is tried again. It may also be gone for good. So after a while the folder is made anew, and a run whose checkpoint is gone
begins at its first step. The scheduler says with each order for how long its worker has missed the folder (`missed_seconds`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainer.storage import GONE_SECONDS

__all__ = ["enter", "is_in", "is_missing"]

_LONGEST_SECONDS = 300.0
"""How long a checkpoint is waited for at most. Below that, for as long as its steps took: waiting should not cost more than doing them again."""
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EHOSTDOWN, errno.ETIMEDOUT)


def enter(order: dict[str, Any]) -> None:
    """Make the attempt's folder, and let `resume_from` say where its checkpoint is: at the place named, or where it was written.

    Raises `FileNotFoundError` while something that was there before is waited for. Afterwards `resume_from` is taken away.
    """
    missed, home = order.get("missed_seconds", 0.0), order.get("home")
    if home is not None and missed < GONE_SECONDS and not Path(home).is_dir():
        raise _is_not_there("the folder of runs", home)
    resume = order.get("resume_from")
    if resume is not None and resume.get("step"):
        places = [resume["directory"], resume.get("written_to")]
        found = next((place for place in places if place is not None and _holds_something(place)), None)
        if found is None and missed < min(max(GONE_SECONDS, resume.get("saved_seconds", 0.0)), _LONGEST_SECONDS):
            raise _is_not_there(f"the checkpoint of step {resume['step']}", resume["directory"])
        order["resume_from"] = None if found is None else {**resume, "directory": found}
    Path(order["directory"]).mkdir(parents=True, exist_ok=True)


def is_in(error: OSError, orders: Iterable[Mapping[str, Any]]) -> bool:
    """Whether it says that a file of an attempt, of the home around it, or of the attempt that it goes on from is not there or not to be reached."""
    folders = [folder for order in orders for folder in _folders(order)]
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    return error.errno in _GONE and any(name == folder or name.startswith(f"{folder}/") for folder in folders)


def is_missing(orders: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the folder of one of these attempts is not there."""
    return not all(Path(order["directory"]).is_dir() for order in orders)


def _folders(order: Mapping[str, Any]) -> list[str]:
    resume = order.get("resume_from") or {}
    folders = (order["directory"], order.get("home"), resume.get("directory"), resume.get("written_to"))
    return [str(folder) for folder in folders if folder]


def _holds_something(folder: str) -> bool:
    """An empty folder may be where a disk is to be mounted."""
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False


def _is_not_there(what: str, place: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, f"{what} is not there; it is waited for", place)
