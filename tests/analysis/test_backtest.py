"""The back-test itself: what it holds out, how scores turn into weights, how its error grows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from analysis.automatic import candidates
from analysis.backtest.backtest import backtest
from analysis.backtest.forecast_error import forecast_error
from analysis.backtest.rule import repeats, weights_of
from analysis.backtest.windows import cells_in_order, windows
from analysis.fitting.estimate import Sample
from analysis.fitting.objective import objective_named
from scaling.errors import TooFewPoints


def sample_of(x: np.ndarray, y: np.ndarray, cell: np.ndarray | None = None) -> Sample:
    return Sample(x[None], y, np.unique(x, return_inverse=True)[1] if cell is None else cell, np.ones(len(x)))


def of_curve(x: np.ndarray, y: np.ndarray, horizon: float = 4.0):
    return backtest(candidates(["C"]), sample_of(x, y), np.log(x), objective_named("log"), rows_of=lambda law: [0], horizon=horizon)


def test_windows_grow_and_hold_out_only_what_lies_beyond_them_within_the_horizon():
    x = 2.0 ** np.arange(10)
    some = windows(cells_in_order(sample_of(x, x), np.log(x)), can_be_fitted=lambda inside: inside.sum() >= 4, horizon=4)
    np.testing.assert_array_equal(some.inside.sum(1), [4, 5, 6, 7, 8, 9])
    np.testing.assert_array_equal(some.held_out.sum(1), [2, 2, 2, 2, 2, 1])
    assert not (some.inside & some.held_out).any()
    np.testing.assert_allclose(np.exp(some.ahead[some.held_out]).max(), 4)


def test_the_next_budget_is_held_out_even_if_it_lies_beyond_the_horizon():
    x = 10.0 ** np.arange(8)
    some = windows(cells_in_order(sample_of(x, x), np.log(x)), can_be_fitted=lambda inside: inside.sum() >= 3, horizon=2)
    np.testing.assert_array_equal(some.held_out.sum(1), np.ones(5))


def test_seeds_of_a_cell_are_one_budget_and_never_on_both_sides_of_a_window():
    x = np.repeat([1.0, 2, 4, 8, 16, 32], 3) * np.tile([0.99, 1.0, 1.01], 6)  # measured core-hours differ a little
    cells = cells_in_order(sample_of(x, x, np.repeat(np.arange(6), 3)), np.log(x))
    assert len(cells.y) == 6
    np.testing.assert_allclose(cells.weights, 3)


def test_many_cells_are_thinned_and_keep_their_mean():
    x = np.geomspace(1, 1e4, 5000)
    cells = cells_in_order(sample_of(x, x**-0.3), np.log(x))
    assert len(cells.y) <= 240
    np.testing.assert_allclose(cells.y, cells.inputs[0] ** -0.3, rtol=1e-9)
    assert cells.weights.sum() == 5000


def test_weights_fall_with_the_sixth_power_and_small_ones_are_dropped():
    weights = weights_of(np.array([1.0, 1.0, 2.0]))
    np.testing.assert_allclose(weights, [0.5, 0.5, 0.0])
    np.testing.assert_allclose(weights_of(np.array([1.0, 1.2]))[1] / weights_of(np.array([1.0, 1.2]))[0], 1.2**-6)
    np.testing.assert_allclose(weights_of(np.array([0.0, 1.0])), [1.0, 0.0])


def test_a_law_that_says_the_same_as_one_with_fewer_coefficients_is_a_repeat():
    errors = np.array([[1.0, -1.0, 0.5], [1.001, -1.0, 0.5], [0.2, 0.1, 0.4]])
    assert repeats(errors, np.array([1.0, 1.0, 0.3])) == [None, 0, None]


def test_growth_is_the_slope_of_errors_that_grow_in_proportion_to_distance():
    rng = np.random.default_rng(0)
    ahead = np.abs(rng.normal(1, 0.5, (400, 8))) + 0.1
    errors = 0.03 * ahead * rng.standard_normal((400, 1)) + 0.01 * rng.standard_normal((400, 8))
    found = forecast_error(errors, ahead, np.ones_like(ahead, dtype=bool), residual_std=0.01)
    assert found.slope == pytest.approx(0.03, rel=0.1)
    assert found.variance(np.array([-1.0, 0.0, 2.0])) == pytest.approx([0, 0, (2 * found.slope) ** 2])


def test_forecasts_of_a_window_are_those_of_a_fit_to_its_cells_alone():
    rng = np.random.default_rng(1)
    x = np.geomspace(1, 1000, 12)
    y = (0.5 + 2 * x**-0.4) * np.exp(0.01 * rng.standard_normal(12))
    test = of_curve(x, y)
    inside, out = test.windows.inside[1], test.windows.held_out[1]

    def residual(theta):
        return np.log(theta[0] + np.exp(theta[1]) * x[inside] ** -theta[2]) - np.log(y[inside])

    alone = optimize.least_squares(residual, [0.4, 0.5, 0.3], x_scale="jac", xtol=1e-14, ftol=1e-14).x
    expected = np.log(alone[0] + np.exp(alone[1]) * x[out] ** -alone[2])
    np.testing.assert_allclose(test.logs_of_forecasts["power-floor"][1, out], expected, atol=1e-4)


def test_scores_are_the_errors_in_the_table_of_what_was_held_out():
    rng = np.random.default_rng(2)
    x = np.geomspace(1, 500, 14)
    test = of_curve(x, (0.5 + 2 * x**-0.4) * np.exp(0.01 * rng.standard_normal(14)))
    held_out = test.held_out
    for law in test.laws:
        by_hand = float(np.sqrt(np.mean(held_out[f"error_{law}"] ** 2)))
        assert test.forecast_errors[law] == pytest.approx(by_hand)
        assert test.scores[law] == pytest.approx(np.hypot(by_hand, test.residual_stds[law]))
    assert (held_out["times"] > 1).all()
    assert (held_out["times"] <= 4.001).all()
    assert sum(test.weights.values()) == pytest.approx(1)


@pytest.mark.parametrize(("truth", "law"), [("power", "power"), ("power-floor", "power-floor"), ("hill", "hill")])
def test_without_noise_the_law_of_the_truth_stands_alone(truth, law):
    x = np.geomspace(1, 1e4, 12)
    y = {"power": 3 * x**-0.3, "power-floor": 0.5 + 3 * x**-0.4, "hill": 0.4 + 2 / (1 + (x / 20) ** 0.7)}[truth]
    assert list(of_curve(x, y).members) == [law]


def test_laws_with_too_many_coefficients_to_hold_anything_out_stay_out_with_the_reason():
    x = np.geomspace(1, 100, 7)
    test = of_curve(x, 0.5 + 3 * x**-0.4)
    assert set(test.laws) == {"power", "power-floor", "saturating", "hill"}
    assert "6 coefficients" in test.left_out["broken"]


def test_too_few_budgets_are_refused_with_the_number_that_is_missing():
    x = np.geomspace(1, 100, 4)
    with pytest.raises(TooFewPoints, match=r"takes 5 distinct budgets; there are 4, 1 more is needed") as caught:
        of_curve(x, 3 * x**-0.3)
    assert "add budgets" in caught.value.hint


def test_the_horizon_decides_what_counts():
    x = np.geomspace(1, 2000, 16)
    y = 0.5 + 3 * x**-0.4
    assert of_curve(x, y, horizon=2).windows.held_out.sum() < of_curve(x, y, horizon=100).windows.held_out.sum()
