"""What to expect at a compute, and the headline: against predict, regret and the table of runs, which were there before."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import analysis
from analysis.headline import headline
from analysis.outlook import outlook, round_computes
from scaling.errors import UsageError
from tests.analysis.grids import EXAMPLES, chinchilla, grid


@pytest.fixture(scope="module")
def runs():
    return grid(chinchilla, epochs=(0.06, 0.12, 0.25, 0.5, 1), noise=0.01)


@pytest.fixture(scope="module")
def law(runs):
    return analysis.choose_law(runs)


@pytest.fixture(scope="module")
def cost(runs):
    return analysis.regret(runs, bootstrap=100)


@pytest.fixture(scope="module")
def frontier(runs):
    return analysis.frontier(runs)


def test_among_the_runs_it_is_the_law_and_beyond_them_the_forecast(runs, law, frontier, cost):
    low, high = law.x_range
    within, beyond = float(np.sqrt(low * high)), 4 * high
    found = outlook(law, frontier, cost, [within, beyond])
    ours, theirs = law.predict([within]).iloc[0], analysis.predict(runs, [beyond]).mean()
    assert found.table.loc[0, ["value", "low", "high"]].tolist() == pytest.approx(ours.tolist())
    assert found.interval(1).value == pytest.approx(theirs.value)
    assert (found.interval(1).low, found.interval(1).high) == pytest.approx((theirs.low, theirs.high))
    assert found.table["times"].tolist() == pytest.approx([within / high, 4.0])
    assert "within the runs" in found.words(0)["where"]
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_best_model_there_is_that_of_least_true_loss(law, frontier, cost):
    sizes = np.unique(frontier.points["params"].to_numpy(float))
    unit = (frontier.points["core_hours"] / (frontier.points["params"] * frontier.points["epochs"])).median()
    for at in (law.x_range[1] * 2, law.x_range[1] * 8):
        found = outlook(law, frontier, cost, [at])
        least = sizes[np.argmin(chinchilla(sizes, at / unit / sizes * EXAMPLES))]
        named = frontier.points.loc[frontier.points["params"] == least, "model"].iloc[0]
        assert found.table["model"].iloc[0] == named
        assert found.table["data"].iloc[0] == pytest.approx(at / unit / least, rel=0.05)
        assert found.table["most"].iloc[0] == cost.best_model_at(at).most
        assert outlook(law, frontier, cost, [at], bounds=False).table["model"].iloc[0] == named


def test_ten_times_the_best_cell_is_the_choice_that_regret_names(cost):
    *_, model = cost.choices
    again = cost.best_model_at(model.at)
    assert (again.model, again.data, again.value) == (model.model, model.data, model.value)
    assert again.most == pytest.approx(model.most)


def test_without_surfaces_the_best_is_the_cell_that_was_run(frontier, law):
    found = outlook(law, frontier, None, [law.x_range[1], 3 * law.x_range[1]])
    best = frontier.best().iloc[-1]
    assert (found.table["model"].tolist(), found.table["data"].iloc[0]) == ([best["model"], ""], best["epochs"])
    assert found.words(1)["best"] == ""


def test_money_is_the_price_of_its_core_hours(runs):
    priced = analysis.with_cost(runs.assign(accelerator="H100"), ["H100=2.5"])
    law, found = analysis.choose_law(priced), analysis.frontier(priced)
    row = outlook(law, found, None, [7.0])
    assert (row.table["core_hours"].iloc[0], row.table["cost"].iloc[0], row.currency) == (7.0, pytest.approx(17.5), "USD")
    assert row.words()["price"] == "7.00 core-hours, 17.5 USD"


def test_a_target_that_is_none_is_refused(law, frontier):
    with pytest.raises(UsageError):
        outlook(law, frontier, None, [-1.0])


def test_round_computes_have_two_digits_and_hold_the_range():
    found = round_computes(0.00027, 0.13)
    assert found == sorted({float(f"{value:.2g}") for value in found})
    assert 0.00027 <= found[0] < 0.0003
    assert 0.11 < found[-1] <= 0.13
    assert len(round_computes(1e-9, 1e30)) <= 160


def test_the_headline_has_the_best_there_and_what_choices_cost(law, cost):
    said = law.answer
    words = headline(said, cost)
    assert words.startswith(said.sentences[0])
    ahead, first = cost.best_model_at(said.forecast.at), cost.choices[0]
    assert f"Best there: {ahead.model} at " in words
    assert ahead.data > 1
    assert f"epochs (no run had more than 1); choosing it costs {cost.costs(ahead)}" in words
    assert "(no run" not in cost.named(first)
    assert words.count("costs at most ") == 2
    assert words.index("Best there") < words.index("Best so far")
    assert f"{100 * first.most:.2g}"[:3] in words
    assert headline(said, None) == said.sentence
    unknown = replace(cost, choices=(replace(first, most=math.nan, reason="it lies far away"), *cost.choices[1:]))
    assert headline(said, unknown) == f"{said.sentence[:-1]}; what choosing it costs is not known: it lies far away."


def test_the_panel_says_of_the_headlines_target_what_the_headline_says(law, frontier, cost):
    said = law.answer.forecast
    times = law.answer.sentence.partition(" the compute")[0].rpartition(". ")[2]
    found = outlook(law, frontier, cost, [said.at, 1.07 * said.at], bounds=False)
    assert found.words(0)["where"].startswith(f"about {times.lower()} the largest run")
    assert found.words(1)["where"].startswith(f"{found.table['times'].iloc[1]:.2g} times the largest run")
