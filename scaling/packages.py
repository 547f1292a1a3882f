"""Checks that the packages which Python imports are ours.

Their names are plain words, which a user's own file or another distribution may have too.
"""

from __future__ import annotations

import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from scaling.errors import UsageError

__all__ = ["check_packages"]

_NEEDS = {
    "analysis": ("analysis",),
    "trainer": ("trainer",),
    "orchestrator": ("orchestrator", "trainer", "analysis"),
    "api": ("api", "orchestrator", "trainer", "analysis"),
}
_ANEW = "install scaling again, from where you had it, with `pip install --force-reinstall --no-deps`"


def check_packages(package: str) -> None:
    """Check where Python would find a package and those that it imports.

    Raises `UsageError` naming the file that is in the way of one; its hint is in the traceback too.
    """
    for name in _NEEDS.get(package, ()):
        if fault := _fault_of(name):
            message, hint = fault
            error = UsageError(message, hint=hint)
            error.add_note(f"hint: {hint}")
            raise error


def _fault_of(name: str) -> tuple[str, str] | None:
    """Say what is wrong with a package, and what to do about it."""
    home = Path(__file__).parents[1]
    found, ours = _file_of(name), home / name / "__init__.py"
    if found is None:
        return f"{ours} is missing: Python finds no package {name!r} of scaling", _ANEW
    theirs = _other_distribution(Path(found)) if Path(found) != ours or not _as_installed(ours) else None
    if Path(found) != ours:
        return (
            f"{found} is what Python imports as {name!r}, in place of the package of scaling in {home}",
            f"`pip uninstall {theirs}`: it needs an environment of its own"
            if theirs
            else "rename it, or keep its folder off Python's path: python -P leaves out that of the script",
        )
    if theirs:
        return (
            f"{ours} is no longer that of scaling: the distribution {theirs!r}, which has a package {name!r} too, has overwritten it",
            f"`pip uninstall {theirs}`, which needs an environment of its own; then {_ANEW}",
        )
    return None


def _file_of(name: str) -> str | None:
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    spec = util.find_spec(name)
    return spec.origin if spec else None


def _as_installed(file: Path) -> bool:
    """Say whether a file has the bytes that the installer wrote down; True where none did, as in a source tree."""
    from hashlib import sha256

    place, entry = _entry_of(file)
    recorded = [text for name, text in _records(place, "scaling-*") if f"\n{entry},sha256=" in text]
    digest = urlsafe_b64encode(sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
    return not recorded or any(f"\n{entry},sha256={digest}," in text for text in recorded)


def _other_distribution(file: Path) -> str | None:
    """Name a distribution that brought a file of this path and is not `scaling`."""
    place, entry = _entry_of(file)
    return next((name for name, text in _records(place) if name != "scaling" and f"\n{entry}," in text), None)


def _entry_of(file: Path) -> tuple[Path, str]:
    """Split a file into the folder that holds the package, or the module, and its path there."""
    place = file.parents[1] if file.name == "__init__.py" else file.parent
    return place, file.relative_to(place).as_posix()


def _records(place: Path, which: str = "*") -> Iterator[tuple[str, str]]:
    """Read what installers wrote down of distributions in a folder: their names, and lines `path,sha256=…,bytes`."""
    for record in sorted(place.glob(f"{which}.dist-info/RECORD")):
        yield record.parent.name.partition("-")[0], "\n" + record.read_text(encoding="utf-8")
