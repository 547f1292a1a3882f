"""The frontier: against brute force, against lucky seeds, across learning rates."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis
from analysis.pareto import pareto_mask
from scaling.errors import TooFewPoints

fit_power = partial(analysis.fit, law="power")

coordinates = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=25)


@settings(max_examples=80, deadline=None)
@given(coordinates)
def test_mask_is_brute_force(points):
    x, y = np.array(points, dtype=float).T

    def beaten(i):
        no_worse = (x <= x[i]) & (y <= y[i])
        better = no_worse & ((x < x[i]) | (y < y[i]))
        same_before = no_worse & (x == x[i]) & (y == y[i]) & (np.arange(len(x)) < i)
        return better.any() or same_before.any()

    assert pareto_mask(x, y).tolist() == [not beaten(i) for i in range(len(x))]


def cell(model, epochs, hours, losses, rate=1.0, start=0):
    return [
        {
            "id": f"{model}-{epochs}-{rate}-{seed}",
            "family": "nfnet",
            "model": model,
            "epochs": epochs,
            "learning_rate": rate,
            "seed": seed,
            "core_hours": hours,
            "val_loss": loss,
            "status": "finished",
        }
        for seed, loss in enumerate(losses, start)
    ]


def test_one_lucky_seed_does_not_make_a_frontier():
    runs = pd.DataFrame(cell("F0", 1, 1.0, [1.0, 1.0]) + cell("F1", 1, 1.1, [0.9, 1.3]) + cell("F3", 1, 2.0, [0.8, 0.8]))
    found = analysis.frontier(runs)
    assert list(found.on_frontier["model"]) == ["F0", "F3"]
    # Taking single runs instead would have put F1's lucky seed there.
    assert pareto_mask(runs["core_hours"].to_numpy(), runs["val_loss"].to_numpy())[2]


def test_a_point_is_the_mean_of_the_best_learning_rate():
    runs = pd.DataFrame(cell("F0", 1, 1.0, [1.0, 1.2], rate=0.2) + cell("F0", 1, 1.5, [0.7, 1.9], rate=0.4))
    found = analysis.frontier(runs)
    (point,) = found.points.to_dict("records")
    assert point["learning_rate"] == 0.2  # mean 1.1 beats mean 1.3, though 0.7 was the luckiest
    assert point["seeds"] == 2
    assert point["val_loss"] == pytest.approx(1.1)
    assert (point["val_loss_min"], point["val_loss_max"]) == (1.0, 1.2)
    assert point["core_hours"] == 1.0
    assert [entry.id for entry in found.excluded] == ["F0-1-0.4-0", "F0-1-0.4-1"]
    assert found.excluded[0].reason == "learning rate 0.4 is not the best of its cell (0.2)"


def test_best_is_a_staircase():
    runs = pd.DataFrame(
        cell("F0", 1, 1.0, [1.0]) + cell("F0", 2, 2.0, [0.9]) + cell("F1", 1, 3.0, [0.95]) + cell("F1", 2, 6.0, [0.5])
    )
    best = analysis.frontier(runs).best()
    assert best[["core_hours_from", "model", "epochs"]].to_numpy().tolist() == [[1.0, "F0", 1], [2.0, "F0", 2], [6.0, "F1", 2]]
    assert best["core_hours_to"].tolist()[:2] == [2.0, 6.0]
    assert np.isnan(best["core_hours_to"].iloc[2])


def test_fit_on_the_frontier_uses_every_seed_of_its_cells():
    runs = pd.DataFrame(
        [
            row
            for epochs in (1, 2, 4, 8)
            for row in cell("F0", epochs, epochs, [epochs**-0.3, 1.01 * epochs**-0.3]) + cell("F1", epochs, 1.5 * epochs, [2.0])
        ]
    )
    fit = fit_power(runs, on="frontier")
    assert fit.runs_used == 8
    assert fit.cells == 4
    assert {entry.reason for entry in fit.excluded} == {"its cell is not on the frontier"}
    assert fit_power(runs, on="all").runs_used == 12


def test_table_without_names_makes_each_compute_a_cell():
    runs = pd.DataFrame({"train_flops": [1e9, 1e9, 1e10], "val_loss": [1.0, 1.2, 0.5]})
    points = analysis.frontier(runs, x="train_flops").points
    assert points["val_loss"].tolist() == pytest.approx([1.1, 0.5])
    assert points["run_ids"].tolist() == [["row 1", "row 2"], ["row 3"]]


def test_nothing_usable_says_why():
    runs = pd.DataFrame(cell("F0", 1, 1.0, [np.nan, np.nan])).assign(status=["diverged", "running"])
    with pytest.raises(TooFewPoints, match=r"1 diverged, 1 not finished \(running\).*1 more"):
        analysis.frontier(runs)


def test_payload_and_csv(nfnet):
    found = analysis.frontier(nfnet, metric="error")
    payload = json.loads(json.dumps(analysis.payload(found), allow_nan=False))
    assert payload["schema_version"] == 1
    assert len(payload["points"]) == 21
    assert payload["best"][-1]["core_hours_to"] is None
    assert payload["points"][0]["run_ids"] == ["row 1"]
    lines = found.to_csv().splitlines()
    assert len(lines) == 22
    assert lines[0].startswith("family,model,epochs,seeds,core_hours,error,")
