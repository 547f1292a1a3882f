"""Intervals: against simulations, against one another, and when the truth is not in the family."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

import analysis
from analysis.fitting.discrepancy import discrepancy_of
from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.estimator import estimate
from analysis.fitting.objective import OBJECTIVES
from analysis.fitting.point import fit_point
from analysis.fitting.profile import profile_intervals
from analysis.fitting.tangent import tangent_at
from analysis.laws import law_named

TRUTH = {"E": 0.3, "A": 60.0, "alpha": 0.33, "B": 90.0, "beta": 0.4}
CHINCHILLA = law_named("chinchilla")
LOG = OBJECTIVES["log"]


def floor(x):
    return 0.5 + 2.0 * x**-0.4


def surface(N, D):
    return CHINCHILLA.curve(np.stack([N, D]), TRUTH)


def grid_inputs():
    return np.stack([g.ravel() for g in np.meshgrid(np.geomspace(3e5, 3e7, 5), 5e4 * 2.0 ** np.arange(6))])


def coverage(law, inputs, truth, *, seeds, noise, draws, monkeypatch):
    """Shares of the cells' true means, and of new runs there, that their intervals held, and the mean half width."""
    monkeypatch.setattr("analysis.fitting.estimator._PROFILE_UP_TO", 0)  # coefficients are not looked at here
    rng = np.random.default_rng(7)
    cell = np.repeat(np.arange(inputs.shape[1]), seeds)
    mean, new, width = [], [], []
    for _ in range(draws):
        y = truth[cell] * np.exp(noise * rng.standard_normal(len(cell)))
        found = estimate(law, Sample(inputs[:, cell], y, cell, np.ones(len(cell))), LOG, Precision())
        low, high = found.log_band(inputs)
        mean.append((low <= np.log(truth)) & (np.log(truth) <= high))
        width.append((high - low) / 2)
        low, high = found.log_new_run(inputs)
        run = np.log(truth) + noise * rng.standard_normal(len(truth))
        new.append((low <= run) & (run <= high))
    return np.mean(mean), np.mean(new), np.mean(width)


@pytest.mark.parametrize(("seeds", "noise"), [(1, 0.01), (3, 0.003)])
def test_a_surface_of_the_family_is_covered(seeds, noise, monkeypatch):
    inputs = grid_inputs()
    mean, new, _ = coverage(CHINCHILLA, inputs, surface(*inputs), seeds=seeds, noise=noise, draws=40, monkeypatch=monkeypatch)
    assert 0.91 < mean < 0.985  # three standard errors: cells of one draw are correlated
    assert 0.92 < new < 0.975


def test_a_truth_outside_the_family_widens_the_interval(monkeypatch):
    """Repeats that are worth less, seen by a surface that knows of none. The t interval alone would cover 50–75 % here."""
    inputs = grid_inputs()
    truth = law_named("data-constrained").curve(np.stack([*inputs, np.full(30, 5e4)]), {**TRUTH, "Rstar": 6.0})
    mean, new, width = coverage(CHINCHILLA, inputs, truth, seeds=2, noise=0.004, draws=20, monkeypatch=monkeypatch)
    assert mean > 0.92
    assert new > 0.92
    _, _, of_family = coverage(CHINCHILLA, inputs, surface(*inputs), seeds=2, noise=0.004, draws=20, monkeypatch=monkeypatch)
    assert width > 3 * of_family


def test_variance_is_split_into_seeds_and_lack_of_fit(simulate):
    rng = np.random.default_rng(0)
    of_cell = np.repeat(0.03 * rng.standard_normal(40), 4)
    runs = simulate(floor, cells=40, seeds=4, noise=0.01).assign(val_loss=lambda t: t["val_loss"] * np.exp(of_cell))
    fit = analysis.fit(runs, law="power-floor")
    assert fit.seed_std == pytest.approx(0.01, rel=0.2)
    assert fit.lack_of_fit_std == pytest.approx(0.03, rel=0.3)
    plain = analysis.fit(simulate(floor, cells=40, seeds=4, noise=0.01), law="power-floor")
    assert plain.lack_of_fit_std < 0.005
    assert np.isnan(analysis.fit(simulate(floor, seeds=1, noise=0.01), law="power-floor").seed_std)


def test_a_new_run_adds_both(simulate):
    rng = np.random.default_rng(0)
    of_cell = np.repeat(0.03 * rng.standard_normal(40), 4)
    fit = analysis.fit(
        simulate(floor, cells=40, seeds=4, noise=0.01).assign(val_loss=lambda t: t["val_loss"] * np.exp(of_cell)), law="power-floor"
    )
    row = fit.predict([50.0], kind="new-run").iloc[0]
    assert np.log(row["high"] / row["mean"]) / 1.98 == pytest.approx(np.hypot(fit.seed_std, fit.lack_of_fit_std), rel=0.15)


