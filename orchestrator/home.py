"""The folder of runs (`--home`, SCALING_HOME): checks its name and makes it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from scaling.errors import UsageError

__all__ = ["home_folder", "make_folder"]

_URL = re.compile(
    r"[^/]*://"  # whatever stands before it
    r"|[a-z][a-z0-9+.-]+:/"  # a URL that has been a `Path` keeps one of its slashes
    r"|[a-z][a-z0-9+.-]*::"  # fsspec's chains
    r"|(abfss?|adl|az|file|ftps?|gcs|gs|hdfs|hf|https?|memory|oci|oss|r2|s3[an]?|sftp|ssh|wasbs?|webdav|webhdfs):",
    re.IGNORECASE,
)


def home_folder(place: str | Path) -> Path:
    """Return the folder that `place` names: a path, in which `~` is a home directory, or a `file:///` URL; makes nothing.

    Raises `UsageError` for any other URL, whole or not, and for an empty text. `./s3:/runs` is a path.
    """
    text, hint = str(place).strip(), "name a folder that every node sees under the same path, with --home or SCALING_HOME"
    if not text:
        raise UsageError("--home is empty: runs are kept in a folder", hint=hint)
    if text.startswith("file:///"):
        return Path(text.removeprefix("file://"))
    if _URL.match(text):
        raise UsageError(
            f"--home {text}: runs are kept in a folder, not behind a URL ({text.partition(':')[0]}:)",
            hint=f"{hint}; an object store can be mounted as one",
        )
    return Path(os.path.expanduser(place))  # as a shell does: `~x` stays what it is where there is no user x


def make_folder(folder: Path) -> None:
    """Make the folder and those above it. Raises `UsageError` when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder of runs {folder} cannot be made: {error.strerror}", hint="name another with --home or SCALING_HOME"
        ) from error
