"""Parquet files as the Hugging Face Hub holds image data sets: a column of image bytes and a column of labels, whole numbers or text.

Rows are reached through their row group: the group is the smallest part that Parquet reads, so one example costs the reading of all its
group's images. The last groups read are kept, up to 256 MB a process; a data set that fits is read once. For a larger one, files of small
row groups (`row_group_size=8` when they are written) or another format are quicker.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from scaling.errors import DataError, DataFault, UsageError
from scaling.extras import needed_for
from trainer.data import fingerprint, shapes
from trainer.data.dataset import BadExample, Dataset, Example
from trainer.data.parquet_labels import read_labels
from trainer.data.split_files import OPTIONS as SPLIT_OPTIONS
from trainer.data.split_files import split_files
from trainer.typing import Options

if TYPE_CHECKING:
    from pyarrow import ChunkedArray
    from pyarrow.parquet import ParquetFile

__all__ = ["DEFAULTS", "OPTIONS", "ParquetRows", "load"]

OPTIONS = (
    shapes.OPTIONS
    | SPLIT_OPTIONS
    | {"image_column": "column of images, default image or img", "label_column": "column of labels, default label or labels"}
)
DEFAULTS = {"channels": 3}

_KEPT_BYTES = 256 * 2**20
_IMAGE = ("image", "img", "jpg", "png")
_LABEL = ("label", "labels", "fine_label", "class", "cls")


class ParquetRows:
    """Reads one split: rows of several files, one after the other. Files are opened by the process that reads.

    classes: of labels that are text, those of the training split, numbered in their order; None takes what is there, sorted by name.
    """

    def __init__(self, files: Sequence[Path], options: Options, classes: Sequence[str] | None = None) -> None:
        self._files = [str(path) for path in files]
        self._open: dict[int, ParquetFile] = {}
        self._groups: OrderedDict[int, ChunkedArray] = OrderedDict()
        self._image = _column(self._file(0), options, "image_column", _IMAGE)
        self._label = _column(self._file(0), options, "label_column", _LABEL)
        self._places = [(number, group) for number in range(len(files)) for group in range(self._file(number).num_row_groups)]
        rows = [self._file(number).metadata.row_group(group).num_rows for number, group in self._places]
        self._starts = np.cumsum([0, *rows])
        columns = [
            (path, self._read(number, lambda file: file.read([self._label]).column(self._label)))
            for number, path in enumerate(self._files)
        ]
        self.labels, self.classes = read_labels(columns, classes)

    @property
    def files(self) -> list[str]:
        """Return the paths of the files."""
        return self._files

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_open": {}, "_groups": OrderedDict()}

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Example:
        label = int(self.labels[index])
        if label < 0 and self.classes is not None:
            raise BadExample("the row has no label")
        return {"image": self.read(index), "label": label, "id": index}

    def read(self, index: int) -> bytes:
        """Read the bytes of a row's image. Raises `BadExample` when there are none."""
        place = int(np.searchsorted(self._starts, index, side="right")) - 1
        value = self._group(place)[index - int(self._starts[place])].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise BadExample("the row has no image bytes")
        return content

    def name(self, index: int) -> str:
        """Name a row by its file and its number there."""
        place = int(np.searchsorted(self._starts, index, side="right")) - 1
        number, _ = self._places[place]
        first = next(start for (other, _), start in zip(self._places, self._starts, strict=False) if other == number)
        return f"{Path(self._files[number]).name}, row {index - first}"

    @property
    def class_names(self) -> list[str] | None:
        """Return the names of the classes.

        Text labels are names themselves. Those of numbers are as the Hub's libraries write them into the schema, None where they did not.
        """
        if self.classes is not None:
            return self.classes
        try:
            about = json.loads(self._file(0).schema_arrow.metadata[b"huggingface"])
            return about["info"]["features"][self._label]["names"]
        except (KeyError, TypeError, ValueError):
            return None

    def _group(self, place: int) -> ChunkedArray:
        if place in self._groups:
            self._groups.move_to_end(place)
            return self._groups[place]
        number, group = self._places[place]
        column = self._read(number, lambda file: file.read_row_group(group, columns=[self._image]).column(self._image))
        self._groups[place] = column
        while len(self._groups) > 1 and sum(kept.nbytes for kept in self._groups.values()) > _KEPT_BYTES:
            self._groups.popitem(last=False)
        return column

    def _file(self, number: int) -> ParquetFile:
        if number not in self._open:
            pyarrow = _pyarrow()
            try:
                self._open[number] = pyarrow.parquet.ParquetFile(self._files[number], memory_map=True)
            except (pyarrow.ArrowException, OSError) as error:
                raise DataError(f"{self._files[number]} is not a Parquet file: {error}", hint="fetch it again") from None
        return self._open[number]

    def _read(self, number: int, read: Callable[[ParquetFile], ChunkedArray]) -> ChunkedArray:
        """Read from a file by `read`. Raises `DataFault` where the file is damaged, or has not the columns of the first."""
        pyarrow = _pyarrow()
        try:
            return read(self._file(number))
        except (pyarrow.ArrowException, KeyError, IndexError, OSError) as error:
            raise DataFault(
                f"{self._files[number]} cannot be read: {(str(error).splitlines() or [''])[0]}",
                hint="all files need the same columns; fetch a damaged one again",
            ) from error


def _pyarrow() -> ModuleType:
    with needed_for("Parquet files need"):
        import pyarrow
        import pyarrow.parquet
    return pyarrow


def load(options: Options) -> Dataset:
    """Describe both splits: read footers, labels and the row groups of 64 images a split. Other images are read when they are asked for.

    Raises `DataNotFound`, `DataError`, `UsageError`.
    """
    shapes.shapes(options)  # refused before anything is read
    folder, files = split_files(options, "*.parquet")
    train = ParquetRows(files["train"], options)
    splits = {"train": train, "validation": ParquetRows(files["validation"], options, train.classes)}
    if (train.classes is None) != (splits["validation"].classes is None):
        raise DataError(f"{folder}: the labels of one split are text, those of the other are numbers", hint="write both alike")
    names = train.class_names
    found = (
        len(names)
        if names
        else shapes.classes_by_labels({split: (rows.labels, rows.name) for split, rows in splits.items()}, options)
    )
    parts: dict[str, object] = {} if train.classes is None else {"classes": fingerprint.digest(*map(str.encode, train.classes))}
    for split, rows in splits.items():
        if not len(rows):
            raise DataError(f"{folder}: the {split} split is empty", hint="check the patterns train and validation")
        parts |= {
            f"{split} rows": len(rows),
            f"{split} files": fingerprint.digest(*(f"{path.name} {path.stat().st_size}".encode() for path in files[split])),
            f"{split} labels": fingerprint.digest(rows.labels),
            f"{split} content of {fingerprint.SAMPLED}": fingerprint.sampled(len(rows), rows.read),
        }
    classes = shapes.class_count(options, found, where=str(folder), names=names or ())
    return shapes.described(folder.name, options, classes, parts, splits["train"], splits["validation"])


def _column(file: ParquetFile, options: Options, option: str, usual: Sequence[str]) -> str:
    names = file.schema_arrow.names
    wanted = [options[option]] if option in options else usual
    for name in wanted:
        if name in names:
            return name
    raise UsageError(f"no column {' or '.join(wanted)} among {', '.join(names)}", hint=f"{option}: the name of the column")
