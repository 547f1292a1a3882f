"""`law="auto"`: the choice, the average, and what it says beyond the runs; and the published curves that it has to meet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.automatic import automatic
from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.objective import objective_named
from analysis.laws import law_named
from scaling.errors import TooFewPoints, UsageError

CURVES = Path(__file__).parent.parent / "reference" / "laws" / "revisiting_benchmark.lang.csv"


def floor(x):
    return 0.5 + 2 * x**-0.4


@pytest.fixture(scope="module")
def fitted():
    from tests.analysis.conftest import simulated_cells

    return analysis.fit(simulated_cells(floor, noise=0.01), law="auto", bootstrap=100)


@pytest.fixture(scope="module")
def averaged():
    from tests.analysis.conftest import simulated_cells

    # Between the two laws: neither forecasts so much better that it stands alone.
    return analysis.fit(simulated_cells(lambda x: 0.2 + 2 / (1 + x / 3) ** 0.4, noise=0.02, rng_seed=1), law="auto", bootstrap=100)


def test_a_session_prints_a_fit_as_a_line(fitted):
    assert repr(fitted) == "<Fit of val_loss by core_hours: auto, all, 24 runs in 12 cells>"
    assert "ForecastEstimate" in repr(fitted.estimate)


def test_an_average_has_members_with_weights_and_no_params(averaged):
    assert averaged.law == "auto"
    assert averaged.params is None
    assert len(averaged.members) > 1
    assert sum(averaged.members.values()) == pytest.approx(1)
    assert list(averaged.members.values()) == sorted(averaged.members.values(), reverse=True)
    with pytest.raises(UsageError, match="no one theta"):
        _ = averaged.theta


def test_among_the_runs_it_is_the_average_of_the_logs_of_the_laws_curves(averaged):
    x = np.array([3.0, 500.0])
    laws = averaged.estimate.laws.test.members
    members = [
        analysis.fit(averaged.runs.drop(columns="cell"), law=law, bootstrap=100).log_mean(x) * weight
        for law, weight in laws.items()
    ]
    np.testing.assert_allclose(averaged.log_mean(x), np.sum(members, axis=0), atol=1e-5)


def test_a_clear_winner_stands_alone_and_is_the_law_with_its_coefficients(simulate):
    runs = simulate(lambda x: 3 * x**-0.3)
    fit = analysis.fit(runs, law="auto")
    assert fit.members == fit.backtest.members == {"power": 1.0}
    np.testing.assert_allclose(fit.log_mean(np.array([5e3, 2e4])), np.log(3) - 0.3 * np.log([5e3, 2e4]), atol=1e-6)
    law = analysis.choose_law(runs)
    assert law.law == "power"
    assert law.params["a"] == pytest.approx(0.3, abs=1e-6)


def test_beyond_the_runs_the_interval_carries_the_error_of_the_back_test(fitted):
    assert fitted.backtest.error.slope > 0
    at = np.array([1e4, 1e5, 1e6])
    widths = [np.log(each["high"] / each["low"]).to_numpy() for each in (fitted.predict(at), fitted.predict(at, kind="new-run"))]
    assert (np.diff(widths[0]) > 0).all()
    assert (widths[1] > widths[0]).all()
    t = fitted.precision.t(fitted.backtest.error.degrees_of_freedom)
    least = 2 * t * fitted.backtest.error.slope * np.log(at / 1e4)
    assert (widths[0] >= least).all()
    spread = np.std(fitted.log_mean_draws(at), axis=0)
    assert (np.diff(spread) > 0).all()


def test_the_order_of_rows_and_the_unit_of_compute_change_nothing(averaged):
    runs = averaged.runs.drop(columns="cell")
    shuffled = runs.sample(frac=1, random_state=0).assign(core_hours=lambda table: table["core_hours"] * 1e6)
    again = analysis.fit(shuffled, law="auto", bootstrap=100)
    assert again.members == pytest.approx(averaged.members, abs=1e-3)
    np.testing.assert_allclose(again.log_mean([5e11]), averaged.log_mean([5e5]), atol=1e-4)


def test_a_surface_is_back_tested_over_its_compute(surface):
    fit = analysis.fit(surface, x=("params", "examples_seen"), law="auto")
    assert next(iter(fit.backtest.members)) == "chinchilla"
    assert set(fit.backtest.laws) == {"chinchilla", "chinchilla-tied", "skaling"}
    assert fit.backtest.scores["chinchilla"] < 0.05
    assert (fit.backtest.held_out["times"] > 1).all()
    far = pd.DataFrame({"params": [1e6, 1e8], "examples_seen": [1e7, 1e9]})
    assert np.diff(np.log(fit.predict(far)["high"] / fit.predict(far)["low"]))[0] > 0


def test_unique_examples_bring_in_the_law_of_repeated_epochs(surface):
    runs = surface.assign(unique_examples=2e5)
    runs["val_loss"] = runs["val_loss"] * (1 + 0.05 * np.maximum(0, np.log(runs["examples_seen"] / 2e5)))
    fit = analysis.fit(runs, x=("params", "examples_seen", "unique_examples"), law="auto")
    assert {"chinchilla", "data-constrained", "repeat-penalty"} <= set(fit.backtest.laws)
    assert "data-constrained-both" not in fit.backtest.laws  # rarely known without pins


def test_steps_and_batch_size_are_known_by_their_columns():
    """Three inputs are N, D, U unless they are the columns of the law of size, steps and batch size."""
    law, rng = law_named("three-term"), np.random.default_rng(0)
    truth = {"E": 1.5, "A": 40.0, "alpha": 0.35, "C": 20.0, "gamma": 0.4, "B": 3.0, "beta": 0.5}
    axes = np.meshgrid(np.geomspace(1e4, 1e6, 4), np.geomspace(1e2, 1e5, 4), np.geomspace(16, 1024, 3))
    runs = pd.DataFrame(dict(zip(("params", "steps", "batch_size"), (axis.ravel() for axis in axes), strict=True)))
    runs["val_loss"] = law.curve(runs.to_numpy().T, truth) * np.exp(0.002 * rng.standard_normal(len(runs)))
    fit = analysis.fit(runs, x="params,steps,batch_size", law="auto")
    assert fit.law == "three-term"
    assert fit.params == pytest.approx(truth, rel=0.25)
    with pytest.raises(UsageError, match="of params, steps, batch_size, in this order"):
        analysis.fit(runs, x="params,batch_size,steps", law="auto")


def test_a_surface_of_five_runs_has_a_forecast():
    """One exponent for both inputs leaves a degree of freedom where two leave none."""
    law = law_named("chinchilla-tied")
    N, D = np.array([1e6, 3e6, 1e7, 3e7, 1e8]), np.array([3e8, 2e8, 1e9, 8e8, 4e9])
    y = law.curve(np.stack([N, D]), {"E": 1.8, "A": 500.0, "alpha": 0.35, "B": 1500.0})
    runs = pd.DataFrame({"params": N, "examples_seen": D, "val_loss": y})
    fit = analysis.fit(runs, x=("params", "examples_seen"), law="auto")
    assert fit.law == "chinchilla-tied"
    assert fit.params == pytest.approx({"E": 1.8, "A": 500.0, "alpha": 0.35, "B": 1500.0}, rel=1e-3)
    with pytest.raises(TooFewPoints, match="chinchilla has 5 coefficients and needs 6"):
        analysis.fit(runs, law="chinchilla")


@pytest.fixture(scope="module")
def surface():
    rng = np.random.default_rng(4)
    params, examples = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e4, 1e6, 5), np.geomspace(1e5, 1e7, 6)))
    loss = (1.5 + 40 * params**-0.35 + 60 * examples**-0.3) * np.exp(0.003 * rng.standard_normal(30))
    return pd.DataFrame({"params": params, "examples_seen": examples, "val_loss": loss, "model": [f"{n:.0f}" for n in params]})


def test_too_few_budgets_give_the_plainest_law(simulate):
    found = analysis.fit(simulate(lambda x: 3 * x**-0.3, cells=4, noise=0.01), law="auto")
    assert (found.law, found.backtest, found.forecast_error) == ("power", None, None)
    assert "holds out the largest runs" in str(found.untested)
    with pytest.raises(TooFewPoints, match="law power has 2 coefficients and needs 3"):
        analysis.fit(simulate(floor, cells=2), law="auto")


def test_no_law_has_four_inputs(simulate):
    with pytest.raises(UsageError, match="no law has 4 inputs"):
        analysis.fit(simulate(floor), x=("core_hours", "epochs", "seed", "id"), law="auto")


def test_it_is_told_in_summary_and_json(averaged):
    text = averaged.summary()
    assert f"average of {len(averaged.members)} laws" in text
    assert "back-test:" in text
    payload = json.loads(json.dumps(averaged.to_dict()))
    assert payload["law"] == "auto"
    assert payload["coefficients"] == {}
    assert {entry["law"] for entry in payload["members"]} == set(averaged.members)
    assert payload["backtest"]["laws"][0]["law"] == next(iter(averaged.members))
    assert payload["backtest"]["windows"][0]["held_out"] > 0


def test_one_rule_meets_the_published_figures_on_twenty_curves():
    """Root mean square of log errors on the part of each curve that was kept for it, mean over the curves of a domain."""
    found: dict[str, list[float]] = {}
    for (domain, *_), curve in pd.read_csv(CURVES).groupby(["Domain", "Task", "Model"]):
        seen, ahead = curve[curve["Training"] == 1], curve[curve["Training"] == 0]
        x, y = (seen[name].to_numpy(float) for name in ("Seen Examples", "Loss"))
        sample = Sample(x[None], y, np.unique(x, return_inverse=True)[1], np.ones(len(x)))
        made = automatic(sample, ["C"], objective=objective_named("log"), precision=Precision(bootstrap=100))
        log_mean = made.estimate.log_mean(ahead["Seen Examples"].to_numpy(float)[None])
        found.setdefault(domain, []).append(float(np.sqrt(np.mean((log_mean - np.log(ahead["Loss"])) ** 2))))
    means = {domain: float(np.mean(errors)) for domain, errors in found.items()}
    assert {domain: len(errors) for domain, errors in found.items()} == {"BB": 10, "LM": 5, "NMT": 5}
    assert means["NMT"] <= 0.012
    assert means["LM"] <= 0.0010
    assert means["BB"] <= 0.009
