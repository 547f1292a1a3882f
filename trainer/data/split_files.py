"""Which files of a folder belong to which split, for formats that keep many examples in a file."""

from __future__ import annotations

from pathlib import Path

from scaling.errors import DataNotFound, UsageError
from trainer.typing import Options

__all__ = ["OPTIONS", "split_files"]

OPTIONS = {
    "train": "files of the training split, a pattern below path; default: those with `train` in their name",
    "validation": "files of the held-out split; default: those with `validation` or `val`, else `test`, in their name",
}

_MARKS = {"train": ("train",), "validation": ("val", "test")}


def split_files(options: Options, suffix: str) -> tuple[Path, dict[str, list[Path]]]:
    """Find the folder, and the files of each split, sorted by name. `suffix` is a pattern that every file of the format matches.

    Raises `DataNotFound`, `UsageError`.
    """
    if not options.get("path"):
        raise UsageError("path is missing", hint="the folder that holds the files")
    folder = Path(options["path"]).expanduser()
    if not folder.is_dir():
        raise DataNotFound(f"there is no folder {folder}", hint="path: the folder that holds the files")
    all_files = sorted(path for path in folder.rglob(suffix) if path.is_file())
    found: dict[str, list[Path]] = {}
    for split, marks in _MARKS.items():
        if split in options:
            found[split] = sorted(path for path in folder.glob(str(options[split])) if path.is_file())
        else:
            by_mark = ([path for path in all_files if mark in path.relative_to(folder).as_posix().lower()] for mark in marks)
            found[split] = next((paths for paths in by_mark if paths), [])
        if not found[split]:
            raise DataNotFound(
                f"{folder} has no {split} files ({options.get(split, f'{suffix} with {marks[0]} in the name')})",
                hint=f"{split}: a pattern below the folder, e.g. {split}: '{split}-*'",
            )
    both = set(found["train"]) & set(found["validation"])
    if both:
        raise UsageError(f"{min(both)} is in both splits", hint="give patterns for train and validation that share no file")
    return folder, found
