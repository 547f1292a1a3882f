"""The training loss by its formula, and random numbers that belong to a row of the batch."""

import jax
import numpy as np
import pytest

from trainer.losses import cross_entropy
from trainer.memory import fitting_micro_batch
from trainer.randomness import key_of_rows


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mixed", [False, True])
def test_smoothed_and_mixed_labels_by_the_formula(smoothing, mixed):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 5)).astype(np.float32) * 3
    labels, other = rng.integers(0, 5, 6), rng.integers(0, 5, 6)
    share = rng.uniform(0.5, 1, 6).astype(np.float32) if mixed else np.ones(6, np.float32)
    exact = logits.astype(np.float64)
    log_p = exact - np.log(np.exp(exact).sum(1, keepdims=True))
    targets = share[:, None] * np.eye(5)[labels] + (1 - share)[:, None] * np.eye(5)[other]
    targets = (1 - smoothing) * targets + smoothing / 5
    options = {"other_labels": other, "mix": share} if mixed else {}
    np.testing.assert_allclose(cross_entropy(logits, labels, smoothing=smoothing, **options), -(targets * log_p).sum(1), rtol=2e-6)


def test_a_row_draws_the_same_numbers_in_any_micro_batch():
    key, batch = jax.random.key(3), 12
    whole = jax.random.uniform(key, (batch, 5, 3))
    folded = jax.random.bernoulli(jax.random.fold_in(jax.random.split(key)[1], 7), 0.3, (batch, 1, 1, 1))
    for count in (3, 4):
        for first in range(count):
            rows = key_of_rows(key, first=first, stride=count, rows=batch // count)
            np.testing.assert_array_equal(jax.random.uniform(rows, (batch // count, 5, 3)), whole[first::count])
            derived = jax.random.fold_in(jax.random.split(rows)[1], 7)
            np.testing.assert_array_equal(jax.random.bernoulli(derived, 0.3, (batch // count, 1, 1, 1)), folded[first::count])


def test_flat_indices_beyond_32_bits():
    from trainer.randomness import _flat_index

    rows = np.array([0, 1, 70_000, 2**31 + 5], np.uint32)
    for width in (1, 7, 65_537, 200_003):
        high, low = (np.asarray(word, np.uint64) for word in _flat_index(rows, width))
        expected = rows[:, None].astype(np.uint64) * np.uint64(width) + np.arange(width, dtype=np.uint64)
        np.testing.assert_array_equal((high << np.uint64(32)) | low, expected)


@pytest.mark.parametrize(
    ("need", "limit", "found", "tries"),
    [
        (lambda size: 100 + 10 * size, 300, 16, 1),  # proportional beside what is fixed: the first guess is right
        (lambda size: 100 + 20 * size**0.5, 200, 16, 2),  # it is not: only what was compiled counts
        (lambda size: float("inf") if size > 8 else 50, 300, 8, 3),  # the compiler says no more than no
        (lambda size: 1000, 300, None, 2),
    ],
)
def test_the_micro_batch_that_fits_is_found_by_compiling_few(need, limit, found, tries):
    asked = []
    result = fitting_micro_batch(
        lambda size: asked.append(size) or need(size), [1, 2, 4, 8, 16, 32, 64], limit=limit, start=(64, need(64)), fixed=100
    )
    assert (None if result is None else result[0], len(asked)) == (found, tries), asked


def test_a_state_that_alone_is_too_large_fits_with_no_micro_batch():
    assert fitting_micro_batch(lambda size: 400, [1, 2, 4], limit=300, start=(4, 400), fixed=400) is None
