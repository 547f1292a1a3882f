"""Plans whose budget is money, and those that are aimed at an amount of money: the same as in core-hours where a price is one number."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import analysis
from analysis.figures import best_model_figure, frontier_figure, residuals_figure
from analysis.planning.budget import budget_in
from analysis.planning.neighbours import neighbouring_cells
from analysis.reading.prices import priced_as
from analysis.reading.source import source_of
from analysis.sentence import next_commands
from scaling.cli.plan import plan_command
from scaling.cli.report import report_command
from scaling.errors import UsageError

FAST = {"law": "power", "bootstrap": 100}


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    rows = [
        {"family": "a", "model": model, "epochs": epochs, "seed": seed, "accelerator": "TPU-v4", "core_hours": size * epochs}
        for model, size in (("s", 1.0), ("m", 4.0), ("l", 16.0))
        for epochs in (1, 2, 4)
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows)
    return table.assign(val_loss=(10 * table["core_hours"]) ** -0.2 * np.exp(rng.normal(0, 0.01, len(table))))


@pytest.fixture(scope="module")
def both(runs):
    """Two families on two kinds of chip; that on H100 takes half the hours."""
    others = runs.assign(family="b", accelerator="H100", core_hours=runs["core_hours"] / 2)
    return pd.concat([runs, others], ignore_index=True)


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(plan_command)

    def invoke(*words):
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return invoke


@pytest.mark.parametrize("text", ["500 USD", "500usd", "5e2 Usd", " 500.0  USD "])
def test_a_budget_with_a_currency_is_money(text):
    found = budget_in(text)
    assert (found.amount, found.currency.upper(), found.column) == (500.0, "USD", "cost")


@pytest.mark.parametrize("given", [50, 50.0, np.int64(50), "50", "5e1", "50 core-hours", "50core_hours"])
def test_a_number_is_core_hours(given):
    found = budget_in(given)
    assert (found.amount, found.column, found.words) == (50.0, "core_hours", "50 core-hours")


@pytest.mark.parametrize(
    "given", ["-5", "-5 USD", "0", 0, float("inf"), float("nan"), "many", "", "$500", "5 6", "1,000 USD", "nan"]
)
def test_what_is_no_budget_is_refused(given):
    with pytest.raises(UsageError, match=r"buys nothing|neither core-hours nor money"):
        budget_in(given)


def test_money_buys_what_its_core_hours_buy(runs):
    """3 a chip-hour of two cores: 1.5 a core-hour, so 90 USD are 60 core-hours."""
    priced, pool = analysis.with_cost(runs, ["TPU-v4=3"]), neighbouring_cells(runs)
    in_hours = analysis.plan(priced, pool, budget=60, target=1000.0, **FAST)
    in_money = analysis.plan(priced, pool, budget="90 usd", target=1000.0, **FAST)
    assert in_money.chosen.equals(in_hours.chosen)
    assert in_hours.cost == pytest.approx(1.5 * in_hours.core_hours)
    assert (in_money.budget.words, in_hours.budget.words) == ("90 USD", "60 core-hours")
    body = in_money.to_dict()
    assert (body["budget_core_hours"], body["budget_cost"], body["currency"]) == (None, 90.0, "USD")
    assert "of 90 USD (" in in_money.sentence()
    old = analysis.plan(priced, pool, budget_core_hours=60, target=1000.0, **FAST).to_dict()
    assert (old["budget_core_hours"], old["budget_cost"]) == (60.0, None)


def test_a_target_in_money_is_that_in_core_hours_with_the_unit_changed(runs):
    priced = analysis.with_cost(runs, ["TPU-v4=3"])
    cells = neighbouring_cells(priced, in_money=True)
    of_money = analysis.plan(priced, cells, x="cost", budget="90 USD", target=1500.0, **FAST)
    of_hours = analysis.plan(priced, neighbouring_cells(runs), budget=60, target=1000.0, **FAST)
    assert of_money.now.value == pytest.approx(of_hours.now.value)
    assert of_money.after.high == pytest.approx(of_hours.after.high)
    assert of_money.chosen[["model", "epochs"]].equals(of_hours.chosen[["model", "epochs"]])


def test_over_several_accelerators_money_is_the_one_budget(both):
    """A chip-hour of TPU v4 is two core-hours: at 3 and 2 a chip-hour, 1.5 and 2 a core-hour."""
    priced = analysis.with_cost(both, ["TPU-v4=3", "H100=2"])
    cells = neighbouring_cells(priced, in_money=True)
    rates = cells["cost"] / cells["core_hours"]
    assert rates.to_numpy() == pytest.approx(cells["accelerator"].map({"TPU-v4": 1.5, "H100": 2.0}).to_numpy())
    found = analysis.plan(priced, cells, x="cost", budget="90 USD", target=1500.0, **FAST)
    assert 0 < found.cost <= 90
    assert found.cost == pytest.approx(found.chosen["cost"].sum())
    with pytest.raises(UsageError, match="a budget of core-hours on 2 kinds of accelerator, H100, TPU-v4, does not compare"):
        analysis.plan(priced, cells, x="cost", budget=60, target=1500.0, **FAST)


def test_a_budget_in_money_without_a_price_or_in_another_currency_is_refused(runs):
    pool = neighbouring_cells(runs)
    with pytest.raises(UsageError, match="a budget of 90 USD needs a price, and none is known of the candidates"):
        analysis.plan(runs, pool, budget="90 USD", target=1000.0, **FAST)
    with pytest.raises(UsageError, match="the budget is 90 USD, and the prices are in EUR"):
        analysis.plan(analysis.with_cost(runs, ["TPU-v4=3 EUR"]), pool, budget="90 USD", target=1000.0, **FAST)
    for budgets in ({}, {"budget": 5, "budget_core_hours": 5}):
        with pytest.raises(UsageError, match="a plan needs one budget"):
            analysis.plan(runs, pool, target=1000.0, **budgets, **FAST)


def test_named_prices_count_before_those_of_the_candidates(runs):
    pool = neighbouring_cells(runs).assign(accelerator="TPU-v4", cost=1.0, currency="EUR")
    own = priced_as(pool, runs)
    assert (set(own["cost"]), set(own["currency"])) == ({1.0}, {"EUR"})
    named = priced_as(pool, analysis.with_cost(runs, ["TPU-v4=3 GBP"]))
    assert named["cost"].tolist() == pytest.approx((1.5 * pool["core_hours"]).tolist())
    assert set(named["currency"]) == {"GBP"}
    assert source_of(named)["notes"] == ["the candidates cost what the named prices (--price) say, which count before their own"]
    other = priced_as(pool.assign(accelerator="H100"), analysis.with_cost(runs, ["TPU-v4=3 GBP"]))
    assert other["cost"].isna().all()
    assert source_of(other)["notes"][-1] == "no price is given for H100"
    again = priced_as(named.drop(columns=[]), analysis.with_cost(runs, ["TPU-v4=3 GBP"]))
    assert len(source_of(again)["notes"]) == 1, "nothing is said twice of the same prices"


def test_declared_cores_of_a_chip_go_by_the_table(runs):
    """Four cores a chip, which no table of accelerators has: cores over chips say it."""
    theirs = runs.assign(accelerator="Mine", cores=8, chips=2)
    priced = analysis.with_cost(theirs, ["Mine=4"])
    assert priced["cost"].tolist() == pytest.approx(runs["core_hours"].tolist())
    assert not [note for note in source_of(priced)["notes"] if "taken as one core" in note]
    planned = priced_as(neighbouring_cells(theirs), priced)
    assert planned["cost"].tolist() == pytest.approx(planned["core_hours"].tolist())


def test_the_command_takes_money(run, both, tmp_path):
    path = tmp_path / "runs.csv"
    both.to_csv(path, index=False)
    table = ["--data", path, "--price", "TPU-v4=3", "--price", "H100=2", "--x", "cost", "--target", 1500, "--law", "power"]
    body = json.loads(run(*table, "--budget", "90 USD", "--json"))
    assert (body["budget_cost"], body["currency"], body["core_hours"]) == (90.0, "USD", None)
    text = run(*table, "--budget", "90usd")
    assert "of 90 USD" in text
    assert "1,500 USD" in text


def test_a_law_in_money_names_the_currency_in_words_titles_and_json(both, tmp_path):
    priced = analysis.with_cost(both, ["TPU-v4=3 EUR", "H100=2 EUR"])
    found = analysis.fit_all(priced, x="cost", laws=["power"], on="all", bootstrap=100)
    assert {fit.to_dict()["currency"] for fit in found.fits} == {"EUR"}
    said = analysis.answer(priced, x="cost")
    assert " EUR, would give" in said.sentence
    assert said.sentence.endswith(" EUR.")
    frontier = analysis.frontier(priced, x="cost")
    drawn = [frontier_figure(frontier), best_model_figure(frontier), residuals_figure(found.fits[0])]
    assert {figure.layout.xaxis.title.text for figure in drawn} == {"Cost (EUR)"}
    (command, _) = next_commands(said)[1]
    assert re.search(r"--budget '[\d.]+ EUR'", command)
    compared = analysis.compare(priced, by="family", x="cost")
    assert " EUR, " in compared.sentence()
    assert compared.to_dict()["currency"] == "EUR"
    bare = analysis.fit(both[both["family"] == "a"], law="power", on="all", bootstrap=100)
    assert bare.to_dict()["currency"] is None


def test_a_report_in_money_plans_in_money(runs, tmp_path):
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=False)
    app = typer.Typer()
    app.command()(report_command)
    done = CliRunner().invoke(
        app, ["--data", str(path), "--price", "TPU-v4=3 EUR", "--x", "cost", "--output", str(tmp_path / "report.html")]
    )
    assert done.exit_code == 0, done.output
    page = (tmp_path / "report.html").read_text()
    assert re.search(r"[\d.]+ of [\d.]+ EUR \(|fits [\d.]+ EUR and helps", page)
    assert "Cost (EUR)" in page
    words = re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", "", page)))
    assert re.search(r"scaling plan --budget '[\d.]+ EUR' --target", words)


def test_the_steps_of_a_frontier_have_their_cost(runs):
    best = analysis.frontier(analysis.with_cost(runs, ["TPU-v4=3 EUR"])).best()
    assert best["cost"].tolist() == pytest.approx((1.5 * best["core_hours_from"]).tolist())
    assert "cost" not in analysis.frontier(runs).best()
