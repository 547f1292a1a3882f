"""MNIST and its drop-in successors in the IDX format: `train-images-idx3-ubyte` and friends, gzipped or not.

Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747): 60,000 + 10,000 images of 28×28 pixels in ten classes.
Debian ships it as the package `dataset-fashion-mnist`.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from scaling.errors import DataError, DataNotFound
from trainer.data.dataset import ArrayExamples, DataCard, Dataset

__all__ = ["OPTIONS", "fashion_mnist", "mnist", "read_idx"]

OPTIONS = {"path": "folder of the four IDX files"}


class IdxFormat:
    """One data set in IDX files. `places` are tried in order when the file gives no `path`."""

    def __init__(self, name: str, places: tuple[str, ...], mean: float, std: float, hint: str) -> None:
        self.name, self.places, self.mean, self.std, self.hint = name, places, mean, std, hint

    def card(self, options: Mapping[str, Any]) -> DataCard:
        """Describe it. Raises `DataNotFound` naming every place that was tried."""
        folder = self._folder(options)
        headers = {split: _header(_file(folder, split, "images", 3)) for split in ("train", "t10k")}
        (train, height, width), (held_out, *_) = headers["train"], headers["t10k"]
        return DataCard(self.name, _fingerprint(str(folder)), 10, (height, width, 1), train, held_out)

    def load(self, options: Mapping[str, Any]) -> Dataset:
        """Read it: `train-*` for training, `t10k-*` held out. Raises `DataNotFound`, `DataError`."""
        folder = self._folder(options)
        return Dataset(self.card(options), self._examples(folder, "train"), self._examples(folder, "t10k"))

    def _examples(self, folder: Path, split: str) -> ArrayExamples:
        images = read_idx(_file(folder, split, "images", 3))
        labels = read_idx(_file(folder, split, "labels", 1))
        if len(images) != len(labels):
            raise DataError(f"{folder}: {len(images)} {split} images but {len(labels)} labels", hint="the files are not of one set")
        return ArrayExamples(images[..., None], labels, full_scale=255.0, mean=self.mean, std=self.std)

    def _folder(self, options: Mapping[str, Any]) -> Path:
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


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes as an array. Raises `DataError` when it is cut short or something else."""
    with _open(path) as file:
        shape = _read_header(path, file)
        data = file.read()
    if len(data) != int(np.prod(shape)):
        raise DataError(
            f"{path} holds {len(data)} bytes, its header promises {int(np.prod(shape))}",
            hint="the file is cut short: fetch it again",
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _header(path: Path) -> tuple[int, ...]:
    with _open(path) as file:
        return _read_header(path, file)


def _read_header(path: Path, file: Any) -> tuple[int, ...]:
    try:
        zero, kind, rank = struct.unpack(">HBB", file.read(4))
        shape = struct.unpack(f">{rank}I", file.read(4 * rank))
    except (struct.error, OSError, EOFError) as error:
        raise DataError(f"{path} is not an IDX file: {error}", hint="expected the MNIST file format, gzipped or not") from error
    if zero != 0 or kind != 0x08:
        raise DataError(f"{path} is not an IDX file of unsigned bytes", hint="expected the MNIST file format, gzipped or not")
    return shape


def _open(path: Path) -> Any:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


@cache
def _fingerprint(folder: str) -> str:
    """Of the pixels and labels, so that a gzipped copy elsewhere is the same data set."""
    digest = hashlib.sha256()
    for split in ("train", "t10k"):
        for kind, rank in (("images", 3), ("labels", 1)):
            digest.update(read_idx(_file(Path(folder), split, kind, rank)).tobytes())
    return digest.hexdigest()[:16]


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
