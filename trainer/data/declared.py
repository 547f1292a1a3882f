"""A data set that is not at hand: a name, a size, a number of classes and an image shape, as written in the file.

Enough to plan a study (`--dry-run`): parameters, steps, FLOPs, core-hours. Its fingerprint is of the declaration, so run ids are
provisional.
"""

from __future__ import annotations

import hashlib
import json

from scaling.errors import DataNotFound, UsageError
from trainer.data.dataset import DataCard, Dataset
from trainer.typing import ImageShape, Options

__all__ = ["OPTIONS", "card", "load"]

OPTIONS = {
    "title": "name of the data set",
    "train_examples": "images in the training split",
    "validation_examples": "images held out",
    "num_classes": "classes",
    "image_shape": "[height, width, channels] that the model sees",
    "evaluation_shape": "the same for held-out images, where it differs",
}
_OPTIONAL = ("evaluation_shape",)


def card(options: Options) -> DataCard:
    """Make the card of a declared data set. Raises `UsageError` when something is missing."""
    missing = [key for key in OPTIONS if key not in options and key not in _OPTIONAL]
    if missing:
        raise UsageError(
            f"a declared data set needs {', '.join(missing)}", hint="; ".join(f"{key}: {text}" for key, text in OPTIONS.items())
        )
    declared = {key: options[key] for key in OPTIONS if key in options}
    for key in ("train_examples", "validation_examples", "num_classes"):
        if not isinstance(options[key], int) or options[key] < 1:
            raise UsageError(f"{key}: {options[key]!r} is not a whole number above 0", hint=OPTIONS[key])
    return DataCard(
        name=str(options["title"]),
        fingerprint="declared-" + hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:7],
        num_classes=options["num_classes"],
        image_shape=_shape(options, "image_shape"),
        train_examples=options["train_examples"],
        validation_examples=options["validation_examples"],
        provisional=True,
        evaluation_shape=_shape(options, "evaluation_shape") if "evaluation_shape" in options else None,
    )


def load(options: Options) -> Dataset:
    """Raise `DataNotFound`: there is nothing to read."""
    raise DataNotFound(
        f"data set {options.get('title')!r} is only declared, not at hand",
        hint="--dry-run plans it; to train, name a data set that this machine can read",
    )


def _shape(options: Options, name: str) -> ImageShape:
    shape = options[name]
    if not isinstance(shape, (list, tuple)) or len(shape) != 3 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise UsageError(f"{name}: {shape!r} is not three whole numbers", hint=OPTIONS[name])
    height, width, channels = shape
    return height, width, channels
