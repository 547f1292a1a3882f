"""A folder of images, one folder a class: `train/<class>/*.jpg` and `val/<class>/*.jpg`, or `<class>/*.jpg` with a share held out.

JPEG, PNG and WebP. Classes are numbered, and examples ordered, by name. Without `train/` and `val/`, `validation_share` says which share is
held out: an image belongs to it when the hash of its name says so, so adding images moves none from one side to the other.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.errors import DataError, DataNotFound, UsageError
from trainer.data import fingerprint, shapes
from trainer.data.dataset import Dataset, Example
from trainer.data.names import NameTable
from trainer.typing import Options

__all__ = ["DEFAULTS", "OPTIONS", "ImageFiles", "images_below", "load", "split_folders"]

OPTIONS = shapes.OPTIONS | {"validation_share": "share held out where there are no train/ and val/, e.g. 0.1"}
DEFAULTS = {"channels": 3}

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_VALIDATION = ("val", "validation", "valid", "test")


@dataclass(frozen=True)
class ImageFiles:
    """Lists the files of one split, below `folder` and sorted by class and name. sizes: bytes."""

    folder: str
    names: NameTable
    sizes: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Example:
        return {"image": self.read(index), "label": int(self.labels[index]), "id": index}

    def name(self, index: int) -> str:
        """Return the path of a file below the folder."""
        return self.names[index]

    def read(self, index: int) -> bytes:
        """Read the bytes of a file. Raises `OSError`."""
        with open(os.path.join(self.folder, self.names[index]), "rb", buffering=0) as file:
            return file.read()

    def take(self, indices: np.ndarray) -> ImageFiles:
        """Return the files at `indices`, as a split of its own."""
        return ImageFiles(self.folder, self.names.take(indices), self.sizes[indices], self.labels[indices])


def load(options: Options) -> Dataset:
    """Describe both splits: list folders and sizes, and read 64 images a split. Other images are read when they are asked for.

    Raises `DataNotFound`, `DataError`, `UsageError`.
    """
    shapes.shapes(options)  # refused before anything is read
    folder = _folder(options)
    train, validation, classes = _splits(folder, options)
    parts: dict[str, object] = {"classes": fingerprint.digest(*map(str.encode, classes))}
    for split, files in (("train", train), ("validation", validation)):
        if not len(files):
            raise DataError(f"{folder}: the {split} split is empty", hint="check the folders and validation_share")
        parts |= {
            f"{split} images": len(files),
            f"{split} names": fingerprint.digest(files.names.text, files.names.starts),
            f"{split} sizes": fingerprint.digest(files.sizes),
            f"{split} content of {fingerprint.SAMPLED}": fingerprint.sampled(len(files), files.read),
        }
    count = shapes.class_count(options, len(classes), where=str(folder), names=classes)
    return shapes.described(folder.name, options, count, parts, train, validation)


def _folder(options: Options) -> Path:
    if not options.get("path"):
        raise UsageError("path is missing", hint="dataset: {name: imagefolder, path: FOLDER, train_px: 224}")
    folder = Path(options["path"]).expanduser()
    if not folder.is_dir():
        raise DataNotFound(
            f"there is no folder {folder}", hint="path: the folder that holds train/ and val/, or one folder a class"
        )
    return folder


def split_folders(folder: Path) -> tuple[Path, Path] | None:
    """Find the folders of both splits: `train/`, and `val/` or what it is called instead. None where there are not both."""
    held_out = next((folder / name for name in _VALIDATION if (folder / name).is_dir()), None)
    return (folder / "train", held_out) if (folder / "train").is_dir() and held_out is not None else None


def _splits(folder: Path, options: Options) -> tuple[ImageFiles, ImageFiles, list[str]]:
    share = options.get("validation_share")
    if (both := split_folders(folder)) is not None:
        train, held_out = both
        if share is not None:
            raise UsageError(f"{folder} has train/ and {held_out.name}/: validation_share is for one folder", hint="leave it out")
        classes = _classes(train)
        unknown = sorted(set(_classes(held_out)) - set(classes))
        if unknown:
            raise DataError(f"{held_out} has classes that {train} has not: {', '.join(unknown[:5])}", hint="both must agree")
        return _scan(train, classes), _scan(held_out, classes, may_lack=True), classes
    if share is None:
        raise DataError(
            f"{folder} has no train/ and val/", hint="validation_share: 0.1 holds out a tenth of the images of one folder a class"
        )
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise UsageError(f"validation_share: {share!r} is not between 0 and 1", hint="e.g. 0.1")
    classes = _classes(folder)
    files = _scan(folder, classes)
    out = np.array([_place(files.name(index)) < share for index in range(len(files))], bool)
    return files.take(np.flatnonzero(~out)), files.take(np.flatnonzero(out)), classes


def _classes(folder: Path) -> list[str]:
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{folder} has no folders: one a class is wanted", hint="e.g. train/cat/1.jpg, train/dog/2.jpg")
    twice = [name for name, count in Counter(map(str.casefold, names)).items() if count > 1]
    if twice:
        raise DataError(
            f"{folder} has several folders called {twice[0]!r} but for upper and lower case",
            hint="make them one class or two names",
        )
    return names


def _scan(folder: Path, classes: list[str], *, may_lack: bool = False) -> ImageFiles:
    names: list[str] = []
    sizes: list[int] = []
    counts = []
    for name in classes:
        found = sorted(images_below(folder / name, f"{name}/")) if (folder / name).is_dir() else []
        if not found and not may_lack:
            raise DataError(
                f"{folder / name} holds no images", hint=f"put {', '.join(_SUFFIXES)} files there, or remove the folder"
            )
        names += [path for path, _ in found]
        sizes += [size for _, size in found]
        counts.append(len(found))
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), counts)
    return ImageFiles(str(folder), NameTable.of(names), np.array(sizes, np.int64), labels)


def images_below(folder: Path, below: str = "") -> Iterator[tuple[str, int]]:
    """Yield (path, bytes) of every image in a folder and in those within. A path begins with `below`."""
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from images_below(Path(entry.path), f"{below}{entry.name}/")
        elif entry.name.lower().endswith(_SUFFIXES) and not entry.name.startswith("."):
            yield f"{below}{entry.name}", entry.stat().st_size


def _place(name: str) -> float:
    """Hash a name to a number in 0 … 1."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
