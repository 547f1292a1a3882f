"""The forecast beyond the runs: by the recent ones, with numbers learnt from published curves."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import analysis
from analysis.automatic import automatic
from analysis.backtest.forecast import ForecastEstimate
from analysis.backtest.learnt import LEARNT
from analysis.backtest.recent import NAME, fit_recent, slope_of
from analysis.backtest.rule import noise_like, share_of_laws
from analysis.backtest.windows import cells_in_order
from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.objective import objective_named

ROOT = Path(__file__).parents[2]
LOG = objective_named("log")


def sample_of(x: np.ndarray, y: np.ndarray) -> Sample:
    return Sample(x[None], y, np.arange(len(x)), np.ones(len(x)))


def fitted(x: np.ndarray, y: np.ndarray, objective: str = "log"):
    return fit_recent(cells_in_order(sample_of(x, y), np.log(x)), np.ones((1, len(x)), dtype=bool), objective_named(objective))


@pytest.fixture(scope="module")
def bent():
    """Two powers: the recent runs fall more slowly than the early ones."""
    x = np.geomspace(1, 1e3, 14)
    return x, (2.0 * x**-0.5 + 1.5 * x**-0.05) * np.exp(0.002 * np.random.default_rng(0).standard_normal(14))


def test_it_is_the_mean_of_curves_each_fitted_by_non_negative_least_squares(bent):
    x, y = bent
    log_x, at = np.log(x), np.log(5e3)
    weights = np.exp(-(log_x[-1] - log_x) / (LEARNT.recency * np.ptp(log_x)))
    weights /= weights.sum()
    curves, logs = [], []
    for a in np.geomspace(0.02, 5, 40):
        design = np.stack([np.ones_like(x), np.exp(-a * (log_x - log_x[-1]))], axis=1)
        (floor, height), _ = optimize.nnls(design * (np.sqrt(weights) / y)[:, None], np.sqrt(weights))
        square = weights @ (np.log(design @ [floor, height]) - np.log(y)) ** 2
        evidence = -0.5 * LEARNT.tempering / (weights @ weights) * np.log(square + LEARNT.noise**2)
        logs.append(evidence + stats.norm.logpdf(np.log(a), np.log(LEARNT.exponent), LEARNT.exponent_spread))
        curves.append(np.log(floor + height * np.exp(-a * (at - log_x[-1]))))
    share = np.exp(np.array(logs) - max(logs))
    found = fitted(x, y)
    assert found.log_mean(np.array([at]))[0, 0] == pytest.approx(np.average(curves, weights=share), abs=1e-9)


def test_it_follows_the_recent_runs_where_a_law_of_all_bends_to_the_early_ones(bent):
    x, y = bent
    truth = np.log(2.0 * 1e4**-0.5 + 1.5 * 1e4**-0.05)
    table = pd.DataFrame({"core_hours": x, "val_loss": y})
    plain = analysis.fit(table, law="power-floor", bootstrap=100).log_mean([1e4])[0]
    assert abs(fitted(x, y).log_mean(np.log([1e4]))[0, 0] - truth) < abs(plain - truth)


def test_units_of_compute_and_metric_change_nothing(bent):
    x, y = bent
    ours, other = fitted(x, y), fitted(x * 1e15, y * 1e-4)
    np.testing.assert_allclose(other.log_mean(np.log([5e18])), ours.log_mean(np.log([5e3])) - np.log(1e4), atol=1e-9)
    np.testing.assert_allclose(other.variance(np.log([5e18]), 0.1), ours.variance(np.log([5e3]), 0.1), rtol=1e-6)


def test_a_robust_objective_is_not_drawn_by_an_outlier_among_the_recent_runs(bent):
    x, y = bent
    off = y * np.where(np.arange(14) == 12, 1.4, 1.0)
    at = np.log([4e3])
    moved = {name: abs(fitted(x, off, name).log_mean(at) - fitted(x, y, name).log_mean(at))[0, 0] for name in ("log", "huber-log")}
    assert moved["huber-log"] < 0.5 * moved["log"]


def test_the_slope_is_the_root_mean_square_of_errors_per_unit_of_log_x(bent):
    x, y = bent
    cells = cells_in_order(sample_of(x, y), np.log(x))
    inside = np.array([np.arange(14) < 8, np.arange(14) < 9])
    some = fit_recent(cells, inside, LOG)
    ahead = cells.order - some.edge[:, None]
    errors = 0.03 * ahead
    assert slope_of(errors, ahead, ~inside, some) == pytest.approx(0.03)
    assert slope_of(errors, ahead, ~inside & [[True], [False]], some) is None  # one window


def test_the_laws_count_where_they_are_several_times_surer_or_as_sure_with_residuals_like_noise():
    held_out, recent = np.ones((5, 3), dtype=bool), np.full((5, 3), 0.04)
    noise, trend = np.tile([0.01, -0.01], 10), np.linspace(-0.01, 0.01, 20)
    share = partial(share_of_laws, recent=recent, held_out=held_out, sure=0.25, sure_in_noise=1.0)
    assert share(recent, residuals=trend) == 0
    assert share(recent / 4, residuals=trend) == pytest.approx(0.5, abs=0.01)
    assert share(recent / 100, residuals=trend) == 1
    assert share(recent, residuals=noise) == pytest.approx(0.5, abs=0.01)
    assert share(recent / 4, residuals=noise) == 1
    assert share(recent / 4, residuals=noise[:8]) == pytest.approx(0.5, abs=0.01)  # eight residuals say nothing


def test_von_neumanns_ratio_tells_noise_from_a_trend():
    draws = np.random.default_rng(0).standard_normal((400, 40))
    found = np.array([noise_like(each) for each in draws])
    assert np.mean(found > 0.5) > 0.7
    walks = np.cumsum(draws, axis=1)
    assert np.mean([noise_like(each - each.mean()) for each in walks]) < 0.01
    assert noise_like(np.zeros(20)) == 1


def test_the_laws_count_less_beyond_half_the_range_and_not_at_all_from_three_quarters(bent):
    x = np.geomspace(1, 1e3, 20)
    y = (0.5 + 2 * x**-0.4) * np.exp(0.01 * np.random.default_rng(1).standard_normal(20))
    estimate = automatic(sample_of(x, y), ["C"], objective=LOG, precision=Precision(bootstrap=100)).estimate
    assert isinstance(estimate, ForecastEstimate)
    assert estimate.share > 0.1
    at = 1e3 ** (1 + np.array([0.0, 0.25, 0.5, 0.625, 0.75, 2.0]))
    np.testing.assert_allclose(1 - estimate.part(at[None]), estimate.share * np.array([1, 1, 1, 0.5, 0, 0]), atol=1e-9)


def test_among_the_runs_it_is_the_laws_average_and_beyond_them_the_recent_forecast(bent):
    x, y = bent
    found = automatic(sample_of(x, y), ["C"], objective=LOG, precision=Precision(bootstrap=100))
    assert isinstance(found.estimate, ForecastEstimate)
    assert found.members[NAME] > 0.8
    early, late = np.array([[2.0, 30.0]]), np.array([[2e5, 1e6]])
    np.testing.assert_allclose(found.estimate.log_mean(early), found.estimate.laws.estimate.log_mean(early))
    np.testing.assert_allclose(found.estimate.log_mean(late), found.backtest.recent.fitted.log_mean(np.log(late[0]))[0])
    through = np.geomspace(400, 1100, 400)[None]
    for curve in (found.estimate.log_mean(through), *found.estimate.log_band(through), *found.estimate.log_new_run(through)):
        assert np.abs(np.diff(curve)).max() < 0.01  # no step where the one goes over into the other
    low, high = found.estimate.log_new_run(late)
    assert ((low < found.estimate.log_band(late)[0]) & (found.estimate.log_band(late)[1] < high)).all()
    draws = found.estimate.log_mean_draws(late)
    assert draws.shape == (100, 2)
    assert (np.diff(draws.std(0)) > 0).all()


def test_without_a_back_test_the_learnt_scale_carries_the_interval_and_it_is_said(bent):
    x, y = bent
    few = pd.DataFrame({"core_hours": x[::3], "val_loss": y[::3]})
    fit = analysis.fit(few, law="auto", bootstrap=100)
    assert fit.estimate.slope is None
    assert any("no back-test" in note for note in fit.notes)
    widths = np.log(fit.predict([2e3, 2e4])["high"] / fit.predict([2e3, 2e4])["low"])
    assert 0 < widths[0] < widths[1]
    many = analysis.fit(pd.DataFrame({"core_hours": x, "val_loss": y}), law="auto", bootstrap=100)
    assert not any("no back-test" in note for note in many.notes)


# ---- what is learnt


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import forecast_learnt
    finally:
        sys.path.pop(0)
    return forecast_learnt


def test_the_file_holds_what_the_script_can_learn(script):
    said = json.loads((ROOT / "analysis" / "backtest" / "learnt.json").read_text())
    assert said == asdict(LEARNT)
    assert {name: said[name] for name in script.SETTINGS[0]} in script.SETTINGS


def test_the_settings_learnt_are_those_of_least_error_among_those_that_meet_what_is_wanted(script, monkeypatch):
    some = [cut for cut in script.cuts() if cut.domain == "BB" and cut.factor == "own"][:4]
    some += [cut for cut in script.cuts() if cut.domain == "lm-opt"]
    monkeypatch.setattr(script, "SETTINGS", [script.SETTINGS[number] for number in (0, 40, 80)])
    script.recent_rmsle.cache_clear()
    errors = []
    for setting in script.SETTINGS:
        rule = replace(LEARNT, **setting)
        by_domain = {}
        for cut in some:
            said = fit_recent(cut.cells, np.ones((1, len(cut.cells.y)), dtype=bool), LOG, rule).log_mean(np.log(cut.at))[0]
            by_domain.setdefault(cut.domain, []).append(np.sqrt(np.mean((said - cut.log_truth) ** 2)))
        means = {domain: np.mean(each) for domain, each in by_domain.items()}
        errors.append((means["BB"] > script.WANTED["BB"], np.sum(np.log(list(means.values())))))
    best = script.SETTINGS[errors.index(min(errors))]
    learnt = script.learn(some)
    script.recent_rmsle.cache_clear()
    assert {name: getattr(learnt, name) for name in best} == best
    assert learnt.widening >= 1
    assert learnt.tested.slope > 0
