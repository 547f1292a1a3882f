"""What every law promises: one class of tests for whatever file is in `analysis/laws/`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.fitting.objective import OBJECTIVES
from analysis.fitting.point import fit_point
from analysis.laws import law_named, law_names

TRUTHS = {
    "power": {"A": 3.0, "a": 0.17},
    "power-floor": {"E": 0.5, "A": 2.0, "a": 0.4},
    "saturating": {"E": 0.5, "A": 9.0, "a": 0.5, "d": 20.0},
    "hill": {"E": 0.5, "H": 3.0, "a": 0.8, "k": 50.0},
    "broken": {"E": 0.4, "A": 2.0, "a": 0.1, "b": 0.7, "k": 200.0, "f": 0.3},
    "chinchilla": {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37},
    "chinchilla-tied": {"E": 1.87, "A": 521.0, "alpha": 0.353, "B": 1488.0},
    "skaling": {"E": 1.5, "A": 300.0, "alpha": 0.32, "r": 3.0, "beta": 0.3, "k": 0.4},
    "data-constrained": {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37, "Rstar": 15.0},
    "repeat-penalty": {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2100.0, "beta": 0.37, "P": 0.05, "delta": 0.9, "kappa": 0.5},
    "three-term": {"E": 1.8, "A": 480.0, "alpha": 0.35, "C": 90.0, "gamma": 0.5, "B": 7.0, "beta": 0.3},
    "data-constrained-both": {
        "E": 1.87,
        "A": 521.0,
        "alpha": 0.353,
        "B": 1488.0,
        "beta": 0.353,
        "Rstar": 15.4,
        "RNstar": 5.3,
        "u": 0.051,
    },
}


def design(law):
    """Inputs (k, n) over which every coefficient of the truth shows."""
    if law.axes == ("C",):
        return np.geomspace(1.0, 1e5, 40)[None]
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e10, 5), np.geomspace(1e8, 1e12, 6)))
    if law.axes == ("N", "D"):
        return np.stack([N, D])
    if law.axes == ("N", "K", "M"):
        return np.stack([np.repeat(N, 5), np.repeat(D, 5) / 1e6, np.tile(np.geomspace(16, 4096, 5), len(D))])
    epochs = np.geomspace(1, 60, 4)
    return np.stack([np.repeat(N, 4), np.repeat(D, 4), np.repeat(D, 4) / np.tile(epochs, len(D))])


def truth(name):
    law = law_named(name)
    inputs = design(law)
    return law, inputs, law.theta(TRUTHS[name]), law.curve(inputs, TRUTHS[name])


def test_every_law_has_a_truth_here():
    assert set(TRUTHS) == set(law_names())


@pytest.mark.parametrize("name", TRUTHS)
class TestLaw:
    def test_is_described(self, name):
        law = law_named(name)
        assert set(law.meanings) == set(law.coefficients) == {*law.linear, *(shape.name for shape in law.shapes)}
        assert "arXiv" in law.citation
        text = law.equation({c: f"<{c}>" for c in law.coefficients}, "val_loss", [f"col_{axis}" for axis in law.axes])
        assert all(f"<{c}>" in text for c in law.coefficients)
        assert all(f"col_{axis}" in text for axis in law.axes)

    @pytest.mark.parametrize("side", [-1, 1])
    def test_no_bound_follows_one_run(self, name, side):
        """However far one run lies beside the others, a bound of the search ends where the others' range ends twice; only the least exponent falls."""
        law, inputs, _, _ = truth(name)

        def ranges(distance):
            logs = np.log(inputs)
            logs[:, -1 if side > 0 else 0] += side * distance
            return np.array([shape.range(logs) for shape in law.shapes])

        far, farther = ranges(np.log(1e9)), ranges(np.log(1e18))
        is_exponent = np.array([not shape.is_logged for shape in law.shapes])
        assert farther[:, 1] == pytest.approx(far[:, 1])
        assert farther[~is_exponent, 0] == pytest.approx(far[~is_exponent, 0])
        assert (farther[is_exponent, 0] <= far[is_exponent, 0]).all()

    def test_theta_and_values_are_inverse(self, name):
        law, _, theta, _ = truth(name)
        values = {letter: float(value[0]) for letter, value in law.values(theta[None]).items()}
        assert values == pytest.approx(TRUTHS[name])

    def test_jacobian_is_the_finite_difference(self, name):
        law, inputs, theta, _ = truth(name)
        jacobian = law.log_curve_jacobian(inputs, theta)
        for place in range(len(theta)):
            step = np.zeros(len(theta))
            step[place] = 1e-5
            ends = law.log_curve(inputs, np.stack([theta - step, theta + step]))
            np.testing.assert_allclose(jacobian[:, place], (ends[1] - ends[0]) / 2e-5, rtol=1e-4, atol=1e-9)
        thetas = np.stack([theta, 0.9 * theta])
        together = law.log_curve_jacobians(inputs, thetas)
        np.testing.assert_array_equal(together, [law.log_curve_jacobian(inputs, each) for each in thetas])

    @pytest.mark.parametrize("objective", OBJECTIVES)
    def test_recovers_its_truth(self, name, objective):
        law, inputs, theta, y = truth(name)
        found = fit_point(law, inputs, y, objective=objective)
        assert found.converged[0]
        np.testing.assert_allclose(found.theta[0], theta, rtol=1e-4, atol=1e-4)

    def test_bootstrap_draws_are_the_optima_found_one_by_one(self, name):
        law, inputs, _, y = truth(name)
        rng = np.random.default_rng(0)
        y = y * np.exp(0.003 * rng.standard_normal(len(y)))
        weights = rng.exponential(size=(5, len(y)))
        start = fit_point(law, inputs, y).theta[0]
        together = fit_point(law, inputs, y, weights=weights, start=start)
        apart = [fit_point(law, inputs, y, weights=weight) for weight in weights]
        np.testing.assert_allclose(together.loss, [one.loss[0] for one in apart], rtol=1e-6)

    @settings(max_examples=5, deadline=None)
    @given(order=st.randoms(use_true_random=False), unit_x=st.floats(1e-6, 1e9), unit_y=st.floats(1e-3, 1e3))
    def test_row_order_and_units(self, name, order, unit_x, unit_y):
        law, inputs, _, y = truth(name)
        y = y * np.exp(0.003 * np.random.default_rng(1).standard_normal(len(y)))
        rows = list(range(len(y)))
        order.shuffle(rows)
        before = fit_point(law, inputs, y)
        after = fit_point(law, inputs[:, rows] * unit_x, y[rows] * unit_y)
        np.testing.assert_allclose(after.loss, before.loss, rtol=1e-6)
        for shape in law.shapes:
            ratio = after.values[shape.name] / before.values[shape.name]
            if shape.kind == "ratio":  # of powers of the inputs, which have their own exponents
                grows = [sum(after.values[name][0] for name in powers) for powers in (shape.exponents, shape.rises)]
                assert np.log(ratio) == pytest.approx((grows[0] - grows[1]) * np.log(unit_x), abs=0.2)
                continue
            assert ratio == pytest.approx(unit_x if shape.kind == "location" and shape.per is None else 1.0, rel=2e-2)
        np.testing.assert_allclose(
            law.log_curve(inputs * unit_x, after.theta) - np.log(unit_y), law.log_curve(inputs, before.theta), atol=1e-4
        )


@pytest.mark.parametrize(
    "values",
    [
        {"E": 0.2, "A": 2.0, "a": 0.5, "b": 0.1, "k": 300.0, "f": 0.2},
        {"E": 0.2, "A": 2.0, "a": 0.05, "b": 0.5, "k": 3000.0, "f": 0.05},
        {"E": 0.4, "A": 2.0, "a": 0.1, "b": 0.7, "k": 200.0, "f": 0.3},
    ],
)
def test_the_deepest_of_many_basins_is_found(values):
    """A broken law has several: without help the search ends as low as from the truth."""
    law, x = law_named("broken"), np.geomspace(1, 1e5, 240)[None]
    y = law.curve(x, values) * np.exp(0.005 * np.random.default_rng(0).standard_normal(240))
    found, helped = fit_point(law, x, y), fit_point(law, x, y, start=law.theta(values))
    assert found.loss[0] <= helped.loss[0] * (1 + 1e-6)
