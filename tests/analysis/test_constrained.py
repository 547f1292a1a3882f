"""Coefficients that are pinned or tied: the optimum given them, intervals that take them as known, and a published recipe made again."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import typer
from scipy import optimize, stats
from typer.testing import CliRunner

import analysis
from analysis.fitting.point import fit_point
from analysis.laws import law_named
from analysis.laws.constrained import constrained
from scaling.cli.fit import fit_command
from scaling.cli.predict import predict_command
from scaling.errors import TooFewPoints, UnknownName, UsageError
from scaling.outcomes import FitStatus
from tests.analysis import grids
from tests.analysis.test_fit_surface import grid

CHINCHILLA = law_named("chinchilla")


def least_squares(model, table, start):
    """The optimum of log least squares by another solver, from a start near it."""
    N, D, y = (table[name].to_numpy() for name in ("params", "examples_seen", "val_loss"))
    return optimize.least_squares(lambda v: np.log(y / model(v, N, D)), start, x_scale=np.abs(start), xtol=1e-15, ftol=1e-15).x


@pytest.mark.parametrize(
    ("pin", "tie", "model", "start", "letters"),
    [
        ({"E": 0.28}, (), lambda v, N, D: 0.28 + v[0] * N ** -v[1] + v[2] * D ** -v[3], (60, 0.33, 90, 0.4), "A alpha B beta"),
        ({"A": 50.0}, (), lambda v, N, D: v[0] + 50.0 * N ** -v[1] + v[2] * D ** -v[3], (0.3, 0.32, 90, 0.4), "E alpha B beta"),
        ({"alpha": 0.3, "B": 80.0}, (), lambda v, N, D: v[0] + v[1] * N**-0.3 + 80 * D ** -v[2], (0.28, 40, 0.39), "E A beta"),
        ({}, [("alpha", "beta")], lambda v, N, D: v[0] + v[1] * N ** -v[2] + v[3] * D ** -v[2], (0.3, 70, 0.36, 60), "E A alpha B"),
        ({}, [("A", "B")], lambda v, N, D: v[0] + v[1] * (N ** -v[2] + D ** -v[3]), (0.3, 70, 0.34, 0.38), "E A alpha beta"),
        ({"E": 0.3}, ["alpha=beta"], lambda v, N, D: 0.3 + v[0] * N ** -v[1] + v[2] * D ** -v[1], (70, 0.36, 60), "A alpha B"),
    ],
)
def test_the_optimum_is_that_of_another_solver(pin, tie, model, start, letters):
    table = grid()
    found = fit_point(constrained(CHINCHILLA, pin, tie), table[["params", "examples_seen"]].to_numpy().T, table["val_loss"])
    expected = least_squares(model, table, start)
    assert found.converged[0]
    values = {name: float(value[0]) for name, value in found.values.items()}
    assert [values[name] for name in letters.split()] == pytest.approx(expected, rel=1e-4)
    assert {name: values[name] for name in pin} == pytest.approx(pin, rel=1e-12)
    assert set(values) == set(CHINCHILLA.coefficients)


def test_the_interval_of_what_is_left_is_the_textbooks(simulate):
    """Of a power law with its exponent pinned, log A is the mean of n numbers: t interval with n − 1 degrees of freedom."""
    runs = simulate(lambda x: 3 * x**-0.3, cells=12, seeds=1, noise=0.05)
    fit = analysis.fit(runs, law="power", pin={"a": 0.3})
    numbers = np.log(runs["val_loss"]) + 0.3 * np.log(runs["core_hours"])
    expected = stats.t.interval(0.95, 11, numbers.mean(), numbers.std(ddof=1) / np.sqrt(12))
    assert np.log(fit.interval().loc["A"]).to_numpy() == pytest.approx(expected, rel=1e-6)
    assert fit.params["a"] == 0.3
    assert fit.interval().loc["a"].isna().all()
    assert (fit.status, fit.residual_std) == (FitStatus.OK, pytest.approx(numbers.std(ddof=1)))


def test_tied_exponents_are_the_law_that_has_one():
    tied, one = analysis.fit(grid(), law="chinchilla", tie=[("alpha", "beta")]), analysis.fit(grid(), law="chinchilla-tied")
    assert tied.params == pytest.approx({**one.params, "beta": one.params["alpha"]}, rel=1e-6)
    np.testing.assert_allclose(tied.interval().loc[list(one.params)], one.interval(), rtol=1e-5)
    assert tied.interval().loc["beta"].equals(tied.interval().loc["alpha"].rename("beta"))
    at = pd.DataFrame({"params": [1e8], "examples_seen": [1e8]})
    np.testing.assert_allclose(tied.predict(at), one.predict(at), rtol=1e-6)


@pytest.mark.parametrize("settings", [{"intervals": "wild"}, {"intervals": "pairs"}, {"objective": "huber-log"}])
def test_no_draw_moves_what_is_pinned(settings):
    fit = analysis.fit(grid(), law="chinchilla", pin={"E": 0.3, "A": 60.0}, bootstrap=100, **settings)
    draws = fit.form.values(fit.estimate.draws)
    assert draws["E"] == pytest.approx(np.full(100, 0.3))
    assert draws["A"] == pytest.approx(np.full(100, 60.0))
    assert draws["alpha"].std() > 0
    free = analysis.fit(grid(), law="chinchilla", bootstrap=100, **settings)
    assert np.ptp(fit.interval().loc["alpha"]) < 0.5 * np.ptp(free.interval().loc["alpha"])  # more is known


def test_a_pinned_floor_is_no_finding():
    fit = analysis.fit(grid(noise=0.02), law="chinchilla", pin={"E": 0})
    assert fit.status == FitStatus.OK
    assert not {"E"} & {letter for found in fit.diagnostics for letter in found.about}
    assert fit.lights.forecasts_well.reason  # tested as it was fitted, with E = 0
    assert set(fit.tested.laws) == {"chinchilla"}
    assert "E = 0  (pinned)" in fit.summary()


def test_a_pinned_curve_is_tested_alone(simulate):
    """The forecast of the recent runs stands beside a choice among laws, not beside one law with numbers from elsewhere."""
    runs = simulate(lambda x: 0.5 + 2 * x**-0.4, cells=12, seeds=1, noise=0.01)
    test = analysis.fit(runs, law="power-floor", pin={"E": 0.5}).tested
    assert (test.laws, test.recent, test.beyond_words) == (("power-floor",), None, "")
    assert test.average_error == test.forecast_errors["power-floor"]


# Muennighoff et al. 2023, arXiv 2305.16264, appendix A: fitted to 182 runs of 7 million to 9 billion parameters and 1 to 500 epochs.
PUBLISHED = {"a": 6.255414, "b": 7.3049974, "e": 0.6254804, "alpha": 0.3526596, "R_D": 15.387756, "R_N": 5.309743}


def published_loss(N, D, U):
    """Their equations 11 to 13, written out: the size that U examples are enough for is the optimum of their single-epoch law."""
    A, B, E, alpha = (*np.exp([PUBLISHED["a"], PUBLISHED["b"], PUBLISHED["e"]]), PUBLISHED["alpha"])
    G = (alpha * A / (alpha * B)) ** (1 / (alpha + alpha))
    U_N = np.minimum((U * G) ** (alpha / alpha) * G, N)
    R_D, R_N = D / U - 1, np.maximum(N / U_N - 1, 0)
    of_size = A / (U_N + U_N * PUBLISHED["R_N"] * (1 - np.exp(-R_N / PUBLISHED["R_N"]))) ** alpha
    return of_size + B / (U + U * PUBLISHED["R_D"] * (1 - np.exp(-R_D / PUBLISHED["R_D"]))) ** alpha + E


def test_the_published_number_of_repeats_comes_out_with_the_rest_pinned():
    rng = np.random.default_rng(0)
    N, U, epochs = (np.exp(rng.uniform(*np.log(ends), 182)) for ends in ((7e6, 9e9), (1e8, 2e11), (1, 500)))
    runs = pd.DataFrame(
        {"params": N, "examples_seen": U * epochs, "unique_examples": U, "val_loss": published_loss(N, U * epochs, U)}
    )
    A, B, E, alpha = (*np.exp([PUBLISHED["a"], PUBLISHED["b"], PUBLISHED["e"]]), PUBLISHED["alpha"])
    pin = {"A": A, "B": B, "E": E, "alpha": alpha, "beta": alpha, "u": (A / B) ** (1 / alpha)}
    assert pin["u"] == pytest.approx(0.051, abs=5e-4)  # as they print it
    law = constrained(law_named("data-constrained-both"), pin)
    inputs = runs[["params", "examples_seen", "unique_examples"]].to_numpy().T
    exact = fit_point(law, inputs, runs["val_loss"], objective="huber-log")
    assert exact.values["Rstar"] == pytest.approx(PUBLISHED["R_D"], rel=1e-5)
    assert exact.values["RNstar"] == pytest.approx(PUBLISHED["R_N"], rel=1e-5)
    noisy = runs.assign(val_loss=runs["val_loss"] * np.exp(0.01 * rng.standard_normal(182)))
    fit = analysis.fit(noisy, law="data-constrained-both", objective="huber-log", pin=pin, bootstrap=200)
    for letter, truth in (("Rstar", PUBLISHED["R_D"]), ("RNstar", PUBLISHED["R_N"])):
        low, high = fit.interval().loc[letter]
        assert low < truth < high < 1.3 * low


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"pin": {"alhpa": 0.3}}, UnknownName, "coefficient of law chinchilla 'alhpa'; did you mean \"alpha\""),
        ({"tie": ["alpha=betta"]}, UnknownName, 'did you mean "beta"'),
        ({"pin": ["E"]}, UsageError, "'E' is not of the form E=1.69"),
        ({"pin": ["E=low"]}, UsageError, "'low' is not a number"),
        ({"pin": ["E=nan"]}, UsageError, "not finite"),
        ({"pin": ["E=1", "E=2"]}, UsageError, "pinned at 1 and at 2"),
        ({"pin": {"E": -1}}, UsageError, "cannot be -1: it is a floor, 0 or more"),
        ({"pin": {"alpha": 0}}, UsageError, "cannot be 0: it is an exponent, more than 0"),
        ({"tie": ["alpha=A"]}, UsageError, "cannot be tied: alpha is an exponent, A is a scale"),
        ({"tie": [("alpha",)]}, UsageError, "names one coefficient"),
        ({"tie": ["alpha=beta"], "pin": {"alpha": 0.3, "beta": 0.4}}, UsageError, "tied, but pinned at 0.4 and 0.3"),
        ({"pin": {"E": 1, "A": 1, "alpha": 0.3, "B": 1, "beta": 0.3}}, UsageError, "nothing is left to fit"),
        ({"pin": {"E": 1}, "law": "auto", "x": "params,examples_seen"}, UsageError, "and none is named"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(settings, error, message):
    with pytest.raises(error, match=message) as caught:
        analysis.fit(grid(), **{"law": "chinchilla", **settings})
    assert caught.value.hint


def test_pins_make_do_with_fewer_runs():
    table = grid(noise=0.001).iloc[[0, 7, 14, 21]]
    with pytest.raises(TooFewPoints, match="has 5 coefficients"):
        analysis.fit(table, law="chinchilla")
    fit = analysis.fit(table, law="chinchilla", pin={"E": 0.3, "alpha": 0.33}, tie=[])
    assert fit.params["B"] > 0


@pytest.fixture
def command_line(tmp_path):
    path = tmp_path / "runs.csv"
    grid().to_csv(path, index=False)

    def invoke(command, *arguments):
        app = typer.Typer()
        app.command()(command)
        result = CliRunner().invoke(app, ["--data", str(path), *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return invoke


def test_commands_pin_and_tie(command_line):
    asked = ("--law", "chinchilla", "--pin", "E=0.3,A=60", "--tie", "alpha=beta")
    (fit,) = json.loads(command_line(fit_command, *asked, "--json"))["fits"]
    assert fit["coefficients"]["E"] == {"value": 0.3, "low": None, "high": None}
    assert fit["coefficients"]["beta"] == fit["coefficients"]["alpha"]
    assert (fit["pinned"], fit["tied"]) == (["A", "E"], [["alpha", "beta"]])
    text = command_line(fit_command, *asked)
    assert "pinned" in text
    assert "tied to alpha" in " ".join(text.split())
    found = json.loads(command_line(predict_command, *asked, "--at", "1e8,1e7", "--json"))
    same = analysis.fit(grid(), law="chinchilla", pin={"E": 0.3, "A": 60}, tie=[("alpha", "beta")])
    expected = same.predict(pd.DataFrame({"params": [1e8], "examples_seen": [1e7]}))["mean"].item()
    assert found["predictions"][0]["mean"]["value"] == pytest.approx(expected, rel=1e-6)


def test_the_optimum_takes_a_surface_with_ties():
    """With one exponent the best size grows as the root of compute, whatever the runs say."""
    settings = {"law": "chinchilla", "bootstrap": 100}
    tied, free = (
        analysis.compute_optimal(grids.grid(noise=0.002), tie=tie, **settings).path("surface").size_exponent
        for tie in (["alpha=beta"], [])
    )
    assert tied.value == pytest.approx(0.5, abs=0.02)
    assert abs(tied.value - 0.5) < 0.5 * abs(free.value - 0.5)
    assert free.value == pytest.approx(grids.BETA / (grids.ALPHA + grids.BETA), abs=0.02)
    with pytest.raises(UsageError, match="none is named"):
        analysis.compute_optimal(grids.grid(), tie=["alpha=beta"])


def compute_grid():
    """Cells on 0.3 + 2 C^-0.4, with a little noise."""
    spent = np.geomspace(0.01, 10, 12)
    losses = (0.3 + 2 * spent**-0.4) * np.exp(np.random.default_rng(1).normal(0, 0.003, 12))
    return pd.DataFrame({"core_hours": spent, "val_loss": losses, "model": "m", "epochs": np.arange(12) + 1.0})


def test_a_plan_holds_what_is_pinned():
    """A target far off is better known where the floor is, and the plan's law has no uncertainty of it."""
    runs = compute_grid()
    candidates = pd.DataFrame({"model": "m", "epochs": [20.0, 30.0], "core_hours": [20.0, 30.0]})
    free, pinned = (
        analysis.plan(runs, candidates, budget=50, target=1000, law="power-floor", on="all", bootstrap=100, pin=pin)
        for pin in ({}, {"E": 0.3})
    )
    assert pinned.fit.params["E"] == 0.3
    assert pinned.fit.interval_words("E") == "pinned"
    assert pinned.now.high - pinned.now.low < 0.5 * (free.now.high - free.now.low)
    assert pinned.after.high - pinned.after.low <= pinned.now.high - pinned.now.low
    with pytest.raises(UsageError, match="none is named"):
        analysis.plan(runs, candidates, budget=50, target=1000, pin={"E": 0.3})
    half = analysis.halve(runs, target=1000, law="power-floor", on="all", bootstrap=100, pin={"E": 0.3})
    assert half.forecast.params["E"] == 0.3


def test_a_report_pins_its_law_alone_and_prints_the_commands_that_do():
    from analysis.report.commands import commands
    from analysis.report.document import _asked
    from analysis.report.study import study_of

    study = study_of(compute_grid(), law="power-floor", on="all", bootstrap=100, pin=["E=0.3"])
    assert study.law.params["E"] == 0.3
    assert study.law.backtest is not study.automatic.backtest
    assert [fit.pin for fit in study.laws if fit.pin] == [{"E": 0.3}]
    printed = dict(commands(study.source, _asked(study)))
    for what in ("the law with its intervals", "this report"):
        assert "--law power-floor --pin E=0.3" in printed[what]
    assert "--pin" not in printed["the forecast, and what every law forecast of runs held out"]
    with pytest.raises(UsageError, match="none is named"):
        study_of(compute_grid(), pin=["E=0.3"])
