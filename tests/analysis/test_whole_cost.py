"""The size that costs least in all: against published numbers, brute force over the known surface, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import analysis
from scaling.errors import UsageError
from tests.analysis.grids import ALPHA, BETA, FLOOR, A, B, chinchilla, grid

HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.336, "beta": 0.283}
"""The coefficients that Sardana et al. 2024 take from Hoffmann et al. 2022."""


def hoffmann(N, D):
    return HOFFMANN["E"] + HOFFMANN["A"] * N ** -HOFFMANN["alpha"] + HOFFMANN["B"] * D ** -HOFFMANN["beta"]


def chinchilla_data(N):
    """The data with which N is compute-optimal for C = 6·N·D."""
    one, other = HOFFMANN["alpha"] * HOFFMANN["A"] * N ** -HOFFMANN["alpha"], HOFFMANN["beta"] * HOFFMANN["B"]
    return (other / one) ** (1 / HOFFMANN["beta"])


@pytest.fixture(scope="module")
def language_models():
    rows = [(N, D) for N in np.geomspace(1e8, 3e10, 6) for D in np.geomspace(2e9, 1e12, 6)]
    runs = pd.DataFrame(rows, columns=["params", "examples_seen"])
    return runs.assign(
        train_flops=6 * runs["params"] * runs["examples_seen"], val_loss=hoffmann(runs["params"], runs["examples_seen"])
    )


@pytest.mark.parametrize(
    ("quality_of", "served", "size", "times_data", "saved", "saved_flops"),
    [
        (13e9, 2e12, 7e9, None, 0.17, 1.7e22),  # arXiv 2401.00448, figure 1
        (30e9, 1e13, 13.6e9, 2.84, 0.28, None),  # the same, sec. 2.1
    ],
)
def test_published_sizes_for_inference(language_models, quality_of, served, size, times_data, saved, saved_flops):
    data = chinchilla_data(quality_of)
    found = analysis.compute_optimal(
        language_models, x="train_flops", serve=served, target_loss=hoffmann(quality_of, data), bootstrap=100
    ).whole_cost
    assert found.size.value == pytest.approx(size, rel=0.006)
    assert found.saved.value == pytest.approx(saved, abs=0.005)
    assert found.training_size.value == pytest.approx(quality_of, rel=2e-3)
    if times_data:
        assert found.examples.value / data == pytest.approx(times_data, abs=0.01)
    if saved_flops:
        alone = 6 * quality_of * data + 2 * quality_of * served
        assert alone - found.total.value == pytest.approx(saved_flops, rel=0.01)
    assert found.sentence().startswith("At val_loss")


def brute_force(weight, *, loss=None, budget=None):
    """(size, examples) of least 6·N·(D + weight)/1e15 at a loss, or of least loss at such a budget, by scipy over the truth."""

    def data(N):
        if budget is not None:
            return budget * 1e15 / 6 / N - weight
        left = loss - FLOOR - A * N**-ALPHA
        return (left / B) ** (-1 / BETA) if left > 0 else np.inf

    def judged(v):
        N = np.exp(v)
        D = data(N)
        if not 0 < D < np.inf:
            return 1e99
        return chinchilla(N, D) if budget is not None else 6 * N * (D + weight)

    starts = np.linspace(np.log(1e4), np.log(1e11), 2_001)
    best = starts[np.argmin([judged(v) for v in starts])]
    N = np.exp(minimize_scalar(judged, bounds=(best - 0.01, best + 0.01), method="bounded", options={"xatol": 1e-9}).x)
    return N, data(N)


@pytest.mark.parametrize("asked", [{"target_loss": 1.05}, {"budget": 60.0}, {"target_loss": 0.95}])
def test_it_is_what_brute_force_finds(asked):
    found = analysis.compute_optimal(grid(), serve=3e9, finetune=2e8, bootstrap=100, **asked).whole_cost
    size, examples = brute_force(1e9 + 2e8, loss=asked.get("target_loss"), budget=asked.get("budget"))
    plain_size, plain_examples = brute_force(0.0, loss=chinchilla(size, examples))
    assert found.size.value == pytest.approx(size, rel=2e-3)
    assert found.examples.value == pytest.approx(examples, rel=5e-3)
    assert found.total.value == pytest.approx(6 * size * (examples + 1.2e9) / 1e15, rel=1e-3)
    assert found.loss.value == pytest.approx(chinchilla(size, examples), rel=1e-4)
    assert found.over_training.value == pytest.approx(examples / size / (plain_examples / plain_size), rel=5e-3)
    assert found.training + found.finetuning + found.serving == pytest.approx(1.0)
    assert found.serving / found.finetuning == pytest.approx(5.0)


def test_fine_tuning_on_an_example_costs_three_times_what_serving_it_does():
    served, tuned = (
        analysis.compute_optimal(grid(), target_loss=1.0, bootstrap=100, **asked).whole_cost
        for asked in ({"serve": 3e9}, {"finetune": 1e9})
    )
    assert served.size == tuned.size
    cheaper = analysis.compute_optimal(grid(), target_loss=1.0, serve=3e9, serve_share=0.1, bootstrap=100).whole_cost
    assert served.size.value < cheaper.size.value < cheaper.training_size.value


def test_without_serving_it_is_compute_optimal_training():
    found = analysis.compute_optimal(grid(), target_loss=1.0, bootstrap=100).whole_cost
    assert found.over_training.value == pytest.approx(1.0, abs=1e-9)
    assert found.saved.value == pytest.approx(0.0, abs=1e-9)
    assert found.size.value == pytest.approx(brute_force(0.0, loss=1.0)[0], rel=2e-3)


def test_intervals_hold_the_truth_and_json_is_json():
    found = analysis.compute_optimal(grid(noise=0.004, seeds=2), serve=3e9, target_loss=1.05, bootstrap=200)
    whole = found.whole_cost
    size, examples = brute_force(1e9, loss=1.05)
    assert whole.size.low < size < whole.size.high
    assert whole.examples.low < examples < whole.examples.high
    assert whole.identified
    body = json.loads(json.dumps(found.to_dict(), allow_nan=False))["whole_cost"]
    assert body["serve"] == 3e9
    assert body["over_training"]["low"] < body["over_training"]["value"]
    assert analysis.compute_optimal(grid(), bootstrap=100).to_dict()["whole_cost"] is None


def test_a_loss_below_the_floor_is_no_fault_but_no_answer():
    found = analysis.compute_optimal(grid(), target_loss=0.4, serve=1e9, bootstrap=100).whole_cost
    assert "have a loss below" in found.reason
    assert found.sentence().startswith("No size is named for serving 1e+09 examples")
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"serve": -1.0}, "no number of examples"),
        ({"target_loss": 1.0, "budget": 3.0}, "exclude each other"),
        ({"serve": 1.0, "serve_share": 0.0}, "not a positive number"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked, words):
    with pytest.raises(UsageError, match=words):
        analysis.compute_optimal(grid(), **asked)


def test_examples_have_to_be_known():
    bare = grid().drop(columns=["examples_seen", "unique_examples"])
    with pytest.raises(UsageError, match="count examples"):
        analysis.compute_optimal(bare, serve=1e9)
