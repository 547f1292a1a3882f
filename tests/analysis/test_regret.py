"""What a choice costs at most: against the known surface by brute force, the variance that the discrepancy states, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.fitting.fit import fit
from scaling.errors import UnknownName, UsageError
from tests.analysis.grids import EXAMPLES, chinchilla, grid


def true_regret(choice):
    """By how much the true loss of a choice exceeds the least of all sizes at its compute, for C = 6·N·D."""
    sizes, D = np.geomspace(1e5, 1e12, 50_001), choice.data * EXAMPLES
    least = chinchilla(sizes, choice.size * D / sizes).min()
    return chinchilla(choice.size, D) / least - 1


@pytest.fixture(scope="module")
def exact():
    return analysis.regret(grid(chinchilla, epochs=(0.06, 0.12, 0.25, 0.5, 1)), bootstrap=100)


def test_without_noise_it_is_the_true_regret(exact):
    for choice in exact.choices:
        assert choice.value == pytest.approx(true_regret(choice), abs=1e-5)
        assert choice.value <= choice.most < choice.value + 1e-3


def test_the_choices_are_the_best_cell_then_ten_times_its_compute(exact):
    so_far, size, model = exact.choices
    assert (so_far.model, so_far.data, so_far.times) == ("nfnet-4", pytest.approx(1.0), 1.0)
    assert (size.kind, model.kind) == ("best-size", "best-model")
    assert size.at == model.at == pytest.approx(10 * so_far.at)
    assert size.value == 0.0 < model.value
    assert size.size * size.data == pytest.approx(10 * so_far.size * so_far.data, rel=1e-3)


def test_the_bound_holds_the_truth_and_noise_widens_it(exact):
    noisy = analysis.regret(grid(chinchilla, epochs=(0.06, 0.12, 0.25, 0.5, 1), noise=0.01), bootstrap=200)
    for choice, before in zip(noisy.choices, exact.choices, strict=True):
        assert choice.most > true_regret(choice)
        assert choice.most > before.most
    surer = analysis.regret(grid(chinchilla, epochs=(0.06, 0.12, 0.25, 0.5, 1), noise=0.01), bootstrap=200, level=0.8)
    assert all(one.most < other.most for one, other in zip(surer.choices, noisy.choices, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_no_surface_takes_part_that_fixes_how_the_best_size_grows(seed):
    """One exponent for size and data has fewer coefficients to doubt, so it wins where runs are few, and leaves the choice without doubt."""
    runs = grid(chinchilla, epochs=(0.06, 0.12, 0.25, 0.5, 1), noise=0.02, rng_seed=seed)
    found = analysis.regret(runs, bootstrap=100)
    assert found.members
    assert "chinchilla-tied" not in found.members
    assert fit(runs, x=("params", "examples_seen"), law="auto", bootstrap=100).backtest.weights["chinchilla-tied"] > 0.2


def test_a_law_that_takes_no_part_has_to_exist():
    with pytest.raises(UnknownName, match="chinchila"):
        fit(grid(chinchilla), x=("params", "examples_seen"), law="auto", without=["chinchila"])


def test_of_several_families_it_is_the_best_ones():
    runs = grid(chinchilla, noise=0.003)
    other = grid(lambda N, D: 1.1 * chinchilla(N, D), family="vit", noise=0.003)
    both = analysis.regret(pd.concat([runs, other], ignore_index=True), bootstrap=100)
    assert both.family == "nfnet"
    assert both.sentence().startswith("Choosing nfnet nfnet-4 at 8 epochs costs at most ")


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        (grid(sizes=(1e6, 3e6)), "3 sizes and 6 cells, and there are 2 and 12"),
        (grid().drop(columns=["epochs", "examples_seen", "unique_examples"]), "epochs"),
        (grid(lambda N, D: 0.5 + 3 * N**-0.1 + 1e-9 * D), "lies far"),
    ],
)
def test_where_it_cannot_be_known_it_says_why(runs, why):
    found = analysis.regret(runs, bootstrap=100)
    assert found.is_unknown
    assert "is not known" in found.sentence()
    assert why in found.sentence()
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_level_that_is_none_is_refused():
    with pytest.raises(UsageError):
        analysis.regret(grid(), level=1.0)


def test_draws_off_the_law_have_the_variance_that_its_intervals_have():
    curved = grid(lambda N, D: chinchilla(N, D) * np.exp(0.02 * np.sin(np.log(N))), noise=0.001)
    found = fit(curved, law="chinchilla", bootstrap=100)
    own = found.estimate
    inputs = found.inputs_at(found.runs.iloc[[0, 7, 20]])
    beyond = np.concatenate([inputs, inputs[:, :1] * 30], axis=1)
    jacobian = own.log_mean_jacobian(beyond)
    draws = own.discrepancy.draws_at(beyond, jacobian, 20_000, 0)
    freedom = own.discrepancy.degrees_of_freedom
    wanted = own.discrepancy.variance_at(beyond, jacobian) * freedom / (freedom - 2)
    assert own.discrepancy.variance > 0
    assert draws.var(axis=0) == pytest.approx(wanted, rel=0.1)
