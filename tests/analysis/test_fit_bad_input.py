"""What users bring by mistake: each gets an answer or a sentence, never a traceback of NumPy's."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.laws import law_names
from scaling.errors import DataError, ScalingError, TooFewPoints, UnknownName

fit_power = partial(analysis.fit, law="power")

ONE_AXIS = law_names(inputs=1)


def floor(x):
    return 0.5 + 2.0 * x**-0.4


@pytest.mark.parametrize("law", ONE_AXIS)
def test_losses_and_compute_that_no_law_can_hold_are_left_out_with_the_reason(simulate, law):
    runs = simulate(floor, noise=0.01)
    runs.loc[0, "val_loss"], runs.loc[3, "val_loss"], runs.loc[5, "val_loss"] = np.nan, np.inf, -1.0
    runs.loc[7, "core_hours"], runs.loc[9, "core_hours"], runs.loc[11, "core_hours"] = 0.0, np.nan, -np.inf
    fit = analysis.fit(runs, law=law, bootstrap=100)
    assert fit.runs_used == 18
    assert {entry.id: entry.reason for entry in fit.excluded} == {
        "run0": "no val_loss",
        "run3": "val_loss is infinite",
        "run5": "val_loss is not positive",
        "run7": "core_hours is not positive",
        "run9": "no core_hours",
        "run11": "core_hours is infinite",
    }
    assert np.isfinite(list(fit.params.values())).all()


@pytest.mark.parametrize("law", law_names())
def test_one_point(law):
    inputs = {"core_hours": 1.0, "params": 1e6, "examples_seen": 1e5, "unique_examples": 1e5, "steps": 1e3, "batch_size": 100}
    table = pd.DataFrame({name: [value] for name, value in {**inputs, "val_loss": 1.0}.items()})
    with pytest.raises(TooFewPoints, match="more are needed"):
        analysis.fit(table, law=law)
    with pytest.raises(TooFewPoints):
        analysis.fit(table.iloc[:0], law=law)


@pytest.mark.parametrize("law", ONE_AXIS)
def test_all_at_one_compute(law):
    table = pd.DataFrame({"core_hours": 10.0, "val_loss": np.linspace(1, 2, 12)})
    with pytest.raises(TooFewPoints, match="there is 1"):
        analysis.fit(table, law=law)


@pytest.mark.parametrize("law", ONE_AXIS)
def test_copies_of_every_row_change_no_coefficient_and_narrow_nothing(simulate, law):
    runs = simulate(floor, seeds=1, noise=0.01, cells=14)
    twice = pd.concat([runs, runs.assign(id=lambda t: t["id"] + "b", seed=1)])
    once, doubled = (analysis.fit(table, law=law, bootstrap=100) for table in (runs, twice))
    np.testing.assert_allclose(doubled.predict([30.0])["mean"], once.predict([30.0])["mean"], rtol=1e-5)
    width = [np.log(fit.predict([30.0])["high"] / fit.predict([30.0])["low"]).iloc[0] for fit in (once, doubled)]
    assert width[1] > 0.85 * width[0]
    assert analysis.fit(pd.concat([runs, runs]), law=law, bootstrap=100).runs_used == len(runs)  # the same ids: once


def test_a_metric_that_does_not_exist_and_text(simulate):
    runs = simulate(floor)
    with pytest.raises(UnknownName, match="val_loss"):
        fit_power(runs, metric="loss")
    with pytest.raises(UnknownName, match="core_hours"):
        fit_power(runs, x="core_hour")
    for column in ("val_loss", "core_hours"):
        with pytest.raises(DataError, match=f"column {column} holds text"):
            analysis.fit(runs.astype({column: object}).assign(**{column: lambda t, c=column: t[c].where(t.index != 3, "3 h")}))


@pytest.mark.parametrize("law", ONE_AXIS)
@pytest.mark.parametrize(
    "y", [lambda x: 2.0 + 0 * x, lambda x: x**0.3, lambda x: np.where(x > 100, 1.0, 3.0), lambda x: 1e-12 * floor(x)]
)
def test_shapes_that_are_no_law_still_give_finite_curves(simulate, law, y):
    for noise in (0.0, 0.01):
        fit = analysis.fit(simulate(y, noise=noise), law=law, bootstrap=100)
        assert np.isfinite(fit.predict([1.0, 50.0, 1e4])["mean"]).all()


@pytest.mark.parametrize("law", ["power-floor", "chinchilla"])
def test_a_hundred_thousand_rows_are_seconds(law):
    rng = np.random.default_rng(0)
    N, D = np.exp(rng.uniform(np.log(1e6), np.log(1e9), 100_000)), np.exp(rng.uniform(np.log(1e7), np.log(1e11), 100_000))
    table = pd.DataFrame({"params": N, "examples_seen": D, "core_hours": N * D / 1e15})
    table["val_loss"] = (0.5 + 60 * N**-0.3 + 90 * D**-0.3) * np.exp(0.01 * rng.standard_normal(100_000))
    start = time.perf_counter()
    fit = analysis.fit(table, law=law)
    assert time.perf_counter() - start < 60  # a tenth or less of that on a quiet machine: only another order of growth fails
    assert fit.runs_used == 100_000
    if law == "chinchilla":
        assert fit.params["alpha"] == pytest.approx(0.3, abs=0.01)


def test_what_is_raised_is_ours(simulate):
    runs = simulate(floor)
    for wrong, words in (
        ({"on": "some"}, "unknown choice of runs 'some'"),
        ({"level": 2.0}, "level 2 is not between"),
        ({"bootstrap": 5}, "5 bootstrap draws are too few"),
        ({"objective": "l2"}, "unknown objective 'l2'"),
        ({"law": "linear"}, "unknown law 'linear'"),
        ({"intervals": "bayes"}, "unknown kind of intervals 'bayes'"),
    ):
        with pytest.raises(ScalingError, match=words):
            analysis.fit(runs, **wrong)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("law", ["power", "power-floor"])
def test_losses_of_any_size_give_finite_intervals_or_are_refused(simulate, law):
    runs = simulate(floor, noise=0.01)
    for unit in (1e-49, 1e48):
        fit = analysis.fit(runs.assign(val_loss=runs["val_loss"] * unit), law=law)
        assert np.isfinite(fit.interval()).all(axis=None)
    for unit in (1e-200, 1e200):
        with pytest.raises(DataError, match="laws are fitted to numbers between 1e-50 and"):
            analysis.fit(runs.assign(val_loss=runs["val_loss"] * unit), law=law)


def test_text_and_unknown_weights_are_named(simulate):
    runs = simulate(floor)
    with pytest.raises(DataError, match="column model holds text: 'F1' in row 1"):
        fit_power(runs, metric="model")
    with pytest.raises(UnknownName, match=r"unknown column 'epoch'; did you mean .epochs") as caught:
        fit_power(runs, weights="epoch")
    assert "core_hours" in caught.value.hint
