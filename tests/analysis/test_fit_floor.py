"""The power law with a floor: the optimum, its boundary, its intervals."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import optimize

import analysis
from analysis.fitting.point import fit_point
from analysis.laws import law_named
from scaling.outcomes import FitStatus
from tests.analysis.conftest import estimated


def floor(x):
    return 0.5 + 2.0 * x**-0.4


def test_recovers_an_exact_law(simulate):
    fit = analysis.fit(simulate(floor), law="power-floor")
    assert fit.params == pytest.approx({"E": 0.5, "A": 2.0, "a": 0.4}, rel=1e-5)


def test_is_the_global_optimum(simulate):
    """Against scipy from many random starts, one weighting after the other."""
    runs = simulate(floor, noise=0.03, cells=8)
    log_x = np.log(runs["core_hours"].to_numpy())
    log_x, y = log_x - log_x.mean(), runs["val_loss"].to_numpy()
    rng = np.random.default_rng(1)
    weights = np.vstack([np.ones(len(y)), rng.exponential(size=(4, len(y)))])
    found = fit_point(law_named("power-floor"), np.exp(log_x), y, weights=weights).theta
    for weight, (E, log_A, a) in zip(weights, found, strict=True):

        def residual(theta, weight=weight):
            return np.sqrt(weight) * (np.log(theta[0] + np.exp(theta[1] - theta[2] * log_x)) - np.log(y))

        starts = rng.uniform([0.01, -3, 0.02], [0.6, 1, 1.5], size=(20, 3))
        box = ([0, -20, 1e-3], [2, 20, 5])
        best = min(optimize.least_squares(residual, start, bounds=box).cost for start in starts)
        assert np.sum(residual((E, log_A, a)) ** 2) / 2 <= best * (1 + 1e-6)


def test_a_law_without_floor_is_named(simulate):
    fits = [
        analysis.fit(simulate(lambda x: 3 * x**-0.2, noise=0.02, rng_seed=draw), law="power-floor", bootstrap=200)
        for draw in range(12)
    ]
    statuses = [fit.status for fit in fits]
    assert statuses.count(FitStatus.OK) <= 2  # an interval of 95 % misses sometimes
    assert {FitStatus.NO_FLOOR, FitStatus.FLOOR_NOT_IDENTIFIED} <= set(statuses)


def test_a_floor_that_an_unlucky_draw_shows_is_barely_identified(simulate):
    """Where no floor shows, an interval of 95 % excludes zero now and then, and then mostly misses the truth: the status says that."""

    def hardly_a_floor(x):
        return 0.02 + 2 * x**-0.2

    tables = [simulate(hardly_a_floor, noise=0.01, seeds=1, high=1e3, rng_seed=draw) for draw in (*range(10), 21, 42, 44, 47, 49)]
    fits = [analysis.fit(table, law="power-floor", bootstrap=100) for table in tables]
    shown = [fit for fit in fits if fit.interval().loc["E", "low"] > 0]
    barely = [fit for fit in shown if fit.status == FitStatus.BARELY_IDENTIFIED]
    assert (len(shown), len(barely)) == (5, 5)
    assert {fit.lights.identified.ok for fit in barely} == {None}
    assert {fit.status_about for fit in barely} == {("E",)}
    assert "less often than they say" in barely[0].advice
    for settings in ({"objective": "huber-log"}, {"intervals": "pairs"}, {"intervals": "wild"}):
        of_table = [analysis.fit(table, law="power-floor", bootstrap=200, **settings) for table in tables[:10]]
        assert FitStatus.OK not in {fit.status for fit in of_table}
    assert analysis.fit(simulate(floor, noise=0.01, cells=12), law="power-floor", bootstrap=100).status == FitStatus.OK


def test_no_floor_is_the_plain_power_law(simulate):
    for draw in range(6):
        runs = simulate(lambda x: 3 * x**-0.2, noise=0.02, rng_seed=draw)
        fit = analysis.fit(runs, law="power-floor", bootstrap=200)
        if fit.status == FitStatus.NO_FLOOR:
            plain = analysis.fit(runs, law="power")
            assert fit.params["E"] == 0
            assert fit.params["a"] == pytest.approx(plain.params["a"])
            assert fit.interval().loc["E", "low"] == 0
            return
    pytest.fail("none of six pure power laws gave a zero floor")


def test_intervals_cover_and_identify(simulate):
    hits, identified = np.zeros(3), 0
    for draw in range(60):
        runs = simulate(floor, noise=0.02, rng_seed=draw)
        fit = estimated(runs, "power-floor")
        low, high = fit.low, fit.high
        if draw == 0:
            interval = analysis.fit(runs, law="power-floor").interval()
            assert interval["low"].to_dict() == pytest.approx(low)
            assert interval["high"].to_dict() == pytest.approx(high)
        hits += [low[name] <= value <= high[name] for name, value in {"E": 0.5, "A": 2.0, "a": 0.4}.items()]
        identified += fit.status == FitStatus.OK
    assert identified >= 57
    assert (hits / 60 >= 0.86).all()  # three standard errors below 0.95
    assert (hits / 60).mean() < 1.0


def test_units_of_x_move_only_the_factor(simulate):
    runs = simulate(floor, noise=0.02)
    before = analysis.fit(runs, law="power-floor")
    after = analysis.fit(runs.assign(core_hours=runs["core_hours"] * 1000).sample(frac=1, random_state=0), law="power-floor")
    assert after.params["E"] == pytest.approx(before.params["E"], rel=1e-5)
    assert after.params["a"] == pytest.approx(before.params["a"], rel=1e-5)
    assert after.params["A"] == pytest.approx(before.params["A"] * 1000 ** before.params["a"], rel=1e-4)
    np.testing.assert_allclose(after.interval().loc["E"], before.interval().loc["E"], rtol=1e-3)


def test_few_cells_give_wide_intervals(simulate):
    few = analysis.fit(simulate(floor, cells=5, noise=0.02), law="power-floor").interval()
    many = analysis.fit(simulate(floor, cells=20, noise=0.02), law="power-floor").interval()
    width = (few["high"] - few["low"]) / (many["high"] - many["low"])
    assert (width > 2).all()


def test_same_seed_same_draws(simulate):
    runs = simulate(floor, noise=0.02)
    first, again = (analysis.fit(runs, law="power-floor", bootstrap=200, seed=3).log_mean_draws([5.0]) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != analysis.fit(runs, law="power-floor", bootstrap=200, seed=4).log_mean_draws([5.0])).any()


@pytest.mark.parametrize("intervals", ["pairs", "wild"])
def test_draws_of_large_tables_take_one_step_and_agree_with_refitting(simulate, monkeypatch, intervals):
    runs = simulate(floor, cells=60, noise=0.02)
    refitted = analysis.fit(runs, law="power-floor", intervals=intervals).interval()
    monkeypatch.setattr("analysis.fitting.bootstrap._REFIT_UP_TO", 0)
    stepped = analysis.fit(runs, law="power-floor", intervals=intervals).interval()
    width = refitted["high"] - refitted["low"]
    assert (((stepped - refitted).abs()).div(width, axis=0) < 0.12).all(axis=None)


def test_one_step_stays_above_a_zero_floor(simulate, monkeypatch):
    monkeypatch.setattr("analysis.fitting.bootstrap._REFIT_UP_TO", 0)
    for draw in range(6):
        runs = simulate(lambda x: 3 * x**-0.2, noise=0.02, rng_seed=draw, cells=40)
        fit = analysis.fit(runs, law="power-floor", intervals="pairs")
        assert (fit.estimate.draws[:, 0] >= 0).all()
        assert fit.interval().loc["a", "low"] < 0.2 < fit.interval().loc["a", "high"]


def test_published_points(nfnet):
    """21 real points: the floor is not identified by all of them, and the prediction with one is known from the field."""
    fit = analysis.fit(nfnet, metric="error", law="power-floor")
    assert fit.status == FitStatus.FLOOR_NOT_IDENTIFIED
    assert fit.predict([110_000])["mean"].iloc[0] == pytest.approx(9.98, abs=0.01)
    assert fit.params["E"] > 0


def test_band_holds_the_curve(simulate):
    fit = analysis.fit(simulate(floor, noise=0.02), law="power-floor")
    mean, new = (fit.predict(np.geomspace(1, 1e6, 30), kind=kind) for kind in ("mean", "new-run"))
    assert ((mean["low"] <= mean["mean"]) & (mean["mean"] <= mean["high"])).all()
    assert ((new["low"] <= mean["low"]) & (mean["high"] <= new["high"])).all()


def test_a_thousand_draws_of_240_runs_are_not_slow(simulate):
    """Far above what is expected (0.5 s), so that only a change of order of magnitude fails it."""
    runs = simulate(floor, cells=80, seeds=3, noise=0.02)
    start = time.perf_counter()
    analysis.fit(runs, law="power-floor")
    assert time.perf_counter() - start < 10
