"""`Split`: one split of a data set as a search for duplicates sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trainer.data.dataset import Dataset, Examples
from trainer.data.ids import ids_of
from trainer.data.imagefolder import ImageFiles
from trainer.typing import Options

__all__ = ["Split", "loose_split", "splits_of"]


@dataclass(frozen=True)
class Split:
    """Holds the examples of one split, and what they are called.

    data: name of the data set, for people. fingerprint: of the data set, without any exclusion. name: `train`, `validation` or `images`.
    channels: to which image files are decoded, as for training. id: number of an image → what a list calls it.
    """

    data: str
    fingerprint: str
    name: str
    examples: Examples
    channels: int
    id: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.examples)

    def __str__(self) -> str:
        return f"{self.data} {self.name}"

    def label(self, index: int) -> str | int | None:
        """Return the class of an image: its name where the data set names classes, else its number, None where it is not known.

        Raises what the examples raise where labels stand in the examples alone.
        """
        labels = getattr(self.examples, "labels", None)
        number = int(self.examples[index]["label"] if labels is None else labels[index])
        if number < 0:
            return None
        if isinstance(self.examples, ImageFiles):
            return self.examples.name(index).split("/")[0]
        names = getattr(self.examples, "class_names", None)
        return names[number] if names and number < len(names) else number


def splits_of(dataset: Dataset, options: Options) -> dict[str, Split]:
    """Return both splits of a data set: `train` and `validation`. options: those that it was loaded with."""
    card = dataset.card
    return {
        name: Split(card.name, card.fingerprint, name, examples, card.image_shape[2], ids_of(options, examples))
        for name, examples in (("train", dataset.train), ("validation", dataset.validation))
    }


def loose_split(data: str, fingerprint: str, examples: ImageFiles) -> Split:
    """Make the split `images` of files that are in no split; an image's id is its path below the folder."""
    return Split(data, fingerprint, "images", examples, 3, ids_of({}, examples))
