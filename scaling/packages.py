"""Checks that the packages which Python imports are ours.

Their names are plain words, which a user's own file or another distribution may have too.
"""

from __future__ import annotations

import sys
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


def check_packages(package: str) -> None:
    """Check where Python would find a package and those that it imports. Raises `UsageError` naming the file that is in the way of one."""
    home = Path(__file__).parents[1]
    for name in _NEEDS.get(package, ()):
        found = _file_of(name)
        if found is None or Path(found) != home / name / "__init__.py":
            raise UsageError(
                f"{found or 'nothing'} is what Python imports as {name!r}, in place of the package of scaling in {home}",
                hint="rename it, or keep its folder off Python's path: python -P leaves out that of the script",
            )


def _file_of(name: str) -> str | None:
    if name in sys.modules:
        return getattr(sys.modules[name], "__file__", None)
    spec = util.find_spec(name)
    return spec.origin if spec else None
