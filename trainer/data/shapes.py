"""What all formats of photographs share: the sizes in training and evaluation, the number of classes, and the card that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from scaling.errors import DataError, UsageError
from trainer.data import fingerprint
from trainer.data.dataset import DataCard, Dataset, Examples
from trainer.data.images.crop import margin_px
from trainer.typing import ImageShape, Options

__all__ = ["OPTIONS", "class_count", "classes_by_labels", "described", "evaluation_margin", "shapes"]

OPTIONS = {
    "path": "folder",
    "train_px": "side of a training image, e.g. 224",
    "eval_px": "side of a held-out image, default train_px",
    "eval_margin_px": "by how much its shorter side exceeds eval_px before the centre is cut out, default 32 from 224 px up, eval_px / 7 below",
    "channels": "3 for colour (default), 1 for grey",
    "num_classes": "classes; checked against the data",
}


def shapes(options: Options) -> tuple[ImageShape, ImageShape | None]:
    """Read (height, width, channels) for training, and for evaluation where it differs, else None. Raises `UsageError`."""
    if "train_px" not in options:
        raise UsageError(
            "train_px is missing: photographs have no size of their own", hint="train_px: 224, and eval_px where it differs"
        )
    sides = {}
    for name in ("train_px", "eval_px"):
        side = options.get(name, options["train_px"])
        if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= 4096:
            raise UsageError(f"{name}: {side!r} is not a whole number of pixels", hint="e.g. 224")
        sides[name] = side
    channels = options.get("channels", 3)
    if channels not in (1, 3):
        raise UsageError(f"channels: {channels!r}", hint="3 for colour, 1 for grey")
    train, evaluation = ((side, side, channels) for side in sides.values())
    return train, None if evaluation == train else evaluation


def evaluation_margin(options: Options) -> float | None:
    """Read `eval_margin_px`; None where it is left out or says what would be so anyway. Raises `UsageError`."""
    margin = options.get("eval_margin_px")
    if margin is None:
        return None
    if isinstance(margin, bool) or not isinstance(margin, (int, float)) or not 0 <= margin <= 4096:
        raise UsageError(f"eval_margin_px: {margin!r} is not a number of pixels", hint="0 takes the largest square of an image")
    _, evaluation = shapes(options)
    side = evaluation[0] if evaluation else options["train_px"]
    return None if margin == margin_px((side, side)) else float(margin)


def class_count(options: Options, found: int | None, *, where: str, names: Iterable[str] = ()) -> int:
    """Return the number of classes in the data, which must be what the file states, if it does. Raises `UsageError`, `DataError`."""
    stated = options.get("num_classes")
    if stated is None:
        if found is None:
            raise UsageError(f"{where} does not say how many classes there are", hint="add num_classes: …")
        if found < 2:
            raise DataError(f"{where} has {found} class{'' if found == 1 else 'es'}: nothing to tell apart", hint="check the path")
        return found
    if isinstance(stated, bool) or not isinstance(stated, int) or stated < 2:
        raise UsageError(f"num_classes: {stated!r} is not a whole number above 1", hint="how many classes the labels have")
    if found is not None and stated != found:
        shown = ", ".join(list(names)[:5])
        raise UsageError(
            f"num_classes is {stated}, but {where} has {found} classes{f' ({shown}, …)' if shown else ''}",
            hint="leave num_classes out to take what is there, or name the right folder",
        )
    return stated


def classes_by_labels(splits: Mapping[str, tuple[np.ndarray, Callable[[int], str]]], options: Options) -> int:
    """Count the classes by the labels of all splits: as many as are stated, else the largest label and one more.

    splits: {split: (labels, name of an example)}. Raises `DataError` naming the first example whose label does not fit.
    """
    stated = options.get("num_classes")
    largest = max(int(labels.max(initial=-1)) for labels, _ in splits.values())
    limit = stated if isinstance(stated, int) else largest + 1
    for split, (labels, name) in splits.items():
        wrong = np.flatnonzero((labels < 0) | (labels >= limit))
        if len(wrong):
            raise DataError(
                f"{split} example {wrong[0]} ({name(int(wrong[0]))}) has label {labels[wrong[0]]}, not one of 0 … {limit - 1}"
                + (f"; {len(wrong) - 1} more like it" if len(wrong) > 1 else ""),
                hint="mend the labels, or say num_classes: as many as there are",
            )
    return limit


def described(
    name: str, options: Options, classes: int, parts: Mapping[str, object], train: Examples, validation: Examples
) -> Dataset:
    """Put together a data set of photographs. parts: what its fingerprint is taken over. Raises `UsageError`."""
    image_shape, evaluation_shape = shapes(options)
    whole, kept = fingerprint.whole(parts)
    about = DataCard(
        name, whole, classes, image_shape, len(train), len(validation),
        evaluation_shape=evaluation_shape, parts=kept, evaluation_margin_px=evaluation_margin(options),
    )  # fmt: skip
    return Dataset(about, train, validation)
