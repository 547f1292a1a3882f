"""Finds the checkpoints that a program reports: where one lies as it is reported, and which of a run's is still there as an attempt begins."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["go_on_from", "note_checkpoint", "place_of"]


def place_of(path: str, folders: Iterable[Path]) -> str | None:
    """Return where a reported path leads, from the first of these folders in which there is such a file; None where there is none.

    What is no path of a file system, such as `s3://…`, stays as it is: only the program can look there.
    """
    if "://" in path:
        return path
    return next((str(folder / path) for folder in folders if _is_there(folder / path)), None)


def note_checkpoint(attempt: Path, step: int, path: str) -> None:
    """Write down in an attempt's folder where its checkpoint after so many steps lies."""
    (attempt / f"checkpoint-{step}.json").write_text(json.dumps({"path": path}))


def go_on_from(attempt: Path, step: int, folders: Iterable[Path]) -> tuple[str | None, str]:
    """Return the path of the last checkpoint up to `step` that is still there, of this attempt or of those before it.

    The second value says in a sentence that a later one has gone; it is empty where none has.
    """
    gone, folders = "", list(folders)
    for folder in _up_to(attempt):
        noted = sorted(
            (found for note in folder.glob("checkpoint-*.json") if (found := _step(note)) is not None and found <= step),
            reverse=True,
        )
        for number in noted:
            if (path := _noted(folder, number)) is None:
                continue
            if (place := place_of(path, folders)) is not None:
                return place, gone and f"{gone}: this attempt is given the checkpoint of step {number}"
            gone = gone or f"the checkpoint of step {number}, {path}, is not there any more"
        step = min(noted, default=step)  # beyond, the steps of an earlier attempt are not those that this one went on from
    return None, gone and f"{gone}, nor an earlier one: this attempt is given none, and begins anew"


def _up_to(attempt: Path) -> list[Path]:
    """List the folders of this attempt and of the earlier ones of its run, the latest first."""
    if not attempt.name.isdecimal():
        return [attempt]
    return [attempt.with_name(str(number)) for number in range(int(attempt.name), 0, -1)]


def _step(note: Path) -> int | None:
    text = note.stem.removeprefix("checkpoint-")
    return int(text) if text.isdecimal() else None


def _noted(attempt: Path, step: int) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((attempt / f"checkpoint-{step}.json").read_text())["path"])
    return None


def _is_there(path: Path) -> bool:
    """Say whether there is such a file or folder; also where the file system does not answer, since it may yet."""
    try:
        return path.exists()
    except ValueError:  # a zero byte
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
