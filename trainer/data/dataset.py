"""What the trainer needs of a data set, whatever it is stored as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import numpy as np

from scaling.errors import DataFault
from trainer.data.normalization import Normalization
from trainer.typing import ImageShape

if TYPE_CHECKING:
    from trainer.data.fingerprint import Parts

__all__ = ["ArrayExamples", "BadExample", "DataCard", "Dataset", "Example", "Examples"]


@dataclass(frozen=True)
class DataCard:
    """Describes a data set before it is read: enough to plan, to build a model and to give a run its id.

    image_shape: (height, width, channels) that the model sees in training.
    fingerprint: hash of the content; for a data set that is not at hand, of what was declared (`provisional`).
    evaluation_shape: what the model sees when it is evaluated; None is `image_shape`. NFNets are evaluated at larger images than trained.
    parts: what the fingerprint is made of, so that a change can be named.
    evaluation_margin_px: by how much the shorter side of a held-out image exceeds `eval_shape` before its centre is cut out; None is 32 px
        from 224 px up, a seventh of the side below.
    corrections: which mended readings change the pixels of this set (`trainer.data.corrections`); found when it is read, part of run ids.
    """

    name: str
    fingerprint: str
    num_classes: int
    image_shape: ImageShape
    train_examples: int
    validation_examples: int
    provisional: bool = False
    evaluation_shape: ImageShape | None = None
    parts: Parts = ()
    evaluation_margin_px: float | None = None
    corrections: tuple[str, ...] = ()

    @property
    def eval_shape(self) -> ImageShape:
        """Return (height, width, channels) of the held-out images as the model sees them."""
        return self.evaluation_shape or self.image_shape

    def to_dict(self) -> dict[str, object]:
        """Return the card as plain JSON values, which `from_dict` reads back."""
        return asdict(self) | {
            "image_shape": list(self.image_shape),
            "evaluation_shape": list(self.evaluation_shape) if self.evaluation_shape else None,
            "parts": [list(part) for part in self.parts],
            "corrections": list(self.corrections),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> DataCard:
        """Read what `to_dict` returned."""
        height, width, channels = content["image_shape"]
        evaluation = content.get("evaluation_shape")
        known = {
            "image_shape": (height, width, channels),
            "evaluation_shape": tuple(evaluation) if evaluation else None,
            "parts": tuple((name, value) for name, value in content.get("parts", ())),
            "corrections": tuple(content.get("corrections", ())),
        }
        return cls(**{**content, **known})

    def require(self, found: DataCard) -> None:
        """Check that `found` is still the data set of this card, and that its images are read as when the run was planned.

        Raises `DataFault`, which names what has changed as far as the parts tell.
        """
        if found.fingerprint == self.fingerprint:
            if otherwise := [name for name in found.corrections if name not in self.corrections]:
                raise DataFault(
                    f"data set {self.name}: an earlier version planned this run and read its images otherwise ({', '.join(otherwise)})",
                    hint="submit the file again: the run gets an id of its own, so that old and new results do not mix",
                )
            return
        before, now = dict(self.parts), dict(found.parts)
        changed = [
            f"{name}: {before.get(name, 'none')} then, {now.get(name, 'none')} now"
            for name in before | now
            if before.get(name) != now.get(name)
        ]
        raise DataFault(
            f"data set {self.name} has content {found.fingerprint} here, the run is of {self.fingerprint}"
            + (f" ({'; '.join(changed)})" if changed and before else ""),
            hint="name the folder that holds the data the run was planned with, or submit the file again for the new data",
        )


class BadExample(Exception):
    """Reports that one example cannot be used; the message is the reason. The run's policy decides what becomes of it."""


class Example(TypedDict):
    """Holds what a data set gives for one id.

    image: one of

    - bytes: of a file in one of `trainer.data.images.decode.FORMATS`, decoded to the channels of the card;
    - uint8 [H, W, C]: pixels of any height and width, augmented or resized to the card's shape, then normalised;
    - float32 [H, W, C]: of the card's shape, and given to the network as it is.

    label: class, 0 … num_classes − 1 of the card. id: the one that was asked for; an audit counts it.
    """

    image: bytes | np.ndarray
    label: int
    id: int


class Examples(Protocol):
    """Says what one split must offer: its length, and an example for each id 0 … len − 1. A data set of your own needs no more.

    It may also carry `normalization` (a `Normalization` for uint8 pixels, default `IMAGENET`, or mean and standard deviation ½ for other
    than three channels), and `name(index)`, what an unreadable example is called in an error. It must pickle to be read by workers.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example:
        """Read one example.

        Raises `BadExample`, `FileNotFoundError` or `PermissionError` for one that cannot be read; the run's policy decides what becomes
        of it. Any other `OSError` stops the run.
        """


@dataclass(frozen=True)
class Dataset:
    """Holds a training split, a held-out split that training never sees, and the card that describes both."""

    card: DataCard
    train: Examples
    validation: Examples


class ArrayExamples:
    """Holds a split in memory as bytes, scaled to mean 0 and standard deviation 1 (by stated constants) when it is read.

    images: [N, H, W, C] uint8. labels: [N]. mean, std: of the pixel values after division by `full_scale`.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, *, full_scale: float, mean: float, std: float) -> None:
        self._images, self._labels = images, labels.astype(np.int32)
        self._ids = np.arange(len(labels))
        self.normalization = Normalization(mean, std, full_scale)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Example:
        return {"image": self._images[index], "label": int(self._labels[index]), "id": index}

    @property
    def image_shape(self) -> ImageShape:
        """Return (height, width, channels) of every image."""
        height, width, channels = self._images.shape[1:]
        return height, width, channels

    def gather(self, ids: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return images [len(ids), H, W, C] float32, labels [len(ids)] int32 and ids [len(ids)] int64, in the order of `ids`.

        The ids are taken as the images are, so that an audit counts what came. A class of your own may leave them out of what it
        returns: the number of rows is then all that is checked.
        """
        return self.normalization.apply(self._images[ids]), self._labels[ids], self._ids[ids]
