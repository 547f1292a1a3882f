"""The answer in a sentence: its numbers are those of the law and of the forecast, and it says no more than the lights allow."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import analysis
from analysis.sentence import answer_of, next_commands
from scaling.cli.app import app
from scaling.errors import UsageError
from scaling.rounding import significant
from tests.analysis.conftest import simulated_cells
from tests.analysis.grids import grid

FALLS = re.compile(r"falls as core_hours\^(\S+) \(95 %: (\S+) … (\S+)\)")
GIVES = re.compile(r"(\w+(?: times)?) the compute, (\S+) core_hours, would give (\S+) \((\S+) … (\S+)\)")


@pytest.fixture(scope="module")
def studies():
    return {
        "power": simulated_cells(lambda x: 2 * x**-0.2, noise=0.01),
        "floor": grid(noise=0.005, seeds=2),
        "few": simulated_cells(lambda x: 2 * x**-0.2, noise=0.01, cells=3, high=10),
        "narrow": simulated_cells(lambda x: 2 * x**-0.2, noise=0.01, cells=8, high=3),
        "flat": simulated_cells(lambda x: 2 + 0 * x, noise=0.1),
        "bump": simulated_cells(lambda x: x**-0.1 * np.where(x > 300, 1.3, 1), noise=0.01, cells=9, high=1000),
        "rising": simulated_cells(lambda x: 2 * x**0.3, noise=0.01),
        "saturating": simulated_cells(lambda x: 0.5 + 20 * (x + 30) ** -0.7, noise=0.003, cells=20),
    }


@pytest.fixture(scope="module")
def answers(studies):
    return {name: analysis.answer(runs) for name, runs in studies.items()}


def test_numbers_are_those_of_the_law_and_of_predict(studies, answers):
    said = answers["power"]
    law = analysis.choose_law(studies["power"])
    ends = law.interval().loc["a"]
    exponent = [significant(-number, 3) for number in (law.coefficients["a"], ends["high"], ends["low"])]
    assert list(FALLS.search(said.sentence).groups()) == exponent
    word, at, *forecast = GIVES.search(said.sentence).groups()
    there = analysis.predict(studies["power"], [float(at)]).mean()
    assert (word, float(at)) == ("Ten times", 100_000)
    assert forecast == [significant(number, 3) for number in (there.value, there.low, there.high)]
    assert said.to_dict()["forecast"] == {"at": 100_000.0, "times": 10.0, **there.to_dict()}


@pytest.mark.parametrize("name", ["power", "floor", "few", "saturating"])
def test_the_best_cell_is_the_last_of_the_frontier(studies, answers, name):
    last = analysis.frontier(studies[name]).best().iloc[-1]
    assert f"Best so far: {last['model']} at {last['epochs']:g} epoch" in answers[name].sentence
    assert significant(last["val_loss"]) in answers[name].sentences[-1]
    assert answers[name].best["val_loss"] == last["val_loss"]


def test_every_number_beyond_the_runs_and_every_exponent_has_its_interval(answers):
    seen = Counter()
    for said in answers.values():
        for number in (r"\^", "would give "):
            seen[number] += len(re.findall(number, said.sentence))
            assert len(re.findall(number, said.sentence)) == len(re.findall(rf"{number}\S+ \(.*? … .*?\)", said.sentence))
    assert min(seen.values()) >= 2


@pytest.mark.parametrize("name", ["flat", "rising"])
def test_a_law_that_is_not_identified_names_no_exponent(answers, name):
    said = answers[name]
    assert said.law.lights.identified.ok is False
    assert "^" not in said.sentence
    assert said.law.status.value in said.light_lines()[0]


def test_where_the_law_does_not_forecast_well_no_number_beyond_the_runs_is_given(answers):
    said = answers["bump"]
    assert said.law.lights.forecasts_well.ok is False
    assert said.forecast is None
    assert "does not forecast well" in said.sentence
    assert "would give" not in said.sentence
    assert "off by ×/÷" in said.light_lines()[1]
    assert said.light_lines()[1].startswith("forecasts well ✗")
    assert "rises" in answers["rising"].sentence
    assert answers["rising"].forecast is None


def test_what_was_not_tested_is_said_not_to_be(answers):
    assert answers["few"].law.lights.forecasts_well.ok is None
    assert "by forecasts that are not tested" in answers["few"].sentence


@pytest.mark.parametrize(
    ("cells", "span", "times"), [(8, 3, None), (8, 4.2, 2), (8, 9.5, 3), (8, 30, 5), (8, 120, 10), (8, 1e9, 10)]
)
def test_a_forecast_reaches_half_as_far_as_the_runs_do(cells, span, times):
    said = analysis.answer(simulated_cells(lambda x: 2 * x**-0.2, noise=0.01, cells=cells, low=7, high=7 * span))
    assert (None if said.forecast is None else said.forecast.times) == times
    if said.forecast is not None:
        assert 0.9 * times * 7 * span <= said.forecast.at <= times * 7 * span * (1 + 1e-9)


def test_a_floor_is_named_with_its_interval_and_where_an_exponent_holds(answers):
    floor = answers["floor"].law
    assert re.search(
        r"towards a floor of \S+ \(95 %: \S+ … \S+\); what is above it falls as core_hours\^", answers["floor"].sentence
    )
    assert significant(floor.coefficients["E"], 3) in answers["floor"].sentence
    assert answers["saturating"].law.law == "saturating"
    assert "at large core_hours" in answers["saturating"].sentence


def test_a_surface_names_both_exponents_and_nothing_beyond(studies):
    said = analysis.answer(studies["floor"], x="params,examples_seen")
    assert said.law.law == "chinchilla-tied"
    assert re.search(r"params\^(-0\.3\d+) and examples_seen\^\1 \(\S+ … \S+\)", said.sentence)
    assert (said.forecast, said.frontier, said.best) == (None, None, None)


@pytest.mark.parametrize(
    ("law", "powers"),
    [
        ("chinchilla", r"params\^\S+ \(\S+ … \S+\) and examples_seen\^\S+ \(\S+ … \S+\)"),
        ("chinchilla-tied", r"params\^(\S+) and examples_seen\^\1 \(\S+ … \S+\)"),
        ("skaling", r"params\^\S+ \(\S+ … \S+\) and examples_seen\^\S+ \(\S+ … \S+\)"),
        ("repeat-penalty", r"params\^\S+ \(\S+ … \S+\) and examples_seen\^\S+ \(\S+ … \S+\)"),
    ],
)
def test_every_surface_names_how_the_metric_falls_with_each_input(studies, law, powers):
    runs = studies["floor"].assign(unique_examples=1e4)
    asked = "params,examples_seen" + (",unique_examples" if law == "repeat-penalty" else "")
    said = answer_of(analysis.fit(runs, law=law, x=asked, bootstrap=100, level=0.5))
    assert re.search(rf"falls as {powers}[.;]", said.sentence) or "is not determined" in said.sentence, said.sentence
    if law != "repeat-penalty":  # whose penalty runs of one size of data do not tell
        assert "is not determined" not in said.sentence


def test_an_average_of_laws_says_which_function_has_an_answer(studies):
    with pytest.raises(UsageError, match="an average of laws") as refused:
        _ = analysis.fit(studies["power"]).answer
    assert "analysis.answer" in refused.value.hint


def test_units_and_order_of_rows_change_nothing_but_the_numbers(studies):
    runs = studies["power"]
    shuffled = runs.sample(frac=1, random_state=3)
    assert analysis.answer(shuffled).sentence == analysis.answer(runs).sentence
    longer = analysis.answer(runs.assign(core_hours=runs["core_hours"] * 3600))
    assert FALLS.search(longer.sentence).groups() == FALLS.search(analysis.answer(runs).sentence).groups()


def test_strangers_tables_have_an_answer(nfnet):
    said = analysis.answer(nfnet, metric="error")
    assert said.sentence.startswith(
        "How error falls with core_hours is not determined by these runs: the interval of the floor E reaches zero."
    )
    bare = pd.DataFrame({"gpu_h": np.geomspace(1, 1e4, 9), "loss": 3 * np.geomspace(1, 1e4, 9) ** -0.1})
    said = analysis.answer(bare, metric="loss", x="gpu_h")
    assert "Ten times the largest gpu_h, 100000 gpu_h, would give" in said.sentence
    assert said.sentences[-1].startswith("Best so far: 1.194 at")
    json.dumps(said.to_dict(), allow_nan=False)


@pytest.mark.parametrize("name", ["power", "floor", "few", "flat", "rising"])
def test_the_commands_that_come_next_run(studies, answers, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studies[name].to_csv("my runs.csv", index=False)
    lines = next_commands(answers[name], ["--data", "my runs.csv"])
    assert lines
    for command, _ in lines:
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exception is None, f"{command}\n{result.output}\n{result.exception!r}"
    told = [command for command, _ in lines if " predict " in command]
    assert bool(told) == (answers[name].forecast is not None)


def test_fit_frontier_and_their_json_say_the_same(studies, answers, tmp_path):
    path = tmp_path / "runs.csv"
    studies["floor"].to_csv(path, index=False)
    sentence = answers["floor"].sentence

    def printed(*words):
        return CliRunner().invoke(app, [*words, "--data", str(path)], catch_exceptions=False).stdout

    first = printed("frontier", "--bootstrap", "100").splitlines()[0]  # with what choices cost
    assert first.startswith(sentence.partition(" Best so far")[0])
    assert first == json.loads(printed("frontier", "--bootstrap", "100", "--json"))["headline"]
    for words in (("fit", "--on", "frontier"), ("frontier", "--bootstrap", "100")):
        assert json.loads(printed(*words, "--json"))["answer"]["sentence"] == sentence
    assert json.loads(printed("fit", "--law", "power", "--json"))["answer"] is None
