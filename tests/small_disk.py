"""A disk of its own for a test: a small file system in memory, which can be full or read-only."""

import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def full_disk(tmp_path, size):
    """A real file system of `size` bytes in `tmp_path`, where this machine lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def read_only(folder):
    """Nothing can be written to the file system in `folder` any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
