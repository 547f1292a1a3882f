"""A run of seconds with everything in it that a resume could get wrong: dropout, stochastic depth, augmentation, an average, a schedule."""

import hashlib

import numpy as np

from trainer import AugmentConfig, DataConfig, ModelConfig, ScheduleConfig, TrainConfig, checkpoint
from trainer.data import ArrayExamples, DataCard, Dataset
from trainer.data.fingerprint import digest

EXAMPLES, BATCH, EPOCHS = 96, 16, 4
STEPS_AN_EPOCH, STEPS = 6, 24


def dataset(options):
    """Images of four kinds of stripes; `seed` makes other ones, as a data set that has changed."""
    numbers = np.random.default_rng(options.get("seed", 0))
    labels = np.arange(EXAMPLES + 32) % 4
    waves = np.sin(np.arange(8)[:, None] * (labels[:, None, None] + 1) * 0.7) * np.ones((1, 1, 8))
    images = np.clip(128 + 60 * waves + numbers.normal(0, 20, waves.shape), 0, 255).astype(np.uint8)[..., None]
    train, validation = (
        ArrayExamples(images[part], labels[part], full_scale=255.0, mean=0.5, std=0.25)
        for part in (slice(0, EXAMPLES), slice(EXAMPLES, None))
    )
    card = DataCard("stripes", digest(images, labels), 4, (8, 8, 1), EXAMPLES, 32)
    return Dataset(card, train, validation)


def config(*, epochs=EPOCHS, data_seed=0, plain=False, depth=2, **changes):
    """`plain` is without augmentation, dropout and average."""
    options = {"source": "tests.trainer.small_run:dataset", "seed": data_seed}
    model = {"width": [8], "depth": [depth], "group_width": 4, "stem": "small"}
    noisy = {} if plain else {"augment": AugmentConfig(flip=True), "ema": 0.9}
    fields = {
        "data": DataConfig("source", dataset(options).card, options),
        "model": ModelConfig("nfnet", "small", model if plain else model | {"dropout": 0.2, "stochastic_depth": 0.2}),
        "schedule": ScheduleConfig(epochs, warmup_epochs=0.5),
        "batch_size": BATCH,
        "learning_rate": 0.4,
        **noisy,
    }
    return TrainConfig(**fields | changes)


def bits(directory, step):
    """A hash over every array of the checkpoint of this step."""
    restored, _ = checkpoint.restore(directory, at_most=step)
    assert restored.step == step
    digest = hashlib.sha256()
    for name in sorted(restored.arrays):
        digest.update(name.encode() + restored.arrays[name].tobytes())
    return digest.hexdigest()
