"""The id of an image of a data set: what a list calls it, and what a reader of the list can find it by."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from trainer.data.dataset import Examples
from trainer.data.imagefolder import ImageFiles
from trainer.typing import Options

__all__ = ["ids_of"]


def ids_of(options: Options, examples: Examples) -> Callable[[int], str]:
    """Return a function from an image's number in its split to its id, in text that UTF-8 can hold.

    Of an image file that is its path below the data set's folder, `train/cat/1.jpg`. Of other examples it is their name, such as
    `a.tar: 7.jpg`, where the data set has names, else their number.

    options: of the data set, whose `path` is its folder.
    """
    below = ""
    if isinstance(examples, ImageFiles) and options.get("path"):
        between = os.path.relpath(examples.folder, Path(str(options["path"])).expanduser())
        below = "" if between == "." else f"{Path(between).as_posix()}/"
    name = getattr(examples, "name", None)
    return lambda index: _in_utf8(f"{below}{name(index) if name else index}")


def _in_utf8(text: str) -> str:
    """Write what a file's name has beside UTF-8 as `\\udcff`, since a Parquet file can hold no such name."""
    return text.encode("utf-8", "backslashreplace").decode()
