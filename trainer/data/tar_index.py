"""The index of a split's tars: where each sample's image lies. Built by one pass over the headers, kept for the next time."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scaling.errors import DataError
from trainer.data.fingerprint import digest
from trainer.data.names import NameTable

__all__ = ["TarIndex", "index_of"]

_IMAGES = ("jpg", "jpeg", "png", "webp")
_LABELS = ("cls", "json")


@dataclass(frozen=True)
class TarIndex:
    """Holds for each sample the number of its file, offset and size of its image there, its label, and the image's name."""

    files: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray
    names: NameTable


@dataclass
class _Sample:
    """Collects what has been seen of one sample of a tar."""

    key: str
    name: str = ""
    offset: int = 0
    size: int = 0
    labels: dict[str, bytes] = field(default_factory=dict)


def index_of(folder: Path, split: str, files: Sequence[Path]) -> TarIndex:
    """Read the index of these tars from where it is kept, or else build and keep it.

    Raises `DataError` for a tar that cannot be indexed.
    """
    stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    key = digest(*(f"{name} {stat.st_size} {stat.st_mtime_ns}".encode() for name, stat in stats))
    places = (folder / ".scaling-index", Path.home() / ".cache" / "scaling" / "tar-index")
    for place in places:
        with suppress(Exception):  # a file that is cut short or damaged raises errors of many kinds; the tars say all of it again
            return _read(place / f"{split}-{key}.npz")
    index = _built(folder, files)
    for place in places:
        with suppress(OSError):
            _write(place / f"{split}-{key}.npz", index)
            break
    return index


def _built(folder: Path, files: Sequence[Path]) -> TarIndex:
    rows: list[tuple[int, int, int, int]] = []
    names: list[str] = []
    seen: dict[str, Path] = {}
    for number, path in enumerate(files):
        for sample in _samples(path):
            if sample.key in seen:
                raise DataError(
                    f"sample {sample.key!r} is in {seen[sample.key].name} and again in {path.name}",
                    hint="keys must be unique within a split: rename or remove one",
                )
            seen[sample.key] = path
            rows.append((number, sample.offset, sample.size, _label(sample, path)))
            names.append(sample.name)
    if not rows:
        raise DataError(
            f"{folder}: no samples in {', '.join(path.name for path in files[:3])}", hint="a sample is e.g. 7.jpg with 7.cls"
        )
    table = np.array(rows, np.int64)
    return TarIndex(
        table[:, 0].astype(np.int32), table[:, 1].copy(), table[:, 2].copy(), table[:, 3].astype(np.int32), NameTable.of(names)
    )


def _samples(path: Path) -> Iterator[_Sample]:
    """Yield the samples of a tar in their order. Members of one sample lie together, as the format demands."""
    current: _Sample | None = None
    try:
        with path.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:") as tar:
            size = os.fstat(raw.fileno()).st_size
            for member in tar:
                if not member.isfile() or Path(member.name).name.startswith("."):
                    continue
                if member.offset_data + member.size > size:
                    raise DataError(f"{path} is cut short in {member.name}", hint="fetch it again")
                parent, _, last = member.name.rpartition("/")
                stem, _, extension = last.partition(".")
                key = f"{parent}/{stem}" if parent else stem
                if current is None or current.key != key:
                    if current is not None and current.size:
                        yield current
                    current = _Sample(key)
                _enter(current, member, extension.lower(), raw)
    except tarfile.TarError as error:
        raise DataError(
            f"{path} is not a readable tar: {error}", hint="fetch it again; compressed tars have no random access"
        ) from None
    if current is not None and current.size:
        yield current


def _enter(sample: _Sample, member: tarfile.TarInfo, extension: str, raw: BinaryIO) -> None:
    if extension in _IMAGES:
        sample.name, sample.offset, sample.size = member.name, member.offset_data, member.size
    elif extension in _LABELS:
        place = raw.tell()
        raw.seek(member.offset_data)
        sample.labels[extension] = raw.read(member.size)
        raw.seek(place)


def _label(sample: _Sample, path: Path) -> int:
    try:
        label = int(sample.labels["cls"] if "cls" in sample.labels else json.loads(sample.labels["json"])["label"])
        if abs(label) > np.iinfo(np.int32).max:
            raise ValueError
        return label
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        found = sample.labels.get("cls", sample.labels.get("json", b""))[:40]
        raise DataError(
            f"{path.name}: sample {sample.key!r} has no label: {found!r}",
            hint='each needs .cls with a number, or .json with {"label": number}',
        ) from None


def _read(path: Path) -> TarIndex:
    with np.load(path) as stored:
        names = NameTable(stored["text"].tobytes(), stored["starts"])
        index = TarIndex(stored["files"], stored["offsets"], stored["sizes"], stored["labels"], names)
    if {len(index.files), len(index.offsets), len(index.sizes), len(index.names)} != {len(index.labels)}:
        raise ValueError("the columns of an index are of different lengths")
    return index


def _write(path: Path, index: TarIndex) -> None:
    """Write the index whole or not at all: several processes may build it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez(
        draft, files=index.files, offsets=index.offsets, sizes=index.sizes, labels=index.labels,
        text=np.frombuffer(index.names.text, np.uint8), starts=index.names.starts,
    )  # fmt: skip
    draft.replace(path)
