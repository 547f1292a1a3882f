"""The power law against independent calculations, and what must not change it."""

from __future__ import annotations

import json
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import analysis
from analysis.fitting.fit_all import Fits
from analysis.fitting.status import exponent_status
from analysis.fitting.tangent import Tangent
from scaling.errors import TooFewPoints, UnknownName, UsageError
from scaling.outcomes import FitStatus
from tests.analysis.conftest import estimated

fit_power = partial(analysis.fit, law="power")


def power(x):
    return 3.0 * x**-0.17


def test_recovers_an_exact_law(simulate):
    fit = fit_power(simulate(power))
    assert fit.params == pytest.approx({"A": 3.0, "a": 0.17})
    assert fit.r_squared == pytest.approx(1.0)
    assert fit.residual_std < 1e-10


def test_without_repeated_seeds_it_is_the_textbook_line(simulate):
    runs = simulate(power, seeds=1, noise=0.02)
    fit = fit_power(runs)
    log_x, log_y = np.log(runs["core_hours"]), np.log(runs["val_loss"])
    line = stats.linregress(log_x, log_y)
    t = stats.t.ppf(0.975, len(runs) - 2)
    assert fit.params["a"] == pytest.approx(-line.slope)
    assert fit.params["A"] == pytest.approx(np.exp(line.intercept))
    low, high = fit.interval().loc["a"]
    assert (low, high) == pytest.approx((-line.slope - t * line.stderr, -line.slope + t * line.stderr))
    low, high = np.log(fit.interval().loc["A"])
    assert high - low == pytest.approx(2 * t * line.intercept_stderr)
    assert fit.r_squared == pytest.approx(line.rvalue**2)
    assert fit.residual_std == pytest.approx(np.sqrt(np.sum((log_y - line.intercept - line.slope * log_x) ** 2) / (len(runs) - 2)))


def test_prediction_intervals_are_the_textbook_ones(simulate):
    runs = simulate(power, seeds=1, noise=0.02, rng_seed=2)
    fit = fit_power(runs)
    assert fit.lack_of_fit_std == 0  # no trend in these residuals; one would widen the intervals
    z = np.log(runs["core_hours"]) - np.log(runs["core_hours"]).mean()
    at = np.log(1e5) - np.log(runs["core_hours"]).mean()
    t, n = stats.t.ppf(0.975, len(runs) - 2), len(runs)
    leverage = 1 / n + at**2 / np.sum(z**2)
    for kind, variance in (("mean", leverage), ("new-run", 1 + leverage)):
        row = fit.predict([1e5], kind=kind).iloc[0]
        assert np.log(row["high"] / row["mean"]) == pytest.approx(t * fit.residual_std * np.sqrt(variance))
        assert np.log(row["mean"] / row["low"]) == pytest.approx(t * fit.residual_std * np.sqrt(variance))


def test_cell_jackknife_is_leaving_cells_out():
    rng = np.random.default_rng(0)
    cell = np.repeat(np.arange(5), 3)
    design = np.column_stack([np.ones(15), rng.standard_normal(15)])
    y = rng.standard_normal(15)
    whole = np.polyfit(design[:, 1], y, 1)[::-1]
    apart = [np.polyfit(design[cell != g, 1], y[cell != g], 1)[::-1] - whole for g in range(5)]
    expected = 4 / 5 * sum(np.outer(d, d) for d in apart)
    residual = y - design @ whole
    tangent = Tangent(design, residual, np.ones(15), np.ones(15), cell, np.array([True, True]), np.eye(2))
    np.testing.assert_allclose(tangent.jackknife_covariance(), expected)


def test_copies_of_every_run_are_no_evidence(simulate):
    ratios = []
    for draw in range(20):
        runs = simulate(power, seeds=1, noise=0.02, rng_seed=draw)
        twice = pd.concat([runs, runs.assign(id=runs["id"] + "again", seed=1)])
        once, doubled = (fit_power(table).interval().loc["a"] for table in (runs, twice))
        ratios.append((doubled["high"] - doubled["low"]) / (once["high"] - once["low"]))
    assert np.mean(ratios) > 0.9  # 0.7 if copies were taken for independent runs


@pytest.mark.parametrize(("cells", "seeds"), [(5, 2), (12, 2), (12, 1)])
def test_intervals_cover(simulate, cells, seeds):
    hits = 0
    for draw in range(150):
        runs = simulate(power, cells=cells, seeds=seeds, noise=0.02, rng_seed=draw)
        found = estimated(runs, "power")
        hits += found.low["a"] <= 0.17 <= found.high["a"]
        if draw == 0:
            assert (found.low["a"], found.high["a"]) == pytest.approx(tuple(fit_power(runs).interval().loc["a"]))
    assert 0.89 <= hits / 150 <= 0.99  # three standard errors about 0.94


