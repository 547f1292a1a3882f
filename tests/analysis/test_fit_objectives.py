"""Objectives, weights and the lower envelope."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import analysis
from analysis.fitting.objective import OBJECTIVES, objective_named
from analysis.fitting.point import fit_point
from analysis.laws import law_named
from scaling.errors import DataError, UnknownName, UsageError

fit_power = partial(analysis.fit, law="power")

FLOOR = law_named("power-floor")


def floor(x):
    return 0.5 + 2.0 * x**-0.4


def sample(noise=0.02, n=25):
    x = np.geomspace(1, 1e4, n)
    return x, floor(x) * np.exp(noise * np.random.default_rng(0).standard_normal(n))


@pytest.mark.parametrize(
    ("objective", "residual", "loss"),
    [
        ("log", lambda f, y: np.log(y / f), "linear"),
        ("huber-log", lambda f, y: np.log(y / f) / 1e-3, "huber"),
        ("relative", lambda f, y: 1 - f / y, "linear"),
        ("mse", lambda f, y: y - f, "linear"),
    ],
)
def test_optima_are_scipys(objective, residual, loss):
    """From many starts; `huber` of scipy is ½r² within 1, as ours within δ."""
    x, y = sample()
    found = fit_point(FLOOR, x, y, objective=objective)
    rng = np.random.default_rng(1)
    best = min(
        optimize.least_squares(
            lambda t: residual(t[0] + np.exp(t[1]) * x ** -t[2], y),
            start,
            loss=loss,
            bounds=([0, -9, 0.01], [5, 9, 3]),
            xtol=1e-14,
            ftol=1e-14,
        ).cost
        for start in rng.uniform([0.1, -1, 0.1], [0.6, 2, 1], size=(12, 3))
    )
    scale = 1e-6 if objective == "huber-log" else 1.0
    assert found.loss[0] <= best * scale * (1 + 1e-6)


def test_objectives_differ_where_they_should():
    """Outliers hardly move the robust one; plain squares see the large losses only."""
    x, y = sample(noise=0.002)
    spoilt = y.copy()
    spoilt[[5, 15]] *= 1.3
    off = {name: abs(fit_point(FLOOR, x, spoilt, objective=name).values["E"][0] - 0.5) for name in OBJECTIVES}
    assert off["huber-log"] < 0.002 < 0.007 < min(off["log"], off["relative"])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_fits_and_predicts(simulate, objective):
    fit = analysis.fit(simulate(floor, noise=0.01), law="power-floor", objective=objective, bootstrap=200)
    assert fit.params["E"] == pytest.approx(0.5, abs=0.03)
    low, high = fit.interval().loc["E"]
    assert 0.3 < low < fit.params["E"] < high < 0.6
    for kind in ("mean", "new-run"):
        table = fit.predict([10.0, 1e5], kind=kind)
        assert ((table["low"] < table["mean"]) & (table["mean"] < table["high"])).all()


def test_noise_of_plain_squares_is_absolute(simulate):
    """A new run's interval is then of one width in the metric, not of one factor."""
    rng = np.random.default_rng(0)
    runs = simulate(lambda x: floor(x), seeds=3).assign(val_loss=lambda t: t["val_loss"] + 0.01 * rng.standard_normal(len(t)))
    fit = analysis.fit(runs, law="power-floor", objective="mse")
    table = fit.predict([1.0, 1e4], kind="new-run")
    half = (table["high"] - table["low"]) / 2
    assert half[0] == pytest.approx(half[1], rel=0.35)
    assert table["mean"][0] / table["mean"][1] > 4


def test_lower_envelope_is_the_expectile():
    """At τ the runs above pull with τ and those below with 1 − τ: Σ w(r)·r = 0 for a law with a free factor."""
    x, y = sample(noise=0.1)
    found = fit_point(FLOOR, x, y, objective=objective_named("log", 0.1))
    r = np.log(y) - FLOOR.log_curve(x, found.theta)[0]
    assert abs(np.sum(np.where(r > 0, 0.1, 0.9) * r)) < 1e-3 * np.sum(np.abs(r))
    below = {
        tau: np.mean(FLOOR.log_curve(x, fit_point(FLOOR, x, y, objective=objective_named("log", tau)).theta))
        for tau in (0.1, 0.5, 0.9)
    }
    assert below[0.1] < below[0.5] < below[0.9]
    middle = fit_point(FLOOR, x, y, objective=objective_named("log", 0.5)).theta
    np.testing.assert_allclose(middle, fit_point(FLOOR, x, y).theta, rtol=1e-5)


def test_envelope_through_fit(simulate):
    runs = simulate(floor, noise=0.05)
    low, mean = (analysis.fit(runs, law="power-floor", envelope=tau, bootstrap=100) for tau in (0.05, None))
    assert (low.predict([10.0])["mean"] < mean.predict([10.0])["mean"]).all()
    with pytest.raises(UsageError, match="not between 0 and 1"):
        fit_power(runs, envelope=1.5)


def test_a_weight_of_two_is_a_copy(simulate):
    runs = simulate(floor, noise=0.02, seeds=1)
    weights = np.where(np.arange(len(runs)) % 3 == 0, 2.0, 1.0)
    weighted = analysis.fit(runs.assign(w=weights), law="power-floor", weights="w").params
    copied = analysis.fit(
        pd.concat([runs, runs[weights == 2].assign(id=lambda t: t["id"] + "b", seed=1)]), law="power-floor"
    ).params
    assert weighted == pytest.approx(copied, rel=1e-5)
    assert analysis.fit(runs, law="power-floor", weights=weights).params == pytest.approx(weighted)


def test_weights_that_cannot_be(simulate):
    runs = simulate(floor)
    with pytest.raises(UnknownName, match="column 'w'"):
        fit_power(runs, weights="w")
    with pytest.raises(DataError, match="positive"):
        fit_power(runs, weights=np.zeros(len(runs)))
    with pytest.raises(UsageError, match="3 weights for 24 runs"):
        fit_power(runs, weights=[1.0, 1.0, 1.0])
