"""scikit-learn's handwritten digits: 1,797 real images of 8×8 pixels in ten classes, shipped inside the package.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from scaling.errors import UsageError
from trainer.data.dataset import ArrayExamples, DataCard, Dataset
from trainer.data.fingerprint import fingerprint_arrays
from trainer.data.permutation import permute

__all__ = ["OPTIONS", "card", "load"]

OPTIONS = {"validation_examples": "images held out of training, default 450"}

_SPLIT_KEY = (1797,)
"""The held-out images are the same for every run and seed."""


def card(options: Mapping[str, Any]) -> DataCard:
    """Describe the data set; needs no path."""
    images, labels = _arrays()
    held_out = options.get("validation_examples", 450)
    if not isinstance(held_out, int) or not 1 <= held_out < len(labels):
        raise UsageError(
            f"validation_examples: {held_out!r} of {len(labels)} images", hint=f"a whole number, 1 … {len(labels) - 1}"
        )
    return DataCard("digits", fingerprint_arrays(images, labels), 10, (8, 8, 1), len(labels) - held_out, held_out)


def load(options: Mapping[str, Any]) -> Dataset:
    """Read it."""
    about = card(options)
    images, labels = _arrays()
    order = permute(np.arange(len(labels)), len(labels), _SPLIT_KEY)
    held_out, kept = order[: about.validation_examples], order[about.validation_examples :]
    scaling = {"full_scale": 16.0, "mean": 0.305, "std": 0.376}
    return Dataset(
        about,
        ArrayExamples(images[kept], labels[kept], **scaling),
        ArrayExamples(images[held_out], labels[held_out], **scaling),
    )


@cache
def _arrays() -> tuple[np.ndarray, np.ndarray]:
    """Images [1797, 8, 8, 1] uint8 with values 0 … 16, labels [1797]."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(np.uint8)[..., None], digits.target
