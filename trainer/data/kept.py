"""A data set without the training images that a list names. Those that are kept are numbered anew, 0 … n − 1, in their old order.

So the order of a run, its audit and its steps are those of any data set with n images. Held-out images are never left out: runs are
compared on the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from scaling.errors import DataFault, UsageError
from trainer.data.dataset import ArrayExamples, DataCard, Dataset, Example, Examples
from trainer.data.exclusion import ExclusionList, ExclusionRow
from trainer.data.fingerprint import digest, whole
from trainer.data.ids import ids_of
from trainer.typing import ImageShape, Options

__all__ = ["EXCLUDE", "excluded", "left_out", "list_of", "uncut"]

EXCLUDE = "exclude"
"""The option of a data set that names a list."""

_UNCUT, _LEFT_OUT, _ROWS = "content before exclusion", "excluded images", "exclusion list"
_ANEW = "`scaling dedup FILE` makes a list for the data as they are now"


def list_of(options: Options) -> ExclusionList | None:
    """Read the list that a data set's options name; None without one. Raises `UsageError`, and as `ExclusionList.read`."""
    if EXCLUDE not in options:
        return None
    path = options[EXCLUDE]
    if not isinstance(path, str) or not path:
        raise UsageError(f"{EXCLUDE}: {path!r} is not the name of a file", hint="a list that `scaling dedup FILE` writes")
    return ExclusionList.read(path)


def excluded(dataset: Dataset, options: Options, listed: ExclusionList) -> Dataset:
    """Leave out of training what a list names.

    Of a list that says that nothing was found, the data set is returned as it is. Else its fingerprint is over the one before and the
    list's rows of its training images, in whatever order.

    Raises `DataFault`: the list is of other data, calls an image by another id than the data do, or leaves no image.
    """
    card, where = dataset.card, listed.where
    _require_same(card, listed)
    rows = listed.training_rows(card.fingerprint)
    if not rows:
        return dataset
    _require_ids(rows, dataset, options, where)
    kept = np.setdiff1d(np.arange(card.train_examples), [row.index for row in rows])
    if not len(kept):
        raise DataFault(f"{where} leaves none of the {card.train_examples:,} training images of {card.name}", hint=_ANEW)
    own: dict[str, object] = {
        _UNCUT: card.fingerprint,
        _LEFT_OUT: card.train_examples - len(kept),
        _ROWS: digest(*sorted(_said(row) for row in rows)),
    }
    fingerprint, parts = whole(own)
    about = replace(card, fingerprint=fingerprint, train_examples=len(kept), parts=card.parts + parts)
    train = _KeptArrays(dataset.train, kept) if isinstance(dataset.train, ArrayExamples) else _Kept(dataset.train, kept)
    return Dataset(about, train, dataset.validation)


def _said(row: ExclusionRow) -> bytes:
    """Return what of a row the fingerprint is taken over. Orientation and labels follow from the images."""
    partner = (row.partner_data, row.partner_split, row.partner)
    return repr((int(row.index), row.id, row.rule, float(row.distance), *partner)).encode()


def uncut(card: DataCard) -> str:
    """Return the fingerprint that a data set has without any exclusion."""
    return dict(card.parts).get(_UNCUT, card.fingerprint)


def left_out(card: DataCard) -> int:
    """Count the training images that a list leaves out."""
    return int(dict(card.parts).get(_LEFT_OUT, 0))


def _require_same(card: DataCard, listed: ExclusionList) -> None:
    """Check that a list is of this data set, as large as it is now. Some fingerprints leave out how many images were held out."""
    if not listed.is_of(card.fingerprint):
        raise DataFault(f"{listed.where} is of {listed.whose}, not of {card.name} ({card.fingerprint})", hint=_ANEW)
    images = listed.images.get(card.fingerprint, card.train_examples)
    if images != card.train_examples:
        raise DataFault(
            f"{listed.where} is of {card.name} with {images:,} training images, here are {card.train_examples:,}", hint=_ANEW
        )


def _require_ids(rows: Iterable[ExclusionRow], dataset: Dataset, options: Options, where: str) -> None:
    """Check that the images are called as the list calls them."""
    card, called = dataset.card, ids_of(options, dataset.train)
    for row in rows:
        if not 0 <= row.index < card.train_examples:
            raise DataFault(
                f"{where} names training image {row.index} ({row.id}) of {card.name}, which has {card.train_examples:,}", hint=_ANEW
            )
        if (found := called(row.index)) != row.id:
            raise DataFault(f"{where} calls training image {row.index} of {card.name} {row.id!r}, here it is {found!r}", hint=_ANEW)


class _Kept:
    """Shows the examples of a split that are kept, read when they are asked for, with what the split carries beside them."""

    def __init__(self, examples: Examples, kept: np.ndarray) -> None:
        self._examples, self._kept = examples, kept

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> Example:
        """Read an example. Its id is off by as much as the one that the data set gives, so that an audit counts what came."""
        asked = int(self._kept[index])
        example = self._examples[asked]
        return {"image": example["image"], "label": example["label"], "id": index + int(example["id"]) - asked}

    def __getattr__(self, name: str) -> Any:
        """Return what a split may carry: `normalization`, a function of a number, or an array of all examples. Raises `AttributeError`."""
        if name not in ("normalization", "name", "read", "sizes", "labels"):
            raise AttributeError(name)
        found = getattr(self._examples, name)
        if name in ("name", "read"):
            return lambda index: found(int(self._kept[index]))
        return found if name == "normalization" else found[self._kept]


class _KeptArrays(_Kept, ArrayExamples):
    """Shows the images of a split in memory that are kept, without copying them."""

    _examples: ArrayExamples

    @property
    def image_shape(self) -> ImageShape:
        """Return (height, width, channels) of every image."""
        return self._examples.image_shape

    def gather(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return images, labels and ids of the kept examples `ids`, as `ArrayExamples.gather` does."""
        asked = self._kept[ids]
        images, labels, *came = self._examples.gather(asked)
        return images, labels, *(ids + (others - asked) for others in came)
