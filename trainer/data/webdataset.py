"""WebDataset tars, made random-access by an index that is built once.

A sample is all members of one name up to the first dot of the last part: `n01/7.jpg` with `n01/7.cls` (a number) or `n01/7.json`
(`{"label": …}`). The index holds, for each sample, where its image lies and what its label is. It is kept beside the tars, or under
`~/.cache/scaling` where that folder cannot be written. It is built anew when the tars have other sizes or times.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.data import fingerprint, shapes
from trainer.data.dataset import Dataset, Example
from trainer.data.split_files import OPTIONS as SPLIT_OPTIONS
from trainer.data.split_files import split_files
from trainer.data.tar_index import TarIndex, index_of
from trainer.typing import Options

__all__ = ["DEFAULTS", "OPTIONS", "TarSamples", "load"]

OPTIONS = shapes.OPTIONS | SPLIT_OPTIONS
DEFAULTS = {"channels": 3}


class TarSamples:
    """Reads one split: images in tars, at their offsets. Files are opened by the process that reads."""

    def __init__(self, files: Sequence[Path], index: TarIndex) -> None:
        self._files, self.index = [str(path) for path in files], index
        self._open: dict[int, int] = {}

    @property
    def files(self) -> list[str]:
        """Return the paths of the files."""
        return self._files

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_open": {}}

    def __del__(self) -> None:
        for handle in self._open.values():
            os.close(handle)

    def __len__(self) -> int:
        return len(self.index.labels)

    def __getitem__(self, index: int) -> Example:
        return {"image": self.read(index), "label": int(self.index.labels[index]), "id": index}

    @property
    def labels(self) -> np.ndarray:
        """Return the label of each sample: [samples] int32."""
        return self.index.labels

    def read(self, index: int) -> bytes:
        """Read the bytes of a sample's image. Raises `OSError`."""
        number = int(self.index.files[index])
        if number not in self._open:
            self._open[number] = os.open(self._files[number], os.O_RDONLY)
        return os.pread(self._open[number], int(self.index.sizes[index]), int(self.index.offsets[index]))

    def name(self, index: int) -> str:
        """Name a sample by its tar and member."""
        return f"{Path(self._files[int(self.index.files[index])]).name}: {self.index.names[index]}"


def load(options: Options) -> Dataset:
    """Describe both splits, by the index and 64 images a split. Other images are read when they are asked for.

    Raises `DataNotFound`, `DataError`, `UsageError`.
    """
    shapes.shapes(options)  # refused before anything is read
    folder, files = split_files(options, "*.tar")
    splits = {split: TarSamples(paths, index_of(folder, split, paths)) for split, paths in files.items()}
    found = shapes.classes_by_labels({split: (samples.labels, samples.name) for split, samples in splits.items()}, options)
    classes = shapes.class_count(options, found, where=str(folder))
    parts: dict[str, object] = {"classes": classes}
    for split, samples in splits.items():
        index = samples.index
        parts |= {
            f"{split} images": len(samples),
            f"{split} names": fingerprint.digest(index.names.text, index.names.starts),
            f"{split} sizes": fingerprint.digest(index.sizes),
            f"{split} labels": fingerprint.digest(index.labels),
            f"{split} content of {fingerprint.SAMPLED}": fingerprint.sampled(len(samples), samples.read),
        }
    return shapes.described(folder.name, options, classes, parts, splits["train"], splits["validation"])
