"""The preparation of one example, from the data set to the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.data.dataset import BadExample, Example
from trainer.data.images.crop import center_crop, random_resized_crop, whole
from trainer.data.images.optional import mirrored, randaugmented
from trainer.data.images.picture import picture
from trainer.data.images.randomness import generator
from trainer.data.images.resample import resample

if TYPE_CHECKING:
    from trainer.config import AugmentConfig

__all__ = ["Preparation"]


@dataclass(frozen=True)
class Preparation:
    """Turns examples into pixels of `shape`. The result is a pure function of (seed, epoch, id, copy) and the example.

    shape: (height, width, channels) of the result.
    num_classes: labels are 0 … num_classes − 1.
    augment: what is done to a training image; None prepares for evaluation.
    margin_px: of an evaluation, see `center_crop`.
    """

    shape: tuple[int, int, int]
    num_classes: int
    seed: int = 0
    augment: AugmentConfig | None = None
    margin_px: float | None = None

    def leaves_alone(self, shape: tuple[int, int, int]) -> bool:
        """Say whether pixels of this shape go into the batch as they are."""
        augment = self.augment
        changes = augment is not None and (augment.crop or augment.flip or augment.randaugment_layers > 0)
        return shape == self.shape and not changes

    def __call__(self, example: Example, epoch: int, copy: int) -> tuple[np.ndarray, int]:
        """Return pixels of `shape`, uint8 or float32 as the example's, and the label. Raises `BadExample`, `MissingExtra`."""
        label = _whole_number(example["label"])
        if not 0 <= label < self.num_classes:
            raise BadExample(f"label {label} is not one of 0 … {self.num_classes - 1}")
        image = picture(example["image"], self.shape[2])
        target = self.shape[:2]
        if self.augment is None:
            box = center_crop(image.height, image.width, target, self.margin_px)
            return resample(image, box, target), label
        rng = generator(self.seed, epoch, int(example["id"]), copy=copy)
        if self.augment.crop:
            box = random_resized_crop(image.height, image.width, self.augment.crop_min_area, rng)
        else:
            box = whole(image.height, image.width)
        pixels = resample(image, box, target)
        if self.augment.flip and rng.random() < 0.5:
            pixels = mirrored()(pixels)
        if self.augment.randaugment_layers:
            pixels = randaugmented()(pixels, self.augment.randaugment_layers, self.augment.randaugment_magnitude, rng)
        return pixels, label


def _whole_number(label: int) -> int:
    try:
        return int(label)
    except (TypeError, ValueError, OverflowError):
        raise BadExample(f"label {label!r} is not a whole number") from None
