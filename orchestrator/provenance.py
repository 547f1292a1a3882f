"""Identifies the code that ran: version, and commit where there is one."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

__all__ = ["code_version", "same_code"]


@cache
def code_version() -> str:
    """Return `0.1.0`, or `0.1.0+4f3c2a1` in a checkout, with `.dirty` when files differ from the commit."""
    version = metadata.version("scaling")
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return version
    try:
        commit = _git(root, "rev-parse", "--short=7", "HEAD")
        dirty = ".dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else ""
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}+{commit}{dirty}"


def same_code(one: str | None, other: str | None) -> bool:
    """Say whether two versions name the same code, as far as they can tell.

    An edit that is not committed shows on one node and not on another, and an installed package does not know its commit.
    """
    (mine, my_commit), (theirs, their_commit) = (_parts(version) for version in (one, other))
    return mine == theirs and (my_commit == their_commit or not my_commit or not their_commit)


def _parts(version: str | None) -> tuple[str, str]:
    """Split a version into release and commit; the latter is empty where it is not known."""
    release, _, commit = (version or "").removesuffix(".dirty").partition("+")
    return release, commit


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
