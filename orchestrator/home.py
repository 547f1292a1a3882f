"""The folder of runs (`--home`, SCALING_HOME): what may be one, and its making."""

from __future__ import annotations

import re
from pathlib import Path

from scaling.errors import UsageError

__all__ = ["home_folder", "make_folder"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
"""Also of a URL that has been a `Path`, which keeps one of its slashes."""


def home_folder(place: str | Path) -> Path:
    """The folder that `place` names: a path, or a `file://` URL. Raises `UsageError` for any other URL; makes nothing."""
    text = str(place)
    if text.startswith("file:///"):
        return Path(text.removeprefix("file://"))
    if (url := _URL.match(text)) and ("://" in text or isinstance(place, Path)):
        raise UsageError(
            f"--home {text}: runs are kept in a folder, not behind a URL ({url[1]}:)",
            hint="name a folder that every node sees under the same path, with --home or SCALING_HOME; an object store can be mounted as one",
        )
    return Path(text)


def make_folder(folder: Path) -> None:
    """Raises `UsageError` when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder of runs {folder} cannot be made: {error.strerror}", hint="name another with --home or SCALING_HOME"
        ) from error
