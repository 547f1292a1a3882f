"""The law that is shown has coefficients that mean something: it converged, and its exponents have ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.automatic import back_test
from analysis.choice import best_forecaster
from analysis.fitting.objective import objective_named
from analysis.laws import law_named
from scaling.outcomes import FitStatus


def ten_budgets(seed):
    """A floor of 1; with ten points a form of six coefficients forecasts the last few better by chance now and then."""
    hours = np.geomspace(1, 1000, 10)
    noise = 0.002 * np.random.default_rng(seed).standard_normal(10)
    return pd.DataFrame({"core_hours": hours, "val_loss": (1 + 2 * hours**-0.2) * np.exp(noise)})


def printed(decimals=5):
    """Ten budgets as a table that somebody typed."""
    losses = [3.01373, 2.71266, 2.47457, 2.26252, 2.08436, 1.92505, 1.80045, 1.68266, 1.58579, 1.50097]
    return pd.DataFrame({"core_hours": np.geomspace(1, 1000, 10).round(decimals), "val_loss": losses})


def test_the_law_of_a_typed_table_has_its_exponent_whatever_forecasts_it_best():
    law = analysis.choose_law(printed())
    assert (law.law, law.status) == ("power-floor", FitStatus.OK)
    low, high = law.interval().loc["a"]
    assert low < 0.2 < high
    at_ten_times = analysis.predict(printed(), at=1e4, bootstrap=100).mean()
    assert at_ten_times.low < 1 + 2 * 1e4**-0.2 < at_ten_times.high


@pytest.mark.parametrize("seed", [25, 50, 128])
def test_a_form_that_did_not_converge_is_neither_the_law_nor_in_the_forecast(seed):
    runs = ten_budgets(seed)
    broken = analysis.fit(runs, law="broken")
    assert broken.status == FitStatus.NOT_CONVERGED
    law = analysis.choose_law(runs)
    assert (law.law, law.status) == ("power-floor", FitStatus.OK)
    low, high = law.interval().loc["a"]
    assert low < 0.2 < high
    assert law.lights.forecasts_well.ok
    assert "broken" not in law.forecast.backtest.members
    assert law.forecast.backtest.left_out["broken"] == "its fit to all runs did not converge"
    assert "Not tested" in broken.lights.forecasts_well.reason
    named = [analysis.fit(runs, law=name) for name in ("power", "power-floor", "hill")]
    assert best_forecaster([*named, broken]).law == "power-floor"


@pytest.mark.parametrize(("dip", "seed"), [(0.96, 3), (0.94, 5), (0.92, 2)])
def test_a_break_that_rests_on_the_last_budget_alone_is_no_forecast(dip, seed):
    """The largest runs came out a few percent better than the others say. A break there fits, and nothing tells what comes after it."""
    hours = np.repeat(np.geomspace(1, 300, 10), 2)
    losses = (0.01 + 2 * hours**-0.4) * np.exp(0.005 * np.random.default_rng(seed).standard_normal(20))
    losses[-2:] *= dip
    runs = pd.DataFrame({"core_hours": hours, "val_loss": losses})
    forecast = analysis.fit(runs, law="auto", bootstrap=100)
    assert "leaves open" in forecast.backtest.left_out["broken"]
    ten_times = analysis.predict(runs, at=3000.0, bootstrap=100).mean()
    assert np.log(ten_times.high / ten_times.low) < 3
    assert ten_times.low < 0.01 + 2 * 3000.0**-0.4 < ten_times.high


@pytest.mark.parametrize("seed", [14, 85, 90, 94])
def test_of_few_budgets_a_form_with_open_ends_is_not_the_law(seed):
    """The one of six coefficients has weight in the forecast, but ten budgets cannot say where it breaks."""
    law = analysis.choose_law(ten_budgets(seed), bootstrap=100)
    assert "broken" in law.forecast.backtest.members
    assert law.law != "broken"
    assert np.isfinite(law.interval().to_numpy()).all()
    a = law.interval().loc["a"]
    assert a["low"] < 0.21
    assert a["high"] > 0.19


@pytest.mark.parametrize("seed", range(4))
def test_the_exponents_of_the_law_have_ends(seed):
    law = analysis.choose_law(ten_budgets(seed), bootstrap=100)
    assert law.status != FitStatus.NOT_CONVERGED
    exponents = [shape.name for shape in law_named(law.law).shapes if not shape.is_logged]
    assert np.isfinite(law.interval().loc[exponents].to_numpy()).all()


def test_where_only_forms_without_ends_have_weight_the_best_of_the_others_is_the_law(monkeypatch):
    """Its light says that the other forecasts better; its numbers beyond the runs are those of the forecast, as ever."""
    import analysis.choice

    runs = ten_budgets(0)
    test = analysis.fit(runs, law="auto").backtest
    plain = analysis.choice._is_known
    monkeypatch.setattr(
        analysis.choice, "_is_known", lambda estimate, cells: estimate.law.name not in test.members and plain(estimate, cells)
    )
    law = analysis.choose_law(runs)
    assert law.law not in test.members
    assert law.chosen
    assert law.forecast.backtest.members == test.members
    assert law.interval().equals(analysis.fit(runs, law=law.law).interval())


def test_a_back_test_of_one_form_stays_though_it_did_not_converge(monkeypatch):
    import analysis.automatic

    monkeypatch.setattr(analysis.automatic, "_of_no_use", lambda *asked: "it did not converge")
    fit = analysis.fit(ten_budgets(0), law="auto")
    assert fit.backtest.members
    assert analysis.choose_law(ten_budgets(0)).law in fit.backtest.laws
    assert back_test(fit.sample(), ("C",), objective=objective_named("log")).members == fit.backtest.members


def test_every_face_has_one_back_test():
    """A study of 13 cells, as its pages showed it: the hill law had no test on one page, an error and a weight on another."""
    hours = [
        0.001539,
        0.001553,
        0.002302,
        0.003061,
        0.003089,
        0.004578,
        0.006159,
        0.009128,
        0.012318,
        0.016121,
        0.018257,
        0.024585,
        0.041559,
    ]
    losses = [1.3011, 1.1218, 0.8747, 0.5697, 0.2861, 0.2043, 0.1519, 0.1227, 0.0958, 0.0783, 0.0738, 0.0417, 0.0312]
    runs = pd.DataFrame({"core_hours": hours, "val_loss": losses})
    law, forecast = analysis.choose_law(runs), analysis.fit(runs, law="auto")
    side_by_side = analysis.fit_all(runs, laws=["auto", "power", "power-floor"]).fits
    assert law.tested.left_out == {"hill": "its fit to all runs did not converge"}
    for fit in (law.forecast, forecast, *side_by_side):
        assert (dict(fit.tested.weights), fit.tested.left_out) == (dict(law.tested.weights), law.tested.left_out)
    assert forecast.to_dict()["backtest"] == law.forecast.to_dict()["backtest"]