@settings(max_examples=15, deadline=None)
@given(order=st.randoms(use_true_random=False), unit=st.floats(1e-6, 1e9))
def test_row_order_and_units(order, unit):
    from tests.analysis.conftest import simulated_cells

    runs = simulated_cells(power, noise=0.03)
    rows = list(range(len(runs)))
    order.shuffle(rows)
    before = fit_power(runs)
    after = fit_power(runs.iloc[rows].assign(core_hours=lambda table: table["core_hours"] * unit))
    assert after.params["a"] == pytest.approx(before.params["a"])
    assert after.params["A"] == pytest.approx(before.params["A"] * unit ** before.params["a"], rel=1e-6)
    pd.testing.assert_frame_equal(after.interval().loc[["a"]], before.interval().loc[["a"]])


def test_published_points(nfnet):
    slope, intercept = np.polyfit(np.log(nfnet["core_hours"]), np.log(nfnet["error"]), 1)
    fit = fit_power(nfnet, metric="error")
    assert fit.params == pytest.approx({"A": np.exp(intercept), "a": -slope})
    assert fit.runs_used == 21
    optimal = fit_power(nfnet, metric="error", on="frontier").predict([110_000], kind="new-run").iloc[0]
    assert optimal["mean"] == pytest.approx(9.69, abs=0.01)  # F7+ at 110k core-hours reached 9.7 %
    assert optimal["low"] < 9.7 < optimal["high"]


def test_a_flat_loss_has_no_exponent(simulate):
    fit = fit_power(simulate(lambda x: 2.0 + 0 * x, noise=0.02))
    assert fit.status == FitStatus.EXPONENT_NOT_IDENTIFIED


@pytest.mark.parametrize("law", ["power", "power-floor"])
def test_a_loss_that_rises_is_named(simulate, law):
    fit = analysis.fit(simulate(lambda x: x**0.1, noise=0.02), law=law, bootstrap=200)
    assert fit.status == FitStatus.RISES


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (0.1, 0.2, FitStatus.OK),
        (0.0, 0.2, FitStatus.EXPONENT_NOT_IDENTIFIED),
        (-0.2, 0.2, FitStatus.EXPONENT_NOT_IDENTIFIED),
        (-np.inf, np.inf, FitStatus.EXPONENT_NOT_IDENTIFIED),
        (-0.2, -0.1, FitStatus.RISES),
    ],
)
def test_status_of_an_exponent(low, high, status):
    assert exponent_status(low, high) == status


@pytest.mark.parametrize(("law", "cells", "more"), [("power", 2, 1), ("power", 1, 2), ("power-floor", 3, 1)])
def test_too_few_points_says_how_many_more(simulate, law, cells, more):
    with pytest.raises(TooFewPoints, match=rf"{more} more (is|are) needed") as caught:
        analysis.fit(simulate(power, cells=cells, seeds=3), law=law)
    assert caught.value.need - caught.value.have == more
    assert "scaling submit" in caught.value.hint


def test_names_that_do_not_exist_get_the_nearest(simulate):
    runs = simulate(power)
    with pytest.raises(UnknownName, match='did you mean "power-floor"'):
        analysis.fit(runs, law="power-flor")
    with pytest.raises(UnknownName, match="objective") as caught:
        fit_power(runs, objective="huberlog")
    assert "huber-log" in caught.value.hint
    with pytest.raises(UnknownName, match='did you mean "val_loss"'):
        fit_power(runs, metric="val_los")
    with pytest.raises(UsageError, match="positive"):
        fit_power(runs).predict([-1.0])


def test_json_has_no_nan_and_names_everything(simulate):
    runs = simulate(power, noise=0.02)
    runs.loc[0, "val_loss"] = np.nan
    runs.loc[1, "status"] = "diverged"
    fit = fit_power(runs)
    payload = json.loads(json.dumps(analysis.payload(Fits([fit], [])), allow_nan=False))
    (element,) = payload["fits"]
    assert payload["schema_version"] == 1
    assert set(element["coefficients"]) == {"A", "a"}
    assert set(element["coefficients"]["a"]) == {"value", "low", "high"}
    assert element["runs_used"] == 22
    assert element["excluded"] == [{"id": "run1", "reason": "diverged"}, {"id": "run0", "reason": "no val_loss"}]
    assert element["status"] == "ok"


def test_summary_gives_each_coefficient_its_interval(simulate):
    fit = fit_power(simulate(power, noise=0.02))
    text = fit.summary()
    assert f"residuals ×/÷ {np.exp(fit.residual_std):.3f} (one sd)" in text
    assert re.search(r"A = [23]\.\d+  \(95 %: [\d.]+ … [\d.]+\)", text)
    assert re.search(r"a = 0\.1\d+  \(95 %: [\d.]+ … [\d.]+\)", text)
    assert "24 runs in 12 cells used, none left out" in text
