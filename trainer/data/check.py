"""Checks a data set before anything is trained on it: examples that are empty or cannot be read, by name and reason."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scaling.errors import DataError, MissingExtra
from trainer.data.dataset import BadExample, Dataset, Examples
from trainer.data.images.preparation import Preparation
from trainer.data.loader import too_many_skipped
from trainer.data.rows import called

__all__ = ["Looked", "look_at"]

_MOST, _LEAST, _SECONDS = 512, 32, 10.0
"""Examples of a split that are read: at most, and at least; between the two, reading stops after so many seconds."""


@dataclass(frozen=True)
class Looked:
    """Says which examples of a split are unusable, as far as they were looked at.

    read: examples that were tried, of `examples`. bad: (example, reason) of those that cannot be used.
    bad_read: how many of the bad ones were tried; the others are empty files.
    """

    split: str
    examples: int
    read: int
    bad: tuple[tuple[str, str], ...]
    bad_read: int = 0

    @property
    def is_too_bad(self) -> bool:
        """Say whether a run that skips bad examples would stop, by those that were read or by all bad ones in the whole split."""
        return too_many_skipped(self.bad_read, self.read) or too_many_skipped(len(self.bad), self.examples)


def look_at(dataset: Dataset) -> tuple[Looked, Looked]:
    """Read examples of both splits, spread evenly. Of files with known sizes every empty one is found.

    Raises:
        DataError: what the data lie on cannot be read, or the data set's own code raised something else than `BadExample`.
        MissingExtra: the examples need a package that is not installed.
    """
    card = dataset.card
    train, held_out = Preparation(card.image_shape, card.num_classes), Preparation(card.eval_shape, card.num_classes)
    return _look("training", dataset.train, train), _look("held-out", dataset.validation, held_out)


def _look(split: str, examples: Examples, preparation: Preparation) -> Looked:
    bad = dict.fromkeys(_empty(examples), "empty file")
    read, bad_read, until = 0, 0, time.monotonic() + _SECONDS
    for number in _spread(len(examples)):
        if read >= _LEAST and time.monotonic() > until:
            break
        read += 1
        if number not in bad and (reason := _fault(examples, number, preparation)):
            bad[number] = reason
        bad_read += number in bad
    named = tuple((called(number, examples), reason) for number, reason in sorted(bad.items()))
    return Looked(split, len(examples), read, named, bad_read)


def _spread(count: int) -> Iterator[int]:
    """Yield all numbers of a small split, or `_MOST` of a large one, in steps of the golden ratio: any first few of them are spread too."""
    if count <= _MOST:
        yield from range(count)
    else:
        yield from dict.fromkeys(int(count * (place * 0.6180339887498949 % 1.0)) for place in range(_MOST))


def _empty(examples: Examples) -> list[int]:
    sizes = getattr(examples, "sizes", None)
    return [] if sizes is None else [int(number) for number in np.flatnonzero(np.asarray(sizes) == 0)]


def _fault(examples: Examples, number: int, preparation: Preparation) -> str:
    """Say why a run could not use this example; an empty string where it could."""
    try:
        preparation(examples[number], 0, 0)
    except (BadExample, FileNotFoundError, PermissionError) as error:
        return str(error)
    except MissingExtra:
        raise
    except Exception as error:
        raise DataError(
            f"example {called(number, examples)} cannot be read: {type(error).__name__}: {error}",
            hint="see to the disk or the mount; of a data set of your own, `scaling --debug …` shows where",
        ) from error
    return ""
