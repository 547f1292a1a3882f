"""Figures of comparisons, optima, slices, plans and back-tests draw the numbers that the answers hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.figures import (
    backtest_figure,
    comparison_figure,
    frontier_figure,
    optimum_figure,
    plan_figure,
    slices_figure,
)
from analysis.figures.style import looks
from analysis.optimum.slices import slices_of
from analysis.planning.neighbours import neighbouring_cells
from scaling.errors import DataError

STUDY = Path(__file__).parents[2] / "docs" / "example_study.csv"
COLUMNS = {
    "family": "arch",
    "model": "network",
    "params": "weights",
    "epochs": "passes",
    "examples_seen": "samples",
    "core_hours": "wall_seconds",
    "val_loss": "eval_loss",
    "status": "state",
}


@pytest.fixture(scope="module")
def study():
    """Two families on a known surface; `mixer` is 3 % worse."""
    return analysis.read_runs(STUDY, COLUMNS, {"core_hours": "seconds*n_gpus"})


@pytest.fixture(scope="module")
def convnet(study):
    return study[study["family"] == "convnet"]


@pytest.fixture(scope="module")
def optimum(convnet):
    return analysis.compute_optimal(convnet, bootstrap=100)


def drawn(figure, name):
    return next(trace for trace in figure.data if trace.name == name and trace.mode != "none" and trace.fill is None)


def is_plain_svg(figure):
    json.loads(figure.to_json())
    return {trace.type for trace in figure.data} == {"scatter"} and bool(figure.layout.uirevision)


def test_comparison(study):
    found = analysis.compare(study)
    figure = comparison_figure(found)
    assert is_plain_svg(figure)
    assert sorted(drawn(figure, "convnet").y) == sorted(found.budgets["val_loss_a"])
    pairs = drawn(figure, "a shared budget")
    assert sorted(pairs.y) == pytest.approx(sorted(100 * np.expm1(found.budgets["log_ratio"])))
    assert list(drawn(figure, "mean difference").y) == pytest.approx([100 * (found.ratio.value - 1)] * 3)
    assert pairs.yaxis == "y2"


def test_comparison_of_sides_that_cross(study):
    """The cross lies where the difference is nothing, on a bar as long as its interval."""
    faster = study["family"] == "mixer"
    hours = study["core_hours"]
    crossing = study.assign(val_loss=study["val_loss"].mask(faster, study["val_loss"] * (hours / 3) ** -0.02))
    found = analysis.compare(crossing)
    figure = comparison_figure(found)
    assert is_plain_svg(figure)
    at = found.crossing.at
    assert list(drawn(figure, "crossing").x) == [at.value]
    assert list(drawn(figure, "interval of the crossing").x) == pytest.approx([at.low, at.high])
    curve = drawn(figure, "difference at equal compute")
    assert np.interp(np.log(at.value), np.log(curve.x), curve.y) == pytest.approx(0, abs=0.01)
    assert curve.y[-1] == pytest.approx(100 * np.expm1(found.difference_at_largest.value))
    assert not [trace for trace in comparison_figure(analysis.compare(study)).data if trace.name == "crossing"]


def test_comparison_of_cells_that_do_not_pair(study):
    """Budgets of one side are moved by a third, so that they line up with none of the other's."""
    moved = study["family"] == "mixer"
    apart = study.assign(
        epochs=study["epochs"].mask(moved, study["epochs"] * 1.4),
        core_hours=study["core_hours"].mask(moved, study["core_hours"] * 1.4),
    )
    found = analysis.compare(apart)
    assert found.found.design == "joint"
    figure = comparison_figure(found)
    assert len(drawn(figure, "mixer").x) == 30
    assert is_plain_svg(figure)


def test_optimum(optimum):
    figure = optimum_figure(optimum)
    assert is_plain_svg(figure)
    answering = [path for path in optimum.paths if path.answers]
    assert len(answering) >= 2
    for path in answering:
        above, below = (trace for trace in figure.data if trace.name == path.approach)
        assert list(above.y) == list(path.table["size"])
        assert list(below.y) == list(path.table["epochs"])
        assert (above.yaxis, below.yaxis) == ("y", "y2")
    assert list(drawn(figure, "nearest that can be run").y) == list(optimum.runnable["size"])


def test_slices(convnet, optimum):
    slices = slices_of(analysis.frontier(convnet), optimum)
    figure = slices_figure(slices)
    assert is_plain_svg(figure)
    curves = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert 2 <= len(curves) <= 7
    budgets = sorted(slices.table["core_hours"].unique())
    lowest = slices.table[slices.table["core_hours"] == budgets[0]]
    assert list(curves[0].y) == list(lowest["val_loss"])
    assert {trace.marker.symbol for trace in figure.data if trace.mode == "markers"} == {"star"}
    payload = slices.to_dict()
    assert len(payload["slices"]) == len(slices.table)


