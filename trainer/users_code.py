"""Code of users that is run in this process: whatever it raises becomes one line, with the place in the user's file."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from scaling.errors import ScalingError, UsageError

__all__ = ["imported", "look_in", "told"]

_MAX_WORDS = 300


def look_in(folder: str | Path) -> None:
    """Let a user's own families and data sets be found in a folder: last on Python's path, so that they shadow nothing."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def imported(source: str, kind: str) -> Any:
    """Import what `package.module:attribute` names. Raises `UsageError` for whatever the import raises.

    kind: what the error calls the thing, e.g. `model family`.
    """
    module, _, attribute = source.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ScalingError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{kind} {source!r} cannot be imported: {told(error, source)}", hint="write package.module:factory"
        ) from error


def told(error: BaseException, source: str) -> str:
    """Say in a line what was raised, as `KeyError: 'x' (models.py:12)`: type, words, and the last line of the user's code on its way.

    source: `package.module:attribute`; its package is the user's code wherever it is installed.
    """
    try:
        words = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an exception whose words raise another one
        words = ""
    words = words if len(words) <= _MAX_WORDS else f"{words[: _MAX_WORDS - 1]}…"
    place = _place(error, source.partition(":")[0].partition(".")[0])
    return type(error).__name__ + (f": {words}" if words else "") + (f" ({place})" if place else "")


def _place(error: BaseException, package: str) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return _spelled(error.filename, error.lineno)
    theirs = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_users(frame.f_globals.get("__name__", ""), frame.f_code.co_filename, package)
    ]
    return _spelled(*theirs[-1]) if theirs else ""


def _is_users(module: str, file: str, package: str) -> bool:
    """Say whether a frame is of the user's package, or of a file that is neither of this project nor installed."""
    if module.partition(".")[0] == package:
        return True
    return not file.startswith("<") and not any(Path(file).is_relative_to(folder) for folder in _not_theirs())


def _not_theirs() -> list[str]:
    folders = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
    return folders + [
        folder
        for package in ("scaling", "trainer", "orchestrator", "analysis", "api")
        for folder in importlib.util.find_spec(package).submodule_search_locations  # type: ignore[union-attr]
    ]


def _spelled(file: str, line: int | None) -> str:
    """Spell the file as seen from the working directory, if it is below it, with the line."""
    path = Path(file)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{line}" if line else str(shown)
