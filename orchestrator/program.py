"""A training program of a user's: its command for a run, its files, and the version that they make."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from scaling.errors import UsageError
from trainer.config import TrainConfig

__all__ = ["FIELDS", "SCORES", "command_of", "fields_in", "files_of", "ship", "version_of", "working_folder"]

FIELDS = ("model", "epochs", "learning_rate", "seed", "batch_size")
"""What a command may name besides the fields of its models."""

SCORES = ("val_loss", "val_top1", "val_top5", "train_loss", "chance_loss")
"""Columns of every run that a program may report."""

_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages"})
_MARKS = ("pyvenv.cfg", ".scaling-programs")
"""Files of folders that are left out: of installed packages, and of the copies of programs, which may lie below the program itself."""


def fields_in(word: str) -> list[str]:
    """List the fields in braces of a word of a command. Raises `UsageError` for braces that name none; `{{` stands for a brace."""
    try:
        parsed = list(Formatter().parse(word))
    except ValueError as error:
        raise UsageError(f"{word!r}: {error}", hint="a brace that is meant is written twice: {{") from None
    names = [name for _, name, _, _ in parsed if name is not None]
    if bad := [name for name in names if not name.isidentifier()]:
        raise UsageError(f"{word!r}: {{{bad[0]}}} names no field", hint="a brace that is meant is written twice: {{")
    if formatted := [name for _, name, spec, how in parsed if spec or how]:
        raise UsageError(f"{word!r}: {formatted[0]} has a format", hint=f"write {{{formatted[0]}}}, and let the program format it")
    return names


def command_of(config: TrainConfig) -> list[str]:
    """Return the words of the command that trains a run."""
    assert config.program is not None
    values = {
        **config.model.options,
        "model": config.model.name,
        "epochs": _plain(config.schedule.epochs),
        "learning_rate": config.learning_rate,
        "seed": config.seed,
    } | ({"batch_size": config.batch_size} if config.batch_size else {})
    return [word.format(**values) for word in config.program.command]


def _plain(number: float) -> float | int:
    """Write a whole number of epochs without a point: programs often take an int."""
    return int(number) if number.is_integer() else number


def files_of(folder: Path, command: Sequence[str]) -> list[Path]:
    """List the files that make a program: all `*.py` below the folder, and the files in it that the command names; paths in the folder, sorted.

    Folders whose name begins with a point are left out, and so are installed packages and copies of programs.
    """
    found = set(_python_files(folder))
    for word in command:
        with_name = Path(word)
        if not with_name.is_absolute() and ".." not in with_name.parts and (folder / with_name).is_file():
            found.add(with_name)
    return sorted(found)


def _python_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        if any(mark in names for mark in _MARKS):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _LEFT_OUT]
        yield from (Path(place, name).relative_to(folder) for name in names if name.endswith(".py"))


def version_of(folder: Path, command: Sequence[str]) -> str:
    """Return 16 hex digits of a hash over the names and contents of a program's files."""
    digest = hashlib.sha256()
    for path in files_of(folder, command):
        content = (folder / path).read_bytes()
        digest.update(f"{path.as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def ship(folder: Path, command: Sequence[str], home: Path) -> Path:
    """Copy a program's files into the folder of runs, where every node finds them. Returns the copy's folder, named by their hash."""
    copies = home / "programs"
    copies.mkdir(parents=True, exist_ok=True)
    (copies / _MARKS[1]).touch()
    target = copies / version_of(folder, command)
    if not target.is_dir():
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        for path in files_of(folder, command):
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / path, partial / path)
        partial.mkdir(parents=True, exist_ok=True)
        try:
            partial.rename(target)
        except OSError:  # another one was first
            shutil.rmtree(partial, ignore_errors=True)
    return target


def working_folder(execution: Mapping[str, Any], home: Path | None, command: Iterable[str] = ()) -> Path:
    """Return where a run's program is started: in the experiments file's folder while that holds the same files, else in the copy of them.

    execution: `folder` and `files` (their hash) of a run's options. Raises `UsageError` where neither is there.
    """
    folder, files = Path(execution["folder"]), execution["files"]
    if folder.is_dir() and version_of(folder, list(command)) == files:
        return folder
    copy = home / "programs" / files if home is not None else None
    if copy is not None and copy.is_dir():
        return copy
    raise UsageError(
        f"the program's files are not as they were planned, neither in {folder} nor in {copy}",
        hint="submit its file again: the runs are planned anew",
    )