def test_slices_interpolate_between_what_was_trained(convnet, optimum):
    points = analysis.frontier(convnet).points
    table = slices_of(analysis.frontier(convnet), optimum).table
    assert set(table["model"]) == set(points["model"])
    for model, rows in table.groupby("model"):
        own = points[points["model"] == model].sort_values("core_hours")
        straight = np.exp(np.interp(np.log(rows["core_hours"]), np.log(own["core_hours"]), np.log(own["val_loss"])))
        assert rows["val_loss"].to_numpy() == pytest.approx(straight, rel=0.03)
        assert rows["core_hours"].between(0.99 * own["core_hours"].min(), 1.01 * own["core_hours"].max()).all()


def test_plan(convnet):
    candidates = neighbouring_cells(convnet)
    found = analysis.plan(convnet, candidates, budget_core_hours=300, target=4000, law="power-floor")
    figure = plan_figure(found)
    assert is_plain_svg(figure)
    lower = drawn(figure, "lower end")
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert dict(zip(figure.layout.xaxis.ticktext, figure.layout.xaxis.tickvals, strict=True))["now"] == lower.x[0] < lower.x[1]
    assert lower.y[0] == found.now.low
    assert lower.x[-1] == pytest.approx(found.core_hours)
    assert list(lower.y[1:]) == list(found.chosen["mean_low"])


def test_candidates_are_the_neighbours_of_what_was_run(convnet):
    cells = neighbouring_cells(convnet)
    assert sorted(cells["epochs"].unique()) == [0.5, 1, 2, 4, 8, 16, 32, 64]
    assert len(cells) == 5 * 8
    huge = cells[cells["model"] == "huge"].set_index("epochs")
    measured = convnet[(convnet["model"] == "huge") & (convnet["epochs"] == 4)]["core_hours"].mean()
    assert huge["core_hours"][4] == pytest.approx(measured, rel=0.03)
    assert huge["core_hours"][64] == pytest.approx(16 * huge["core_hours"][4])
    assert huge["examples_seen"][2] == 2 * 12_800_000
    with pytest.raises(DataError, match="epochs"):
        neighbouring_cells(convnet.drop(columns="epochs"))


def test_of_many_candidates_an_even_spread_is_kept():
    cells = [(f"m{model}", float(epochs)) for model in range(30) for epochs in range(1, 41)]
    runs = pd.DataFrame(cells, columns=["model", "epochs"]).assign(
        family="x", core_hours=lambda table: table["epochs"], val_loss=1.0
    )
    found = neighbouring_cells(runs)
    assert len(found) <= 80
    assert {found["epochs"].min(), found["epochs"].max()} == {1.0, 160.0}
    assert {"m0", "m9"} <= set(found["model"])  # the first and the last in alphabetical order


def test_backtest(convnet):
    found = analysis.fit(convnet, law="auto", on="frontier", bootstrap=100).backtest
    figure = backtest_figure(found)
    assert is_plain_svg(figure)
    heaviest = max(found.weights, key=lambda law: found.weights[law])
    trace = next(trace for trace in figure.data if trace.name.startswith(f"{heaviest}, weight"))
    assert list(trace.y) == pytest.approx(list(100 * np.expm1(found.held_out[f"error_{heaviest}"])))
    assert [trace.visible for trace in figure.data if trace.name.endswith("no weight")] == ["legendonly"] * sum(
        weight == 0 for weight in found.weights.values()
    )


def test_of_several_families_each_has_a_colour_and_a_model_a_marker(study, convnet):
    styles = looks(analysis.frontier(study).points)
    assert len(styles) == 10
    assert styles["convnet huge"].colour != styles["mixer huge"].colour
    assert styles["convnet huge"].marker == styles["mixer huge"].marker
    assert set(looks(analysis.frontier(convnet).points)) == {"tiny", "small", "base", "large", "huge"}
    figure = frontier_figure(analysis.frontier(study))
    assert len(drawn(figure, "mixer tiny").x) == 6


def test_laws_without_their_bands(convnet):
    fits = [analysis.fit(convnet, law=law, on="frontier") for law in ("power", "power-floor")]
    found = analysis.frontier(convnet)
    with_bands, without = frontier_figure(found, fits), frontier_figure(found, fits, bands=False)
    assert sum(trace.fill == "toself" for trace in with_bands.data) == 4
    assert not [trace for trace in without.data if trace.fill]
