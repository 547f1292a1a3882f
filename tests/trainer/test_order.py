"""Each example once an epoch, in an order that is a pure function of seed and position."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import Order, permute
from trainer.data.permutation import unpermute


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 3000), key=st.tuples(st.integers(0, 2**40), st.integers(0, 1000)))
def test_permute_is_a_permutation(n, key):
    assert np.array_equal(np.sort(permute(np.arange(n), n, key)), np.arange(n))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 2**40), key=st.tuples(st.integers(0, 2**40), st.integers(0, 1000)), data=st.data())
def test_every_id_leads_back_to_its_place(n, key, data):
    places = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=20)), np.int64)
    ids = permute(places, n, key)
    assert ((ids >= 0) & (ids < n)).all()
    assert np.array_equal(unpermute(ids, n, key), places)


def test_repeats_are_copies_in_a_row_at_the_same_number_of_images():
    order = Order(examples=10, epochs=2, batch_size=6, seed=1, repeats=3)
    draws = order.draws(range(order.total))
    assert order.total == 20
    assert order.unique_examples == 7
    assert np.array_equal(draws.ids[0:18:3], draws.ids[1:18:3])
    assert np.array_equal(draws.copies, np.arange(20) % 3)
    assert len(np.unique(draws.ids)) == 7


def test_another_key_is_another_permutation_and_neighbours_part():
    first, second = (permute(np.arange(10_000), 10_000, (key, 0)) for key in (0, 1))
    assert (first == second).mean() < 0.01
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.05


def test_four_billion_examples_need_no_table():
    order = Order(examples=4_000_000_000, epochs=8, batch_size=4096, seed=0)
    ids = order.ids(order.steps - 1)
    assert order.total == 32_000_000_000
    assert 0 <= ids.min() <= ids.max() < 4_000_000_000


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 150), epochs=st.floats(0.25, 3.5), batch=st.integers(1, 64), seed=st.integers(0, 5))
def test_every_example_once_an_epoch_whatever_the_batch(n, epochs, batch, seed):
    order = Order(n, epochs, batch, seed)
    ids = np.concatenate([order.ids(step) for step in range(order.steps)]) if order.steps else np.empty(0, int)
    assert len(ids) == order.total == round(epochs * n)
    whole = len(ids) // n
    for epoch in range(whole):
        assert np.array_equal(np.sort(ids[epoch * n : (epoch + 1) * n]), np.arange(n))
    rest = ids[whole * n :]
    assert len(np.unique(rest)) == len(rest)


def test_a_quarter_epoch_is_exactly_a_quarter_of_the_examples_each_once():
    order = Order(1000, 0.25, 64, seed=3)
    ids = np.concatenate([order.ids(step) for step in range(order.steps)])
    assert len(np.unique(ids)) == len(ids) == 250


@pytest.mark.parametrize("batch", [1, 7, 32])
def test_the_order_does_not_depend_on_the_batch_size(batch):
    ids = [
        np.concatenate([Order(50, 2.0, size, 1).ids(step) for step in range(Order(50, 2.0, size, 1).steps)])
        for size in (batch, 100)
    ]
    np.testing.assert_array_equal(*ids)


def test_positions_past_the_end_are_those_of_a_longer_run():
    """A tampered record may name some, and the audit asks for them."""
    ids = [Order(50, epochs, 8, 1).draws(range(95, 103)).ids for epochs in (2.0, 3.0)]
    np.testing.assert_array_equal(*ids)
