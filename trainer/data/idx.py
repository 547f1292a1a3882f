"""MNIST and its drop-in successors in the IDX format: `train-images-idx3-ubyte` and three more files, gzipped or not.

Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747): 60,000 + 10,000 images of 28×28 pixels in ten classes.
Debian ships it as the package `dataset-fashion-mnist`.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from scaling.errors import DataError, DataNotFound, UsageError
from trainer.data.dataset import ArrayExamples, DataCard, Dataset
from trainer.data.shapes import shapes
from trainer.typing import ImageShape, Options

__all__ = ["DEFAULTS", "OPTIONS", "fashion_mnist", "mnist", "read_idx"]

OPTIONS = {
    "path": "folder of the four IDX files",
    "classes": "labels that are kept, e.g. [0, 1, 2], in the order of the network's outputs; default all",
    "train_px": "side of a training image, default as in the files",
    "eval_px": "side of a held-out image, default train_px",
}

_CLASSES = 10
_ALL_CLASSES = tuple(range(_CLASSES))
DEFAULTS = {"classes": list(_ALL_CLASSES)}
_UNSIGNED_BYTES = 0x08
_PART_BYTES = 2**24
_FORMAT_HINT = "expected the MNIST file format, gzipped or not"


class IdxFormat:
    """Reads one data set in IDX files. `places` are tried in order when the file gives no `path`."""

    def __init__(self, name: str, places: tuple[str, ...], mean: float, std: float, hint: str) -> None:
        self.name, self.places, self.mean, self.std, self.hint = name, places, mean, std, hint

    def card(self, options: Options) -> DataCard:
        """Describe the data set, which reads all of it once. Raises `DataNotFound` naming every place that was tried, `DataError`."""
        folder, classes = self._folder(options), _classes(options)
        fingerprint, train, held_out = _content(str(folder), classes)
        _, height, width = _header(_file(folder, "train", "images", 3), 3)
        image_shape, evaluation_shape, margin_px = _sizes(options, (height, width, 1))
        return DataCard(
            self.name, fingerprint, len(classes), image_shape, train, held_out,
            evaluation_shape=evaluation_shape, evaluation_margin_px=margin_px,
        )  # fmt: skip

    def load(self, options: Options) -> Dataset:
        """Read both splits: `train-*` for training, `t10k-*` held out. Raises `DataNotFound`, `DataError`, `UsageError`."""
        folder, classes = self._folder(options), _classes(options)
        return Dataset(self.card(options), self._examples(folder, "train", classes), self._examples(folder, "t10k", classes))

    def _examples(self, folder: Path, split: str, classes: tuple[int, ...]) -> ArrayExamples:
        images, labels = _split(folder, split, classes)
        return ArrayExamples(images[..., None], labels, full_scale=255.0, mean=self.mean, std=self.std)

    def _folder(self, options: Options) -> Path:
        places = (options["path"],) if options.get("path") else self.places
        for place in places:
            folder = Path(place).expanduser()
            if folder.is_dir() and any(folder.glob("train-images*")):
                return folder
        raise DataNotFound(f"data set {self.name}: no IDX files in {' or '.join(map(str, places))}", hint=self.hint)


def _find(folder: Path, split: str, kind: str, rank: int) -> Path | None:
    names = (f"{split}-{kind}-idx{rank}-ubyte", f"{split}-{kind}.idx{rank}-ubyte")
    return next((path for name in names for path in (folder / f"{name}.gz", folder / name) if path.exists()), None)


def _file(folder: Path, split: str, kind: str, rank: int) -> Path:
    path = _find(folder, split, kind, rank)
    if path is None:
        raise DataNotFound(f"{folder} has no {split}-{kind}-idx{rank}-ubyte[.gz]", hint="all four files belong in one folder")
    return path


def read_idx(path: Path, rank: int | None = None) -> np.ndarray:
    """Read an IDX file of unsigned bytes as an array. Raises `DataError` when it is cut short, damaged, or something else.

    rank: axes that it must have.
    """
    with _one_reason(path), _open(path) as file:
        shape = _read_header(path, file, rank)
        promised = math.prod(shape)
        parts: list[bytes] = []
        while (left := promised + 1 - sum(map(len, parts))) and (part := file.read(min(left, _PART_BYTES))):
            parts.append(part)
    data = b"".join(parts)
    if len(data) != promised:
        held = f"{len(data):,}" if len(data) < promised else f"more than {promised:,}"
        raise DataError(f"{path} holds {held} bytes, its header promises {promised:,}", hint="fetch the file again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _header(path: Path, rank: int) -> tuple[int, ...]:
    with _one_reason(path), _open(path) as file:
        return _read_header(path, file, rank)


def _read_header(path: Path, file: BufferedIOBase, rank: int | None) -> tuple[int, ...]:
    zero, kind, axes = struct.unpack(">HBB", file.read(4))
    shape = struct.unpack(f">{axes}I", file.read(4 * axes))
    if zero != 0 or kind != _UNSIGNED_BYTES or axes != (rank or axes):
        what = "of unsigned bytes" if zero or kind != _UNSIGNED_BYTES else f"of {rank} axes: it has {axes}"
        raise DataError(f"{path} is not an IDX file {what}", hint=_FORMAT_HINT)
    return shape


@contextmanager
def _one_reason(path: Path) -> Iterator[None]:
    """Turn whatever reading and unpacking raise into one error that names the file."""
    try:
        yield
    except struct.error as error:
        raise DataError(f"{path} is not an IDX file: {error}", hint=_FORMAT_HINT) from error
    except EOFError as error:
        raise DataError(f"{path} is cut short: {error}", hint="fetch the file again") from error
    except (OSError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}", hint=_FORMAT_HINT) from error


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _classes(options: Options) -> tuple[int, ...]:
    """Read which labels are kept, in the order of the network's outputs. Raises `UsageError`."""
    kept = options.get("classes", list(_ALL_CLASSES))
    known = isinstance(kept, list | tuple) and all(type(label) is int and label in _ALL_CLASSES for label in kept)
    if not known or len(set(kept)) != len(kept) or len(kept) < 2:
        raise UsageError(
            f"classes: {kept!r} is not a list of two or more of the labels 0 … 9, each once", hint="e.g. classes: [0, 1, 2, 3, 4]"
        )
    return tuple(kept)


