"""The trend of few cells: an answer from the first cell on, and the planted law once there are many."""

import math
import random

import pytest

from analysis.learning_rate.early import Prior, Trial, early_trend

S, T, U, C = 0.3, 0.12, 0.05, 0.9
SIZES, BUDGETS = (1000, 2000, 4000), (0.5, 1, 2, 4)


def best_rate(params, epochs):
    size, budget = math.log(params / SIZES[0]), math.log(epochs / BUDGETS[0])
    return C * math.exp(-(S + U * size) * budget - T * size)


def trials_of(cells, *, curvature=0.08, rates=(0.2, 0.4, 0.8, 1.6), noise=0.0):
    draw = random.Random(0)
    return [
        Trial((n, e), n, e, rate, 2.0 * math.exp(curvature * math.log(rate / best_rate(n, e)) ** 2 + noise * draw.gauss(0, 1)))
        for n, e in cells
        for rate in rates
    ]


def test_one_cell_says_where_its_own_optimum_is_and_the_prior_how_it_falls():
    trend = early_trend(trials_of([(1000, 0.5)]))
    value, low, high = map(math.exp, trend.at(params=1000, epochs=0.5))
    assert value == pytest.approx(C, rel=0.05)
    assert low < C < high
    later, later_low, later_high = map(math.exp, trend.at(params=1000, epochs=1))
    assert later / value == pytest.approx(2 ** -Prior().s[0], rel=0.02)
    assert later_high / later_low > high / low
    assert later_low < best_rate(1000, 1) < later_high


def test_many_cells_outweigh_the_prior():
    cells = [(n, e) for n in SIZES for e in BUDGETS]
    trend = early_trend(trials_of(cells, noise=0.001), Prior(noise=0.001))
    for n, e in [*cells, (8000, 8)]:
        value, low, high = map(math.exp, trend.at(params=n, epochs=e))
        assert value == pytest.approx(best_rate(n, e), rel=0.06)
        assert low < best_rate(n, e) < high
    assert float(trend.coefficients[0]) == pytest.approx(0.08, rel=0.02)


def test_two_rates_that_hardly_differ_do_not_send_the_next_cell_far_away():
    flat = trials_of([(1000, 0.5)], curvature=0.0, noise=0.02, rates=(0.4, 0.8, 1.6))
    value, _, _ = early_trend(flat).at(params=1000, epochs=1)
    assert 0.1 < math.exp(value) < 6.4


def test_the_order_of_trials_makes_no_difference_to_the_last_bit():
    trials = trials_of([(n, e) for n in SIZES for e in BUDGETS], noise=0.02)
    shuffled = trials[:]
    random.Random(1).shuffle(shuffled)
    assert early_trend(trials).at(params=4000, epochs=8) == early_trend(shuffled).at(params=4000, epochs=8)


def test_a_sharp_uneven_first_cell_keeps_its_optimum_between_the_rates_that_bracket_it():
    """Losses of a real cell: too high a rate is a cliff. Its parabola has the vertex half a step below 0.4, not a whole one."""
    cliff = [Trial("cell", 1000, 2, rate, loss) for rate, loss in ((0.2, 0.982), (0.4, 0.950), (0.8, 1.603))]
    value, _, _ = early_trend(cliff).at(params=1000, epochs=2)
    assert math.log2(math.exp(value) / 0.4) == pytest.approx(-0.44, abs=0.05)


def test_next_to_nothing_is_known_and_said_without_an_overflow():
    flat = [Trial("cell", 1000, 2, rate, loss) for rate, loss in ((0.2, 1.0), (0.4, 1.3), (0.8, 1.0))]
    _, low, high = early_trend(flat).at(params=1e9, epochs=2000)
    assert low < high
    assert high - low > 5
