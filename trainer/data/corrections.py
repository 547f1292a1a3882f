"""Corrections name what earlier versions read wrongly in a data set; those found enter the ids of the runs on it.

So results of before and after never meet, and the ids of all other runs stay as they were.

| name | what was wrong | looked for in |
|---|---|---|
| `evaluation-margin` | the margin was 32 px for held-out images below 224 px too | held-out images, up to one not of the network's size |
| `orientation` | EXIF orientation was ignored | the 64 images of each split whose content the fingerprint covers |
| `alpha` | what lies under transparent pixels was shown | the same |
| `16-bit` | grey of 16 bits was cut off at 255 | the same |
| `transparent-colour` | in a PNG, grey of 2 and 4 bits and colour of 16 bits were compared with it by other numbers | the same |
| `float32-pixels` | float32 pixels of a data set of one's own did not reach the network, which was given what the memory had held before | the first of these |
| `white-is-zero` | in a TIFF of 16 bits, grey that is white at 0 was not turned round | the same |
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scaling.errors import MissingExtra
from trainer.data.dataset import ArrayExamples, BadExample, DataCard, Dataset, Examples
from trainer.data.fingerprint import chosen
from trainer.data.images.crop import FULL_MARGIN_FROM_PX
from trainer.data.images.optional import encoded_picture
from trainer.data.images.picture import picture

__all__ = ["corrected"]

_FOUND: dict[tuple[object, ...], tuple[str, ...]] = {}


def corrected(dataset: Dataset) -> Dataset:
    """Find the corrections of a data set, and return it with them in its card. They are sought once a process and content.

    Raises `MissingExtra`.
    """
    card = dataset.card
    key = (card.name, card.fingerprint, card.image_shape, card.eval_shape, card.evaluation_margin_px)
    if key not in _FOUND:
        names = _decoding(dataset.train, card) | _decoding(dataset.validation, card)
        if _is_cropped_otherwise(dataset.validation, card):
            names.add("evaluation-margin")
        _FOUND[key] = tuple(sorted(names))
    found = _FOUND[key]
    return replace(dataset, card=replace(card, corrections=found)) if found != card.corrections else dataset


def _is_cropped_otherwise(examples: Examples, card: DataCard) -> bool:
    """Say whether an earlier version cropped a held-out image by another margin.

    It did where the default margin has changed for this size, and the image is not of the network's size. Reads no more of a data set
    than its first image, unless all are of that size.
    """
    target = card.eval_shape[:2]
    if card.evaluation_margin_px is not None or min(target) >= FULL_MARGIN_FROM_PX:
        return False
    if isinstance(examples, ArrayExamples):
        return examples.image_shape[:2] != target
    return any(_size(examples, index, card) not in (target, None) for index in range(len(examples)))


def _size(examples: Examples, index: int, card: DataCard) -> tuple[int, int] | None:
    """Return (height, width) of an image; None of one that no run can be evaluated on."""
    try:
        found = picture(examples[index]["image"], card.eval_shape[2])
    except BadExample:
        return None
    except MissingExtra:
        raise
    except Exception:  # noqa: BLE001 - a user's own data set that cannot be read here may be read where the runs are
        return (0, 0)
    return found.height, found.width


def _decoding(examples: Examples, card: DataCard) -> set[str]:
    names: set[str] = set()
    if isinstance(examples, ArrayExamples):
        return names
    for index in chosen(len(examples)):
        try:
            image = examples[int(index)]["image"]
            if not isinstance(image, bytes):  # pixels: nothing to decode
                return {"float32-pixels"} if image.dtype == np.float32 else names
            names |= encoded_picture()(image, card.image_shape[2]).corrections
        except MissingExtra:
            raise
        except Exception:  # noqa: BLE001 - whoever trains on it is told
            continue
    return names
