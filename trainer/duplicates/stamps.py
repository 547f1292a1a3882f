"""When the files of a split were last written, so that what was computed of others is not taken for theirs."""

from __future__ import annotations

import os

from trainer.data.dataset import Examples
from trainer.data.imagefolder import ImageFiles

__all__ = ["stamps"]


def stamps(examples: Examples, images: range) -> bytes:
    """Return sizes and times of the files that hold these images.

    It is empty where no files are at hand: images in memory are in the fingerprint as a whole, and other data sets speak for themselves.
    """
    if isinstance(examples, ImageFiles):
        return "\n".join(_stamp(os.path.join(examples.folder, examples.names[index])) for index in images).encode()
    return "\n".join(map(_stamp, getattr(examples, "files", ()))).encode()


def _stamp(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError as error:
        return type(error).__name__
    return f"{found.st_size} {found.st_mtime_ns}"