def test_profile_of_a_line_is_the_t_interval():
    """Where the loss is an exact parabola."""
    law, x = law_named("power"), np.geomspace(1, 1e4, 12)[None]
    y = 3 * x[0] ** -0.2 * np.exp(0.02 * np.random.default_rng(0).standard_normal(12))
    sample, theta = Sample(x, y, np.arange(12), np.ones(12)), fit_point(law, x, y).theta[0]
    tangent = tangent_at(law, sample, theta, LOG, np.zeros(2, dtype=bool))
    variance = np.diag(tangent.plain_covariance())
    ratio, width = np.diag(tangent.bread) / variance, 2.2 * np.sqrt(variance)
    low, high = profile_intervals(law, sample, LOG, theta, bread=tangent.bread, ratio=ratio, width=width, t=2.2, exact=1e-8)
    np.testing.assert_allclose(low, theta - 2.2 * np.sqrt(variance), rtol=1e-7)
    np.testing.assert_allclose(high, theta + 2.2 * np.sqrt(variance), rtol=1e-7)


def test_a_profile_ends_where_the_loss_says(simulate):
    """At each end of E's interval, the best loss with E held there is t² residual variances above the optimum, by scipy."""
    runs = simulate(floor, cells=16, seeds=1, noise=0.02)
    fit = analysis.fit(runs, law="power-floor")
    assert fit.lack_of_fit_std == 0
    log_x, log_y = np.log(runs["core_hours"]), np.log(runs["val_loss"])

    def least(E):
        return min(
            optimize.least_squares(lambda t: np.log(E + np.exp(t[0] - t[1] * log_x)) - log_y, start).cost
            for start in ([0.7, 0.4], [0.2, 0.2])
        )

    rises = [least(E) - least(fit.params["E"]) for E in fit.interval().loc["E"]]
    assert rises[0] == pytest.approx(rises[1], rel=0.05)
    t = 2.16  # of 13 degrees of freedom; the jackknife's variance need not be the curvature's
    assert rises[0] == pytest.approx(t**2 * fit.residual_std**2 / 2, rel=0.6)


@pytest.mark.parametrize("intervals", ["pairs", "wild"])
def test_bootstraps_agree_with_t_intervals_where_all_is_well(simulate, intervals):
    runs = simulate(floor, cells=40, seeds=2, noise=0.01)
    t, drawn = (analysis.fit(runs, law="power-floor", intervals=kind) for kind in ("auto", intervals))
    width = t.interval()["high"] - t.interval()["low"]
    assert ((drawn.interval() - t.interval()).abs().div(width, axis=0) < 0.15).all(axis=None)
    at = np.geomspace(1, 1e5, 9)
    ratio = np.log(drawn.predict(at)["high"] / drawn.predict(at)["low"]) / np.log(t.predict(at)["high"] / t.predict(at)["low"])
    assert ((ratio > 0.7) & (ratio < 1.4)).all()


def test_no_trend_is_no_lack_of_fit():
    """In noise a trend passes the mark once in six to ten, and always when there is one."""
    rng = np.random.default_rng(0)
    law, x = law_named("power"), np.geomspace(1, 1e4, 20)[None]
    found = {"noise": 0, "trend": 0}
    for _ in range(40):
        for kind, curve in (("noise", 2 * x[0] ** -0.2), ("trend", floor(x[0]))):
            y = curve * np.exp(0.01 * rng.standard_normal(20))
            sample = Sample(x, y, np.arange(20), np.ones(20))
            tangent = tangent_at(law, sample, fit_point(law, x, y).theta[0], LOG, np.zeros(2, dtype=bool))
            found[kind] += discrepancy_of(tangent, x).variance > 0
    assert found["noise"] <= 13
    assert found["trend"] == 40


def test_intervals_do_not_depend_on_units_or_order(simulate):
    runs = simulate(floor, noise=0.02)
    before = analysis.fit(runs, law="power-floor")
    moved = runs.sample(frac=1, random_state=0).assign(
        core_hours=lambda t: t["core_hours"] * 3600, val_loss=lambda t: t["val_loss"] * 7
    )
    after = analysis.fit(moved, law="power-floor")
    np.testing.assert_allclose(after.interval().loc["E"] / 7, before.interval().loc["E"], rtol=5e-3)
    np.testing.assert_allclose(after.interval().loc["a"], before.interval().loc["a"], rtol=5e-3)
    np.testing.assert_allclose(after.predict([3.6e7]) / 7, before.predict([1e4]), rtol=1e-6)
