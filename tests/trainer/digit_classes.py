"""Some classes of the embedded digits, enlarged: a data set to pre-train on, and another one to fine-tune on."""

import numpy as np

from trainer import DataConfig
from trainer.data import ArrayExamples, DataCard, Dataset
from trainer.data.digits import _arrays
from trainer.data.fingerprint import digest

HELD_OUT = 4
"""Each fourth image is held out."""


def dataset(options):
    """classes: which digits, renumbered from 0. times, eval_times: how often a pixel is repeated along each side. at_most: training images."""
    images, labels = _arrays()
    chosen = np.isin(labels, options["classes"])
    images, labels = images[chosen], np.searchsorted(options["classes"], labels[chosen])
    out = np.arange(len(labels)) % HELD_OUT == 0
    times = options.get("times", 1), options.get("eval_times", options.get("times", 1))
    kept = [np.flatnonzero(~out)[: options.get("at_most")], np.flatnonzero(out)]
    train, validation = (
        ArrayExamples(images[part].repeat(size, 1).repeat(size, 2), labels[part], full_scale=16.0, mean=0.305, std=0.376)
        for part, size in zip(kept, times, strict=True)
    )
    sides = [(8 * size, 8 * size, 1) for size in times]
    evaluation = None if sides[0] == sides[1] else sides[1]
    content = digest(images[kept[0]], labels[kept[0]], np.array(times))
    card = DataCard("digits", content, len(options["classes"]), sides[0], len(train), len(validation), evaluation_shape=evaluation)
    return Dataset(card, train, validation)


def digits_of(*classes, **options):
    """Return the config of such a data set."""
    options = {"source": "tests.trainer.digit_classes:dataset", "classes": list(classes), **options}
    return DataConfig("source", dataset(options).card, options)
