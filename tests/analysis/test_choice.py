"""The law is one form, chosen by its forecasts; the forecast gives numbers beyond the runs; two lights say how good a law is."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import analysis
from analysis.choice import best_forecaster
from analysis.diagnostics import DiagnosticCode
from analysis.figures import frontier_figure
from analysis.report import study_of
from scaling.cli.app import app
from scaling.errors import TooFewPoints
from tests.analysis.conftest import simulated_cells
from tests.analysis.grids import grid


def floor(x):
    return 0.5 + 2 * x**-0.4


def straight(x):
    return 3 * x**-0.2


@pytest.fixture
def with_floor():
    return simulated_cells(floor, noise=0.01)


def printed(*words):
    result = CliRunner().invoke(app, list(words))
    assert result.exception is None, result.output
    return result.stdout


def codes(fit):
    return {found.code for found in fit.diagnostics}


@pytest.mark.parametrize(("curve", "expected"), [(floor, "power-floor"), (straight, "power")])
def test_the_form_of_the_truth_is_chosen(curve, expected):
    names = [analysis.choose_law(simulated_cells(curve, cells=15, noise=0.01, rng_seed=seed)).law for seed in range(10)]
    assert names.count(expected) >= 8, names


def test_its_coefficients_and_intervals_are_those_of_the_same_law_by_name(with_floor):
    law = analysis.choose_law(with_floor)
    same = analysis.fit(with_floor, law=law.law)
    assert law.chosen
    assert law.params == same.params
    pd.testing.assert_frame_equal(law.interval(), same.interval())
    pd.testing.assert_frame_equal(law.predict([1e5]), same.predict([1e5]))
    assert law.forecast.predict([1e5]).equals(analysis.fit(with_floor, law="auto").predict([1e5]))


def test_every_view_shows_the_same_law(with_floor, tmp_path):
    path = tmp_path / "runs.csv"
    with_floor.to_csv(path, index=False)
    law = analysis.choose_law(with_floor)
    payload = json.loads(printed("fit", "--data", str(path), "--json"))["fits"]
    assert [(entry["law"], entry["chosen"]) for entry in payload if entry["on"] == law.on][:2] == [
        ("power-floor", True),
        ("power", False),
    ]
    assert {name: entry["value"] for name, entry in payload[0]["coefficients"].items()} == pytest.approx(law.params)
    study = study_of(analysis.read_runs(path), bootstrap=100)
    assert study.law.params == pytest.approx(law.params)
    assert study.law.equation() in printed("fit", "--data", str(path))
    # Beyond the runs all of them show the forecast.
    far = float(law.forecast.predict([1e5])["mean"].iloc[0])
    assert study.predictions["mean"].iloc[-1] == pytest.approx(far)
    assert analysis.predict(with_floor, [1e5]).mean().value == pytest.approx(far)
    figure = frontier_figure(study.frontier, [study.law], extrapolate=10)
    dashed = next(trace for trace in figure.data if trace.line.dash == "dash")
    assert dashed.y[-1] == pytest.approx(far)


def test_the_command_prints_the_law_and_how_the_plain_form_forecasts(with_floor, tmp_path):
    path = tmp_path / "runs.csv"
    with_floor.to_csv(path, index=False)
    lines = printed("fit", "--data", str(path)).splitlines()
    assert lines[0].startswith("power-floor law, all runs")
    (plain,) = [line for line in lines if line.startswith("power law ")]
    fits, _ = analysis.fit_all(with_floor)
    errors = [np.exp(each.forecast_error) for each in fits[:2]]
    assert plain.endswith(f"forecasts ×/÷ {errors[1]:.3f} against ×/÷ {errors[0]:.3f}")
    assert not any(" ok " in line or line.strip() == "ok" for line in lines)


def test_where_the_plain_form_is_the_law_that_is_said(tmp_path):
    path = tmp_path / "runs.csv"
    simulated_cells(straight, noise=0.01).to_csv(path, index=False)
    text = printed("fit", "--data", str(path))
    assert text.startswith("power law")
    assert "no other form forecasts these runs clearly better than the power law" in text


def test_with_few_budgets_no_floor_is_considered_and_the_interval_is_open_to_one():
    few = simulated_cells(straight, cells=4, noise=0.005)
    law = analysis.choose_law(few)
    assert law.law == "power"
    assert DiagnosticCode.FLOOR_NOT_CONSIDERED in codes(law)
    assert law.lights.forecasts_well.ok is None
    last = law.predict([law.x_range[1]])["high"].iloc[0]
    for fit in (law, law.forecast, analysis.fit(few, law="power"), analysis.predict(few, [1e6]).fit):
        band = fit.predict([2e4, 1e6])
        assert (band["high"] >= last * (1 - 1e-12)).all()
        assert (fit.predict([2e4, 1e6], kind="new-run")["high"] >= band["high"]).all()
        assert (band["low"] < band["mean"]).all()
    # A truth that stops falling lies inside.
    stops = simulated_cells(lambda x: np.maximum(straight(x), straight(1e4)), cells=4, noise=0.005)
    assert analysis.fit(stops, law="auto").predict([1e7])["high"].iloc[0] >= straight(1e4) * 0.98
    # With budgets enough to test a floor, nothing is widened.
    many = analysis.fit(simulated_cells(straight, noise=0.005), law="power")
    assert DiagnosticCode.FLOOR_NOT_CONSIDERED not in codes(many)
    assert many.predict([1e6])["high"].iloc[0] < many.predict([1e4])["mean"].iloc[0]


def test_nothing_can_be_chosen_from_two_budgets():
    with pytest.raises(TooFewPoints):
        analysis.choose_law(simulated_cells(straight, cells=2))


def test_a_trend_in_the_residuals_is_not_green(with_floor):
    fit = analysis.fit(with_floor, law="power")
    assert fit.status == "ok"
    assert DiagnosticCode.RESIDUAL_TREND in codes(fit)
    assert fit.lights.identified.ok
    assert fit.lights.forecasts_well.ok is False
    assert "residual-trend" in fit.lights.forecasts_well.reason


def test_a_floor_above_what_was_seen_is_not_green():
    # It stops falling for long, and falls again at the end: the fitted floor lies above the last loss.
    runs = simulated_cells(lambda x: np.where(x > 5e3, 0.93, 1.0) + 2 * x**-0.8, cells=14, noise=0.002)
    fit = analysis.fit(runs, law="power-floor")
    lowest = runs.groupby("epochs")["val_loss"].mean().min()
    assert fit.params["E"] > lowest
    assert fit.lights.forecasts_well.ok is False
    table = runs[runs["core_hours"] < 5e3]
    assert analysis.fit(table, law="power-floor").params["E"] < table["val_loss"].min() * 1.01


def test_a_form_that_forecasts_worse_than_was_to_be_expected_is_not_green():
    reds = 0
    for seed in range(8):
        fit = analysis.fit(simulated_cells(floor, cells=12, seeds=1, noise=0.01, rng_seed=seed), law="power")
        assert fit.lights.forecasts_well.ok is False
        reds += fit.tested.excesses["power"].p_value < 0.05
    assert reds == 8


def test_a_form_that_is_right_is_seldom_called_bad():
    greens = [
        analysis.fit(simulated_cells(floor, cells=12, seeds=1, noise=0.01, rng_seed=seed), law="power-floor").lights
        for seed in range(20)
    ]
    assert sum(bool(lights.forecasts_well.ok) for lights in greens) >= 16


def test_lights_are_in_summary_and_json(with_floor):
    law = analysis.choose_law(with_floor)
    assert "identified ✓" in law.summary()
    assert "forecasts well ✓" in law.summary()
    payload = json.loads(json.dumps(law.to_dict()))
    assert payload["lights"]["identified"]["ok"] is True
    assert payload["lights"]["forecasts_well"]["ok"] is True
    assert payload["forecast_error"] == pytest.approx(law.forecast_error)
    few = analysis.choose_law(simulated_cells(straight, cells=4)).to_dict()
    assert few["lights"]["forecasts_well"]["ok"] is None
    assert few["lights"]["forecasts_well"]["reason"].startswith("Not tested")


def test_where_law_and_forecast_part_that_is_said():
    # A small floor: forecasts cannot tell the power law from one with a floor, the law is the simpler and the forecast averages both.
    found = [
        law
        for seed in range(3, 7)
        for law in [analysis.choose_law(simulated_cells(lambda x: 0.03 + 3 * x**-0.2, noise=0.01, rng_seed=seed), bootstrap=100)]
        if DiagnosticCode.LAW_AND_FORECAST_APART in codes(law)
    ]
    assert found
    for law in found:
        at = law.x_range[1] * np.geomspace(1, 4, 9)
        own, other = law.predict(at), law.forecast.predict(at)
        outside = (own["mean"] < other["low"]) | (own["mean"] > other["high"])
        outside |= (other["mean"] < own["low"]) | (other["mean"] > own["high"])
        assert outside.any()
        (said,) = [each for each in law.diagnostics if each.code == DiagnosticCode.LAW_AND_FORECAST_APART]
        assert law.law in said.message
    together = analysis.choose_law(simulated_cells(straight))
    assert DiagnosticCode.LAW_AND_FORECAST_APART not in codes(together)


def test_fits_of_surfaces_are_chosen_by_the_same_rule():
    runs = grid(noise=0.005, epochs=(0.25, 0.5, 1, 2))
    fits = [
        analysis.fit(runs, law="chinchilla"),
        analysis.fit(runs, law="data-constrained", x=("params", "examples_seen", "unique_examples")),
    ]
    law = analysis.choose_law(runs, x=("params", "examples_seen", "unique_examples"))
    assert best_forecaster(fits).law == law.law
    assert law.axes == fits[[each.law for each in fits].index(law.law)].axes
    payload = json.loads(json.dumps(analysis.fits_payload(*analysis.fit_all(runs, x="params,examples_seen"))))
    assert [(entry["law"], entry["chosen"]) for entry in payload["fits"]] == [("chinchilla", True)]


def test_the_unit_and_the_order_of_rows_choose_the_same_law(with_floor):
    law = analysis.choose_law(with_floor)
    shuffled = with_floor.sample(frac=1, random_state=1).assign(core_hours=lambda table: table["core_hours"] * 1e9)
    again = analysis.choose_law(shuffled)
    assert again.law == law.law
    assert again.params["a"] == pytest.approx(law.params["a"], rel=1e-6)


def test_a_plan_aims_at_the_forecast(with_floor):
    pool = pd.DataFrame({"core_hours": [3e3, 3e4], "model": ["F1", "F1"], "epochs": [13.0, 14.0]})
    found = analysis.plan(with_floor, pool, budget_core_hours=5e4, target=1e5)
    law = analysis.choose_law(with_floor)
    assert found.fit.law == law.law
    row = law.forecast.predict([1e5]).iloc[0]
    assert (found.now.value, found.now.low, found.now.high) == pytest.approx((row["mean"], row["low"], row["high"]))
    assert found.after.low > found.now.low
