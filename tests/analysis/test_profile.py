"""Intervals of coefficients: against a brute-force profile, in any unit, at faces and at bounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import analysis
from analysis.laws import law_named
from scaling.errors import UsageError
from scaling.outcomes import FitStatus
from tests.analysis.conftest import estimated


def brute_force_ends(rise, at, *, low, high):
    """Where `rise(value) = 1` on either side of `at`, by bisection; ±inf where it stays below up to the end."""
    ends = []
    for far in (low, high):
        ends.append(
            np.sign(far - at) * np.inf if rise(far) < 1 else optimize.brentq(lambda value: rise(value) - 1, at, far, rtol=1e-10)
        )
    return ends


@pytest.mark.parametrize("unit", [1.0, 1e18])
@pytest.mark.parametrize("coefficient", ["E", "a"])
def test_a_curve_against_brute_force(unit, coefficient):
    """Least squares by scipy from many starts, with the coefficient held, in logs that are centred by hand."""
    rng = np.random.default_rng(4)
    x = np.geomspace(1, 300, 14)
    y = (0.5 + 2 * x**-0.4) * np.exp(0.01 * rng.standard_normal(14))
    fit = analysis.fit(pd.DataFrame({"core_hours": unit * x, "val_loss": y}), law="power-floor")
    log_x, log_y = np.log(x) - np.log(x).mean(), np.log(y)

    def least(value):
        def residual(free):
            E, a = (value, free[1]) if coefficient == "E" else (np.exp(free[1]), value)
            return np.log(E + np.exp(free[0] - a * log_x)) - log_y

        starts = [(b, c) for b in (-1.0, 0.0, 0.5) for c in ((0.2, 0.5, 1.0) if coefficient == "E" else (-2.0, -1.0, -0.3))]
        return min(optimize.least_squares(residual, start, xtol=1e-14, ftol=1e-14, gtol=1e-14).cost for start in starts)

    at = fit.params[coefficient]
    tangent, place = fit.estimate.tangent, law_named("power-floor").coefficients.index(coefficient)
    ratio = tangent.bread[place, place] / fit.covariance[place, place]
    height = 2 * ratio / stats.t.ppf(0.975, fit.estimate.degrees_of_freedom) ** 2
    floor = least(at)
    ends = brute_force_ends(
        lambda value: (least(value) - floor) * height, at, low=1e-6, high=0.9 * y.min() if coefficient == "E" else 3.0
    )
    np.testing.assert_allclose(fit.interval().loc[coefficient], ends, rtol=1e-5)


def surface_table(seed=0, *, noise=0.01, truth=None, unit=(1.0, 1.0)):
    """Four sizes and five budgets of runs of language models, FLOP-sized where units are."""
    truth = truth or {"E": 1.8, "A": 400.0, "alpha": 0.35, "B": 1300.0, "beta": 0.37}
    N, D = (axis.ravel() for axis in np.meshgrid([2e8, 5e8, 1.2e9, 3e9], np.geomspace(4e9, 6e10, 5)))
    y = law_named("chinchilla").curve(np.stack([N, D]), truth) * np.exp(noise * np.random.default_rng(seed).standard_normal(20))
    return pd.DataFrame({"params": N * unit[0], "examples_seen": D * unit[1], "val_loss": y})


def test_a_surface_against_brute_force():
    fit = analysis.fit(surface_table(noise=0.003), law="chinchilla")
    N, D = (np.log(fit.runs[name].to_numpy()) - np.log(fit.runs[name].to_numpy()).mean() for name in ("params", "examples_seen"))
    log_y = np.log(fit.runs["val_loss"].to_numpy())

    def least(alpha):
        def residual(free):
            return np.log(np.exp(free[0]) + np.exp(free[1] - alpha * N) + np.exp(free[2] - free[3] * D)) - log_y

        starts = [(e, a, b, beta) for e in (0.2, 0.6) for a in (-2.0, -0.5) for b in (-2.0, -0.5) for beta in (0.2, 0.6)]
        return min(optimize.least_squares(residual, start, xtol=1e-14, ftol=1e-14, gtol=1e-14).cost for start in starts)

    at = fit.params["alpha"]
    ratio = fit.estimate.tangent.bread[2, 2] / fit.covariance[2, 2]
    height = 2 * ratio / stats.t.ppf(0.975, fit.estimate.degrees_of_freedom) ** 2
    floor = least(at)
    ends = brute_force_ends(lambda value: (least(value) - floor) * height, at, low=0.03, high=2.0)
    found = fit.interval().loc["alpha"].to_numpy()
    np.testing.assert_allclose(found[np.isfinite(ends)], np.array(ends)[np.isfinite(ends)], rtol=1e-4)
    assert np.isfinite(ends).any()


def test_coverage_in_any_unit():
    """The interval of an exponent held the truth in 3 of 100 where x was of order 1e18."""
    rng, x, held = np.random.default_rng(0), np.geomspace(1, 30, 12), 0

    def interval(unit, y):
        found = estimated(pd.DataFrame({"core_hours": unit * x, "epochs": x, "val_loss": y}), "power-floor")
        return found.low["a"], found.high["a"]

    for draw in range(60):
        y = (0.5 + 2 * x**-0.4) * np.exp(0.005 * rng.standard_normal(12))
        low, high = interval(1.0, y)
        held += low <= 0.4 <= high
        if draw < 6:
            assert (low, high) == pytest.approx(
                tuple(analysis.fit(pd.DataFrame({"core_hours": x, "val_loss": y}), law="power-floor").interval().loc["a"])
            )
            np.testing.assert_allclose(interval(1e18, y), (low, high), rtol=1e-6)
    assert held >= 52  # 57 less three standard deviations


_SURFACES = 20


def test_at_the_face_of_no_floor():
    """Of tables whose best floor is zero, though the true one is not, intervals held the truth 0 of 27 times for E and 9 for alpha. Such a table
    is an unlucky one, so no 95 of 100 can be asked of these alone, but of all."""
    truths, held, at_face = {"E": 1.8, "alpha": 0.35}, [], []
    for seed in range(_SURFACES):
        fit = analysis.fit(surface_table(seed, noise=0.012), law="chinchilla")
        interval = fit.interval()
        assert (interval["high"] > interval["low"]).all()
        held.append([interval["low"][name] <= truth <= interval["high"][name] for name, truth in truths.items()])
        at_face.append(fit.status == FitStatus.NO_FLOOR)
    held, at_face = np.array(held), np.array(at_face)
    assert at_face.sum() >= 3
    assert held.mean(0).min() > 0.8  # 95 % less three standard deviations
    assert held[at_face].mean(0).min() >= 0.5


def repeats(seed=0, *, most=5, outlying=True):
    law = law_named("data-constrained")
    rows = [(N, U * r, U) for N in 1e6 * 3.0 ** np.arange(5) for U in (1e6, 1e7) for r in 2.0 ** np.arange(most + 1)]
    inputs = np.array(rows + ([(9e6, 9001e6, 1e6)] if outlying else [])).T
    loss = law.curve(inputs, {"E": 0.5, "A": 60.0, "alpha": 0.34, "B": 40.0, "beta": 0.30, "Rstar": 15.0})
    loss = loss * np.exp(0.005 * np.random.default_rng(seed).standard_normal(len(loss)))
    return pd.DataFrame(dict(zip(("params", "examples_seen", "unique_examples", "val_loss"), (*inputs, loss), strict=True)))


@pytest.mark.parametrize(("objective", "intervals"), [("log", "auto"), ("log", "pairs"), ("log", "wild"), ("huber-log", "pairs")])
def test_one_run_of_many_repeats_does_not_pin_their_worth(objective, intervals):
    """Its bound was a hundredth of the most repeats: 90 where the truth is 15."""
    fit = analysis.fit(repeats(), law="data-constrained", objective=objective, intervals=intervals, bootstrap=200)
    low, high = fit.interval().loc["Rstar"]
    assert low < 15 < high
    assert high / low < 2


@pytest.mark.parametrize("intervals", ["auto", "pairs", "wild"])
@pytest.mark.parametrize("law", ["power-floor", "saturating", "hill", "broken", "chinchilla", "data-constrained"])
def test_no_interval_has_zero_width(law, intervals):
    """Also of a straight power law, where floors vanish, breaks lie anywhere and saturation is at its bound."""
    one = law_named(law).axes == ("C",)
    rng = np.random.default_rng(8)
    x = np.geomspace(1, 100, 14)
    table = (
        pd.DataFrame({"core_hours": x, "val_loss": 2 * x**-0.2 * np.exp(0.01 * rng.standard_normal(14))})
        if one
        else repeats(3, most=1, outlying=False)
    )
    found = analysis.fit(table, law=law, intervals=intervals, bootstrap=200).interval()
    assert (found["high"] > found["low"] * (1 + 1e-9)).all()


def test_the_wild_bootstrap_is_for_squares():
    with pytest.raises(UsageError, match="sums of squares") as caught:
        analysis.fit(repeats(), law="chinchilla", objective="huber-log", intervals="wild")
    assert "--intervals pairs" in caught.value.hint


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_intervals_of_a_robust_objective_hold_the_mean(seeds):
    """With two seeds a cell they held 87 %."""
    rng, epochs = np.random.default_rng(1), np.repeat(np.geomspace(1, 1000, 12), seeds)
    mean, held = 0.5 + 2 * epochs**-0.4, []
    for draw in range(40):
        table = pd.DataFrame(
            {"core_hours": epochs, "epochs": epochs, "val_loss": mean * np.exp(0.01 * rng.standard_normal(len(mean)))}
        )
        band = analysis.fit(table, law="power-floor", objective="huber-log", bootstrap=200, seed=draw).predict(table["core_hours"])
        held.append(((band["low"] <= mean) & (mean <= band["high"])).mean())
    assert np.mean(held) > 0.95 - 3 * np.std(held) / np.sqrt(40)
