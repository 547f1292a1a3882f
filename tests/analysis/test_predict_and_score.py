"""Predictions at a budget, and what becomes of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

import analysis
from scaling.cli.output import console
from scaling.cli.predict import _print_scores
from scaling.errors import UsageError
from tests.analysis.grids import chinchilla, grid

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def power(x):
    return 3 * x**-0.2


def test_it_is_the_law_and_says_how_far_beyond_the_data(simulate):
    runs = simulate(power, noise=0.01)
    found = analysis.predict(runs, [100.0, 4e4, 0.25], law="power")
    assert found.table["value"].to_numpy() == pytest.approx(power(np.array([100.0, 4e4, 0.25])), rel=0.02)
    assert found.table["beyond"].tolist() == pytest.approx([1.0, 4.0, 4.0])
    assert [found.where(row) for row in range(3)] == [
        "within the runs",
        "4.00 times beyond the largest core_hours of the runs",
        "4.00 times beyond the smallest core_hours of the runs",
    ]
    fit = analysis.fit(runs, law="power")
    assert found.mean(1).low == fit.predict([4e4])["low"].iloc[0]
    assert found.new_run(1).high == fit.predict([4e4], kind="new-run")["high"].iloc[0]
    assert found.new_run(1).high > found.mean(1).high
    assert found.table["slope_core_hours"].iloc[0] == pytest.approx(-fit.params["a"], abs=1e-6)


def test_a_surface_is_asked_by_a_table():
    settings = {"x": ("params", "examples_seen"), "law": "chinchilla", "bootstrap": 100}
    found = analysis.predict(grid(), pd.DataFrame({"params": [1e9], "examples_seen": [2e9]}), **settings)
    assert found.mean().value == pytest.approx(chinchilla(1e9, 2e9), rel=1e-3)
    assert found.table["beyond"].iloc[0] == pytest.approx(2e9 / 1.6e8)
    assert found.where() == "12.5 times beyond the largest examples_seen of the runs"
    with pytest.raises(UsageError, match="needs examples_seen too"):
        analysis.predict(grid(), pd.DataFrame({"params": [1e9]}), **settings)
    with pytest.raises(UsageError, match="one number does not say where"):
        analysis.predict(grid(), [1e9], **settings)


def test_payload_and_csv(simulate):
    found = analysis.predict(simulate(power, noise=0.01), [1e5], law="power")
    payload = json.loads(json.dumps(analysis.payload(found), allow_nan=False))
    assert payload["schema_version"] == 1
    assert payload["predictions"][0]["at"] == {"core_hours": 1e5}
    assert payload["predictions"][0]["new_run"]["low"] < payload["predictions"][0]["mean"]["low"]
    assert payload["fit"]["runs_used"] == 24
    assert len(found.to_csv().splitlines()) == 2


# -- scoring -------------------------------------------------------------------------------------------------------------------------


def registered(found, name="before", **changes):
    row = found.rows[0]
    return {
        "name": name, "metric": found.fit.metric, "on": found.fit.on, "level": 0.95, "run_ids": list(found.fit.run_ids), "created_at": THEN.isoformat(),
        "at": {axis: row[axis] for axis in found.fit.axes}, "slope": {axis: row[f"slope_{axis}"] for axis in found.fit.axes},
        "value": row["value"], "low": row["run_low"], "high": row["run_high"],
    } | changes  # fmt: skip


def later(x, loss, **changes):
    row = {
        "id": "big",
        "family": "nfnet",
        "model": "F7",
        "epochs": 8.0,
        "seed": 0,
        "status": "finished",
        "core_hours": x,
        "val_loss": loss,
    }
    return row | {"ended_at": (THEN + timedelta(days=3)).isoformat()} | changes


@pytest.fixture
def before(simulate):
    runs = simulate(power, noise=0.01)
    return runs.assign(ended_at=(THEN - timedelta(days=1)).isoformat())


def with_runs(before, *rows):
    return pd.concat([before, pd.DataFrame(rows)], ignore_index=True)


def test_a_hit_and_a_miss_are_measured_along_the_law(before, capsys):
    found = analysis.predict(before, [1e5], law="power")
    x = 1.1e5  # the run took a tenth more than foreseen: the prediction moves along the law
    moved = found.mean().value * 1.1 ** found.table["slope_core_hours"].iloc[0]
    hit = analysis.score([registered(found)], with_runs(before, later(x, moved)))
    assert hit.hits == 1
    assert hit.table["z"].iloc[0] == pytest.approx(0.0, abs=1e-9)
    assert hit.table["value"].iloc[0] == pytest.approx(moved)
    miss = analysis.score([registered(found)], with_runs(before, later(x, 1.3 * moved)))
    assert miss.hits == 0
    assert miss.table["log_error"].iloc[0] == pytest.approx(np.log(1.3))
    sd = np.log(found.new_run().high / found.new_run().low) / (2 * 1.959964)
    assert miss.table["z"].iloc[0] == pytest.approx(np.log(1.3) / sd, rel=1e-5)
    assert "0 of 1 inside" in miss.sentence()
    _print_scores(console(), miss)
    assert "+30 %" in capsys.readouterr().out  # of what was predicted, not of its logarithm


def test_only_runs_done_since_near_it_and_of_the_same_kind_count(before):
    found = analysis.predict(before, [1e5], law="power")
    cases = [
        later(1e5, 0.3, ended_at=(THEN - timedelta(hours=1)).isoformat()),
        later(2e5, 0.3),
        later(1e5, 0.3, family="vit"),
        later(1e5, np.nan, status="diverged"),
    ]
    for case in cases:
        scores = analysis.score([registered(found)], with_runs(before, case))
        assert scores.table.empty, case
        assert scores.waiting[0]["reason"]
    # A run that the prediction was made from is none that could surprise it.
    inside = analysis.predict(before, [before["core_hours"].iloc[0]], law="power")
    again = before.assign(ended_at=(THEN + timedelta(days=1)).isoformat())
    assert analysis.score([registered(inside)], again).table.empty


def test_seeds_are_averaged_and_the_frontier_is_met_by_its_best_cell(before):
    found = analysis.predict(before, [1e5], law="power")
    runs = with_runs(before, later(1e5, 0.30), later(1e5, 0.32, id="big2", seed=1), later(9.5e4, 0.5, id="bad", model="F0"))
    assert sorted(analysis.score([registered(found)], runs).table["observed"]) == pytest.approx([0.31, 0.5])
    best = analysis.score([registered(found, on="frontier")], runs).table
    assert best["observed"].tolist() == pytest.approx([0.31])
    assert best["seeds"].tolist() == [2]


def test_scores_payload_and_nothing_registered(before):
    found = analysis.predict(before, [1e5], law="power")
    scores = analysis.score(
        [registered(found), registered(found, "far", at={"core_hours": 1e9})], with_runs(before, later(1e5, 0.3))
    )
    payload = json.loads(json.dumps(analysis.payload(scores), allow_nan=False))
    assert payload["scored"] == 1
    assert payload["scores"][0]["predicted"]["low"] < payload["scores"][0]["predicted"]["high"]
    assert payload["waiting"][0]["name"] == "far"
    assert analysis.score([], before).sentence() == "Nothing is registered."


def test_a_grid_is_predicted_from_its_frontier_and_a_bare_table_from_all(simulate):
    runs = grid(noise=0.003, seeds=2)
    assert analysis.predict(runs, [500.0], law="power").fit.on == "frontier"
    assert analysis.predict(runs, [500.0], law="power", on="all").fit.on == "all"
    bare = simulate(power, noise=0.01)[["core_hours", "val_loss"]]
    assert analysis.predict(bare, [500.0], law="power").fit.on == "all"
    # The frontier of the grid is lower than its cells on average, and that is what a budget buys.
    best = np.min([chinchilla(N, 500 * 1e15 / (6 * N)) for N in np.geomspace(1e6, 1e10, 2000)])
    on_frontier, on_all = (analysis.predict(runs, [500.0], law="power-floor", on=on).mean() for on in ("frontier", "all"))
    assert abs(np.log(on_frontier.value / best)) < abs(np.log(on_all.value / best))
