"""Which micro-batch fits, found by compiling few."""

import pytest

from trainer.memory import fitting_micro_batch


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
