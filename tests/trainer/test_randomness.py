"""Random numbers that belong to a row of the batch, whatever micro-batch it is in."""

import jax
import numpy as np

from trainer.randomness import _flat_index, key_of_rows


def test_a_row_draws_the_same_numbers_in_any_micro_batch():
    key, batch = jax.random.key(3), 12
    whole = jax.random.uniform(key, (batch, 5, 3))
    folded = jax.random.bernoulli(jax.random.fold_in(jax.random.split(key)[1], 7), 0.3, (batch, 1, 1, 1))
    for count, firsts in ((3, (0, 2)), (4, (1,))):
        for first in firsts:
            rows = key_of_rows(key, first=first, stride=count, rows=batch // count)
            np.testing.assert_array_equal(jax.random.uniform(rows, (batch // count, 5, 3)), whole[first::count])
            derived = jax.random.fold_in(jax.random.split(rows)[1], 7)
            np.testing.assert_array_equal(jax.random.bernoulli(derived, 0.3, (batch // count, 1, 1, 1)), folded[first::count])


def test_flat_indices_beyond_32_bits():
    rows = np.array([0, 1, 70_000, 2**31 + 5], np.uint32)
    for width in (1, 7, 65_537, 200_003):
        high, low = (np.asarray(word, np.uint64) for word in _flat_index(rows, width))
        expected = rows[:, None].astype(np.uint64) * np.uint64(width) + np.arange(width, dtype=np.uint64)
        np.testing.assert_array_equal((high << np.uint64(32)) | low, expected)
