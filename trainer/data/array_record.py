"""ArrayRecord files of `tf.train.Example`s, as TensorFlow Datasets writes them: random access by design, read without TensorFlow.

`path` is a folder such as `~/tensorflow_datasets/imagenet2012/5.1.0`. The number of classes comes from its `features.json` or
`label.labels.txt`. Labels are in the records, so they are seen when an example is read, not before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.errors import DataError
from scaling.extras import needed_for
from trainer.data import fingerprint, shapes
from trainer.data.dataset import BadExample, Dataset, Example
from trainer.data.split_files import OPTIONS as SPLIT_OPTIONS
from trainer.data.split_files import split_files
from trainer.data.tf_example import Value, parse
from trainer.typing import Options

if TYPE_CHECKING:
    from array_record.python.array_record_module import ArrayRecordReader

__all__ = ["DEFAULTS", "OPTIONS", "Records", "load"]

OPTIONS = shapes.OPTIONS | SPLIT_OPTIONS
DEFAULTS = {"channels": 3}

_IMAGE = ("image", "image/encoded")
_LABEL = ("label", "image/class/label")
_RANDOM_ACCESS = "readahead_buffer_size:0,max_parallelism:0"


class Records:
    """Reads one split: the records of several files, one after the other. Files are opened by the process that reads."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = [str(path) for path in files]
        self._readers: dict[int, ArrayRecordReader] = {}
        self._starts = np.cumsum([0, *(self._reader(number).num_records() for number in range(len(files)))])

    @property
    def files(self) -> list[str]:
        """Return the paths of the files."""
        return self._files

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_readers": {}}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Example:
        try:
            features = parse(self.read(index))
        except ValueError as error:
            raise BadExample(str(error)) from None
        return {"image": _first(features, _IMAGE), "label": _first(features, _LABEL), "id": index}

    def read(self, index: int) -> bytes:
        """Read the bytes of a record. Raises `BadExample` when the file is damaged there."""
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        try:
            return self._reader(number).read([index - int(self._starts[number])])[0]
        except (ValueError, IndexError, RuntimeError) as error:
            raise BadExample(f"unreadable record: {error}") from None

    def name(self, index: int) -> str:
        """Name a record by its file and its number there."""
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return f"{Path(self._files[number]).name}[{index - self._starts[number]}]"

    def _reader(self, number: int) -> ArrayRecordReader:
        if number not in self._readers:
            with needed_for("ArrayRecord files need"):
                from array_record.python.array_record_module import ArrayRecordReader

            reader = ArrayRecordReader(self._files[number], _RANDOM_ACCESS)
            if not reader.num_records():  # what a file without a sound footer says, whatever is in it
                raise DataError(
                    f"{self._files[number]} is not an ArrayRecord file, or is cut short", hint="fetch or write it again"
                )
            self._readers[number] = reader
        return self._readers[number]


def load(options: Options) -> Dataset:
    """Describe both splits, by the files' footers and 64 records a split. Other records are read when they are asked for.

    Raises `DataNotFound`, `DataError`, `UsageError`.
    """
    shapes.shapes(options)  # refused before anything is read
    folder, files = split_files(options, "*array_record*")
    classes = shapes.class_count(options, _classes(folder), where=str(folder))
    parts: dict[str, object] = {"classes": classes}
    splits = {}
    for split, paths in files.items():
        records = splits[split] = Records(paths)
        parts |= {
            f"{split} records": len(records),
            f"{split} files": fingerprint.digest(*(f"{path.name} {path.stat().st_size}".encode() for path in paths)),
            f"{split} content of {fingerprint.SAMPLED}": fingerprint.sampled(len(records), records.read),
        }
    return shapes.described(folder.name, options, classes, parts, splits["train"], splits["validation"])


def _first(features: Mapping[str, Value], names: Sequence[str]) -> Any:
    for name in names:
        if features.get(name):
            return features[name][0]
    raise BadExample(f"the record has no feature {' or '.join(names)}, but {', '.join(sorted(features)) or 'none'}")


def _classes(folder: Path) -> int | None:
    """Read the number of classes as TensorFlow Datasets writes it down; None where it did not."""
    try:
        features = json.loads((folder / "features.json").read_text())["featuresDict"]["features"]
        return int(features["label"]["classLabel"]["numClasses"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        return len((folder / "label.labels.txt").read_text().split("\n")) - 1 or None
    except OSError:
        return None
