"""An attempt's own record of its events: `<attempt>/events.jsonl`, replayed when nobody listened."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Spool"]


class Spool:
    """Appends lines to a file.

    What a full disk refuses is kept and tried again with the next line, so that a full disk never ends a run.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._left = b""

    def write(self, line: str) -> None:
        self._left += line.encode()
        self._flush()

    def close(self) -> None:
        self._flush()
        os.close(self._file)

    def _flush(self) -> None:
        try:
            while self._left:
                self._left = self._left[os.write(self._file, self._left) :]
        except OSError:
            pass  # no room now
