"""One step, whichever way it is computed: accumulated, padded, averaged, mixed, in bfloat16."""

import jax
import numpy as np
import pytest

from trainer import AugmentConfig, DataConfig, Execution, ModelConfig, ScheduleConfig, TrainConfig, data
from trainer.program import program_for

CARD = data.card("digits", {})
BATCH = 24


def make_config(**changes):
    fields = {
        "data": DataConfig("digits", CARD),
        "model": ModelConfig("nfnet", "nano-F0", {"dropout": 0.3, "stochastic_depth": 0.5}),
        "schedule": ScheduleConfig(epochs=1.0),
        "batch_size": BATCH,
        "learning_rate": 0.4,
        "label_smoothing": 0.1,
        "augment": AugmentConfig(mixup=0.2),
        "ema": 0.3,
    }
    return TrainConfig(**fields | changes)


def batch(real=BATCH):
    """Digits in pairs, as mixup would make them; the last places are padding."""
    images, labels = data.load("digits", {}).train.gather(np.arange(BATCH))
    weights = (np.arange(BATCH) < real).astype(np.float32)
    mix = np.linspace(0.5, 1, BATCH, dtype=np.float32)
    return images, labels, weights, labels[::-1].copy(), mix


def shaken(program, config):
    """An initial state whose skip gains are not 0, so that every parameter has a gradient."""
    state = jax.device_get(program.initial_state(config))
    rng = np.random.default_rng(0)
    moved = lambda leaf: leaf + 0.1 * rng.standard_normal(leaf.shape).astype(np.float32)  # noqa: E731
    return program.place(state._replace(params=jax.tree.map(moved, state.params)))


def stepped(program, config, arrays, steps=2):
    state = shaken(program, config)
    for step in range(steps):
        state, metrics = program.train_step(
            state, *program.place_batch(*arrays), np.float32(0.4), np.uint32(config.seed), np.uint32(step)
        )
    return jax.device_get(state), metrics


def distance(one, other):
    difference = np.concatenate([np.ravel(a - b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)])
    return np.linalg.norm(difference) / np.linalg.norm(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(other)]))


@pytest.mark.parametrize("real", [BATCH, 13])
def test_accumulated_micro_batches_are_the_large_batch(real):
    """With dropout, stochastic depth, mixed labels and padding in any of the micro-batches."""
    config = make_config()
    whole, whole_metrics = stepped(program_for(config), config, batch(real))
    program = program_for(config, Execution(micro_batch=7))
    assert (program.micro_batch, program.micro_batches) == (6, 4)
    parts, metrics = stepped(program, config, batch(real))
    assert float(metrics.loss) == pytest.approx(float(whole_metrics.loss), rel=1e-6)
    assert distance(parts, whole) < 1e-6