def _sizes(options: Options, stored: ImageShape) -> tuple[ImageShape, ImageShape | None, float | None]:
    """Return the shapes in training and in evaluation, where that differs, and the margin of evaluation: none, since objects fill these images.

    Raises `UsageError`.
    """
    if "train_px" not in options and "eval_px" not in options:
        return stored, None, None
    return *shapes({"train_px": stored[0], **options, "channels": stored[2]}), 0.0


def _split(folder: Path, split: str, classes: tuple[int, ...] = _ALL_CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Read the images [N, H, W] of these classes and their labels [N], places in `classes`.

    Raises `DataError` when images and labels do not belong together, or a label of the file is no class.
    """
    images = read_idx(_file(folder, split, "images", 3), 3)
    labels = read_idx(path := _file(folder, split, "labels", 1), 1)
    if len(images) != len(labels):
        raise DataError(f"{folder}: {len(images)} {split} images but {len(labels)} labels", hint="the files are not of one set")
    if others := np.flatnonzero(labels >= _CLASSES).tolist():
        raise DataError(
            f"{path}: {len(others):,} of {len(labels):,} labels are not 0 … {_CLASSES - 1}, the first is {labels[others[0]]} (example {others[0]})",
            hint="a set of other classes is read by `dataset: {source: …}`; `scaling docs data` shows how",
        )
    if classes == _ALL_CLASSES:
        return images, labels
    place = np.full(_CLASSES, len(classes), np.uint8)
    place[list(classes)] = np.arange(len(classes))
    kept = place[labels] < len(classes)
    return images[kept], place[labels[kept]]


@cache
def _content(folder: str, classes: tuple[int, ...]) -> tuple[str, int, int]:
    """Hash the pixels and labels, so that a gzipped copy elsewhere is the same data set; and count the images of both splits."""
    digest, counts = hashlib.sha256(), []
    for split in ("train", "t10k"):
        images, labels = _split(Path(folder), split, classes)
        digest.update(images.tobytes())
        digest.update(labels.tobytes())
        counts.append(len(labels))
    train, held_out = counts
    return digest.hexdigest()[:16], train, held_out


fashion_mnist = IdxFormat(
    "fashion_mnist",
    places=("data/fashion-mnist", "/usr/share/datasets/fashion-mnist"),
    mean=0.286,
    std=0.353,
    hint="on Debian: apt install dataset-fashion-mnist; elsewhere put the four IDX files in a folder and say dataset: {name: fashion_mnist, path: …}",
)
mnist = IdxFormat(
    "mnist",
    places=("data/mnist",),
    mean=0.1307,
    std=0.3081,
    hint="put the four IDX files in a folder and say dataset: {name: mnist, path: …}",
)
