"""Logs of runs: where the log of an attempt lies, and its end."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["end_of_log", "log_of", "without_colours"]

_MOST_BYTES = 64 * 1024
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_OTHERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def log_of(attempt: Mapping[str, Any]) -> Path:
    """Return where the log of an attempt lies: a row of `attempt_rows` of `queries.run_detail`. The file may be on another machine."""
    return Path(attempt["directory"]) / "log.txt"


def end_of_log(path: Path, lines: int = 100) -> list[str] | None:
    """Return the last lines of a log, at most 64 KiB of it, without colours and control characters; None where it cannot be read.

    What a progress bar wrote over itself comes as lines of their own.
    """
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _MOST_BYTES))
            text = log.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    found = re.sub(r"\r+\n?", "\n", without_colours(text)).rstrip("\n").split("\n")
    if size > _MOST_BYTES:
        found = found[1:]  # the first is the end of a line
    return [_OTHERS.sub("�", line) for line in found[-lines:]]


def without_colours(text: str) -> str:
    """Return the text without the sequences that colour it."""
    return _COLOURS.sub("", text)
