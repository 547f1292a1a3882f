"""1,797 handwritten digits inside the package, and distorted copies of them.

They are real images of 8×8 pixels with 17 levels of grey in ten classes. Source: E. Alpaydin, C. Kaynak, "Optical Recognition of
Handwritten Digits", UCI Machine Learning Repository, 1998 (CC BY 4.0): its test set, the one that scikit-learn ships. The order of the
images is scikit-learn's.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from scaling.errors import UsageError
from trainer.data.dataset import ArrayExamples, DataCard, Dataset
from trainer.data.distort import VERSION, distorted
from trainer.data.fingerprint import digest
from trainer.data.permutation import permute
from trainer.typing import Options

__all__ = ["OPTIONS", "card", "load"]

OPTIONS = {
    "validation_examples": "images held out of training, default 450",
    "copies": "distorted copies of each training image in place of it, at most 1000",
    "validation_copies": "distorted copies of each held-out image in place of it, at most 1000",
}

_SPLIT_KEY = (1797,)
"""The held-out images are the same for every run and seed."""
_TRAIN_KEY, _VALIDATION_KEY = 1797, 1798
"""The copies, too, are the same for every run and seed."""
_NORMALIZATION = {"mean": 0.305, "std": 0.376}


def card(options: Options) -> DataCard:
    """Describe the data set; needs no path. `validation_examples` of the card counts copies, the option counts images."""
    images, labels = _arrays()
    held_out = options.get("validation_examples", 450)
    if not isinstance(held_out, int) or not 1 <= held_out < len(labels):
        raise UsageError(
            f"validation_examples: {held_out!r} of {len(labels)} images", hint=f"a whole number, 1 … {len(labels) - 1}"
        )
    copies, validation_copies = _copies(options, "copies"), _copies(options, "validation_copies")
    recipe = [np.array([VERSION, copies or 0, validation_copies or 0])] if copies or validation_copies else []
    return DataCard(
        "digits",
        digest(images, labels, *recipe),
        10,
        (8, 8, 1),
        (len(labels) - held_out) * (copies or 1),
        held_out * (validation_copies or 1),
    )


def load(options: Options) -> Dataset:
    """Read both splits, and make the copies that are asked for: 43,000 of them take 0.4 s the first time in a process."""
    about, held_out = card(options), options.get("validation_examples", 450)
    copies, validation_copies = _copies(options, "copies"), _copies(options, "validation_copies")
    return Dataset(
        about, _examples(True, held_out, copies, _TRAIN_KEY), _examples(False, held_out, validation_copies, _VALIDATION_KEY)
    )


@lru_cache(maxsize=2)
def _examples(training: bool, held_out: int, copies: int | None, key: int) -> ArrayExamples:
    """Make a split. Nobody changes it, so runs that one process trains after another share it."""
    images, labels = _arrays()
    order = permute(np.arange(len(labels)), len(labels), _SPLIT_KEY)
    chosen = order[held_out:] if training else order[:held_out]
    if copies is None:
        return ArrayExamples(images[chosen], labels[chosen], full_scale=16.0, **_NORMALIZATION)
    made = distorted(images[chosen, ..., 0] / 16.0, copies=copies, key=key)[..., None]
    return ArrayExamples(made, np.tile(labels[chosen], copies), full_scale=255.0, **_NORMALIZATION)


def _copies(options: Options, name: str) -> int | None:
    asked = options.get(name)
    if asked is None:
        return None
    if not isinstance(asked, int) or isinstance(asked, bool) or not 1 <= asked <= 1000:
        raise UsageError(f"{name}: {asked!r}", hint="a whole number, 1 … 1000; leave it out for the images themselves")
    return asked


@cache
def _arrays() -> tuple[np.ndarray, np.ndarray]:
    """Read the images [1797, 8, 8, 1] uint8 with values 0 … 16, and the labels [1797] int64."""
    with np.load(Path(__file__).with_name("digits.npz")) as stored:
        return stored["images"][..., None], stored["labels"].astype(np.int64)
