"""First experiments files: those that come with the product, and one made for a folder of images by looking at it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from scaling.errors import DataError
from trainer import data
from trainer.data.check import Looked, look_at
from trainer.data.dataset import BadExample, Dataset
from trainer.data.imagefolder import split_folders
from trainer.data.images.picture import picture

__all__ = ["Draft", "shipped", "study_of_images"]

_SIDES = (8, 12, 16, 24, 32)
"""Sides of training images, of which the largest is taken that is no larger than the images. Larger ones are for accelerators."""
_STEPS = 1_200  # of the longest run
_BUDGETS = 5  # each twice the one before
_MOST_EPOCHS = 32
_SAMPLE = 64
_HELD_OUT = 1_000  # images that a share is to hold out, so that two seeds of a cell differ by less than the cells do
_WIDTHS = {"w8": 8, "w16": 16, "w32": 32, "w64": 64}


@dataclass(frozen=True)
class Draft:
    """Holds a first experiments file.

    text: of the file. found: what was seen of the data, in a sentence.
    """

    text: str
    found: str


def shipped(name: str) -> str:
    """Read a file that comes with the product: `experiments.yaml`, the default study, or one of the folder `experiments/`.

    The wheel has a copy inside the package; in the source tree it is the file itself.
    """
    root = Path(__file__).parents[2]
    places = (files("orchestrator") / "first_files" / name, root / name, root / "experiments" / name)
    return next(place for place in places if place.is_file()).read_text(encoding="utf-8")


def study_of_images(folder: str) -> Draft:
    """Make a study of a folder of images, of small models that a CPU trains.

    Sizes of images are judged by 64 of them. The number of epochs is such that the longest run takes about 1,200 steps.

    Raises:
        DataNotFound: there is no such folder.
        DataError: it holds no images in one folder a class, or only one class, or held-out images that cannot be read.
    """
    options, dataset = _opened(folder)
    sides, is_grey = _seen(dataset)
    options["train_px"] = max((side for side in _SIDES if side <= np.median(sides)), default=_SIDES[0])
    options |= {"channels": 1} if is_grey else {}
    dataset = data.load("imagefolder", options)
    train, held_out = look_at(dataset)
    if held_out.bad:
        raise DataError(
            f"{len(held_out.bad)} held-out image{'s' if len(held_out.bad) > 1 else ''} cannot be used: {held_out.bad[0][0]}: {held_out.bad[0][1]}",
            hint="mend or remove them: every run is evaluated on all of them",
        )
    card = dataset.card
    ends = f"{min(sides)} … {max(sides)}" if min(sides) < max(sides) else f"{min(sides)}"
    found = (
        f"{card.train_examples:,} training and {card.validation_examples:,} held-out images of {card.num_classes:,} classes, "
        f"shorter side {ends} px{', grey' if is_grey else ''}"
    )
    return Draft("\n".join(_lines(folder, options, dataset, train, found)) + "\n", found)


def _opened(folder: str) -> tuple[dict[str, object], Dataset]:
    """Return the options with which the folder can be read, and its data set."""
    path = Path(folder).expanduser()
    options: dict[str, object] = {"path": folder, "train_px": _SIDES[0]}
    if split_folders(path) is not None:
        return options, data.load("imagefolder", options)
    if (path / "train").is_dir():  # nothing is held out yet
        options["path"] = str(Path(folder) / "train")
    options["validation_share"] = 0.3
    images = data.card("imagefolder", options)
    options["validation_share"] = round(min(0.3, max(0.1, _HELD_OUT / (images.train_examples + images.validation_examples))), 2)
    return options, data.load("imagefolder", options)


def _seen(dataset: Dataset) -> tuple[list[int], bool]:
    """Return the shorter sides of some training images, in pixels, and whether all of these images are grey."""
    sides, greys = [], []
    count = len(dataset.train)
    for number in dict.fromkeys(int(place) for place in np.linspace(0, count - 1, min(_SAMPLE, count))):
        try:
            image = picture(dataset.train[number]["image"], 3)
            pixels = image.pixels(0.1)
        except BadExample:
            continue
        sides.append(min(image.height, image.width))
        greys.append(bool((pixels == pixels[..., :1]).all()))
    if not sides:
        raise DataError(
            "none of the images that were looked at can be read", hint="`scaling docs data` says what is read of an image file"
        )
    return sides, all(greys)


def _lines(folder: str, options: Mapping[str, Any], dataset: Dataset, train: Looked, found: str) -> Iterator[str]:
    px, count = options["train_px"], dataset.card.train_examples
    batch = max(4, min(32, 2 ** int(math.log2(max(4, count / 8)))))
    longest = min(_MOST_EPOCHS, 2.0 ** round(math.log2(_STEPS * batch / count)))
    epochs = [f"{longest / 2**place:g}" for place in reversed(range(_BUDGETS))]
    stem = "small" if px <= 12 else "medium"
    share = "validation_share" in options
    yield f"# A first study of {_one_line(folder)}: {found}."
    yield "#"
    yield "#   scaling submit FILE --dry-run     # what it would train and what that would take"
    yield "#   scaling submit FILE"
    yield "#"
    yield "# Four sizes of small networks for a CPU, each at five budgets of training. `scaling docs experiments` describes every field."
    yield f"name: {_name(folder)}"
    yield "dataset:"
    yield "  name: imagefolder"
    for name, value in options.items():
        yield f"  {name}: {json.dumps(value, ensure_ascii=False)}{_why(name, px, share)}"
    yield "models:                                     # the same shape at four widths; nano-F0 … F7+ are there too"
    for name, width in _WIDTHS.items():
        yield f"- {{name: {name}, width: [{width}, {2 * width}], depth: [1, 1], group_width: {min(width // 2, 8)}, stem: {stem}}}"
    yield f"epochs: [{', '.join(epochs)}]{' ' * max(1, 34 - len(', '.join(epochs)))}# about {round(longest * count / batch):,} steps in the longest run"
    yield f"batch_size: {batch}"
    yield f"learning_rate: {{grid: [0.15, 0.3, 0.6], epochs: [{', '.join(epochs[:2])}], otherwise: 0.15}}   # three at the two shorter budgets"
    yield "seeds: [0, 1]                               # two, so that noise is known"
    yield "optimizer: {clip: 0.16, clip_eps: 0.1, weight_decay: 0.0005}   # a small batch wants weaker clipping than a large one"
    if train.bad:
        yield f"execution: {{on_bad_example: skip}}           # {len(train.bad)} of the images that were read cannot be used: {_one_line(train.bad[0][0])}"
    yield "resources: {accelerator: cpu, cores: 1, mfu: 0.04}   # what one run is given; mfu: for estimates, until speeds were measured"
    yield "confirm_above: {core_hours: 2}              # submit asks before it spends more"


def _why(name: str, px: int, share: bool) -> str:
    words = {
        "train_px": "side of the square that a network is given"
        + ("; with accelerators and F0 … F7+, 224" if px == _SIDES[-1] else ""),
        "validation_share": "held out, by a hash of each name, and never trained on",
        "channels": "the images are grey",
    }
    return f"   # {words[name]}" if name in words else ""


def _name(folder: str) -> str:
    """Return a name of an experiment for a folder, in quotes where YAML would read it as something else."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(folder).expanduser().resolve().name).strip("-._")[:80]
    return json.dumps(name or "images")


def _one_line(text: str) -> str:
    """Escape a text so that a comment can hold it in one line."""
    return json.dumps(text, ensure_ascii=False)[1:-1] if text.isprintable() else json.dumps(text)[1:-1]
