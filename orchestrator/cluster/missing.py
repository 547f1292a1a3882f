"""Decides what a trainer process does when, as an attempt begins, the folder of runs or the checkpoint to go on from is not there.

It may come back: a disk that is not mounted yet, a file server that restarts. So the attempt ends as a fault of the storage, which costs
its run nothing, and is tried again. It may also be gone for good. So after a while the folder is made anew, and a run whose checkpoint is
gone begins at its first step. The scheduler says with each assignment for how long its worker has missed the folder (`missed_seconds`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from orchestrator.messages import Assignment, Resume
from trainer.storage import GONE_SECONDS

__all__ = ["enter", "is_in", "is_missing"]

_LONGEST_SECONDS = 300.0
"""How long a checkpoint is waited for at most. Below that, for as long as its steps took: waiting should not cost more than doing them
again."""
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EHOSTDOWN, errno.ETIMEDOUT)


def enter(run: Assignment) -> Assignment:
    """Make the attempt's folder, and find its checkpoint: at the place named, or where it was written.

    Returns the assignment with `resume_from`, and `weights_from`, at that place. Raises `FileNotFoundError` while something that was there before is waited for.
    Afterwards `resume_from` is removed.
    """
    missed, home, resume = run.missed_seconds, run.home, run.resume_from
    if home is not None and missed < GONE_SECONDS and not Path(home).is_dir():
        raise _is_not_there("the folder of runs", home)
    if resume is not None and resume.step:
        found = _place_of(resume)
        if found is None and missed < min(max(GONE_SECONDS, resume.saved_seconds), _LONGEST_SECONDS):
            raise _is_not_there(f"the checkpoint of step {resume.step}", resume.directory)
        run = replace(run, resume_from=None if found is None else replace(resume, directory=found))
    if (weights := run.weights_from) is not None:
        run = replace(run, weights_from=replace(weights, directory=_place_of(weights) or weights.directory))
    Path(run.directory).mkdir(parents=True, exist_ok=True)
    return run


def is_in(error: OSError, runs: Iterable[Assignment]) -> bool:
    """Say whether an error is about a missing or unreachable file of an attempt, of its home, or of the attempt that it goes on from."""
    folders = [folder for run in runs for folder in _folders(run)]
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    return error.errno in _GONE and any(name == folder or name.startswith(f"{folder}/") for folder in folders)


def is_missing(runs: Iterable[Assignment]) -> bool:
    """Say whether the folder of one of these attempts is not there."""
    return not all(Path(run.directory).is_dir() for run in runs)


def _folders(run: Assignment) -> list[str]:
    resume = run.resume_from
    folders = (run.directory, run.home, resume and resume.directory, resume and resume.written_to)
    return [folder for folder in folders if folder]


def _place_of(checkpoint: Resume) -> str | None:
    """Return where a checkpoint is: in the folder that is named, or in the one that it was written to; None where it is in neither."""
    places = [checkpoint.directory, checkpoint.written_to]
    return next((place for place in places if place is not None and _holds_something(place)), None)


def _holds_something(folder: str) -> bool:
    """Say whether a folder is there and not empty: an empty one may be where a disk is to be mounted."""
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False


def _is_not_there(what: str, place: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, f"{what} is not there; it is waited for", place)
