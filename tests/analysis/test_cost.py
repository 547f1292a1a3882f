"""The column `cost`: prices named with `--price`, laws and comparisons in money, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import analysis
from analysis.reading.accelerator_hours import check_conversions, convert_core_hours
from analysis.reading.choice import prepared
from analysis.reading.prices import check_prices, currency_of, rate_of, with_cost
from analysis.reading.source import source_of
from scaling.cli.compare import compare_command
from scaling.cli.fit import fit_command
from scaling.cli.frontier import frontier_command
from scaling.cli.plan import plan_command
from scaling.cli.predict import predict_command
from scaling.cli.report import report_command
from scaling.errors import DataError, UnknownName, UsageError

BOTH = ("H100=2", "TPU-v4=2")
"""Prices are of a chip-hour: a core-hour on a TPU v4, which has two cores a chip, costs half of one on an H100."""


@pytest.fixture
def sides():
    """Two families that lose alike by core-hours, 10⁻⁰·² · h⁻⁰·², one on H100 and one on TPU v4."""
    rows = [
        {"family": family, "model": model, "epochs": epochs, "seed": seed, "accelerator": accelerator}
        | {"core_hours": size * epochs, "val_loss": (10 * size * epochs) ** -0.2 * (1 + 0.0005 * seed)}
        for family, accelerator in (("a", "H100"), ("b", "TPU-v4"))
        for model, size in (("s", 1.0), ("m", 4.0), ("l", 16.0))
        for epochs in (1, 2, 4, 8)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def run():
    app = typer.Typer()
    commands = (compare_command, fit_command, frontier_command, plan_command, predict_command, report_command)
    for command in commands:
        app.command(command.__name__.removesuffix("_command"))(command)

    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(word) for word in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return invoke


def test_a_run_costs_its_chip_hours_at_the_price_of_its_accelerator():
    hours = {"core_hours": [3.0, 3.0, 3.0, np.nan], "allocated_core_hours": [4.0, 4.0, 4.0, 1.0]}
    runs = pd.DataFrame({"accelerator": ["H100", "TPU-v4", "A100", "H100"], **hours})
    found = analysis.with_cost(runs, ["H100=2.5 EUR", "TPU-v4=3 EUR"])
    assert found["cost"].tolist() == pytest.approx([7.5, 4.5, np.nan, np.nan], nan_ok=True)
    assert found["allocated_cost"].tolist() == pytest.approx([10.0, 6.0, np.nan, 2.5], nan_ok=True)
    assert currency_of(found) == "EUR"
    assert "cost" not in runs
    assert analysis.source_of(found)["notes"] == [
        "cost is core_hours at 2.5 EUR a chip-hour on H100, 3 EUR a chip-hour on TPU-v4",
        "no price is given for A100",
    ]


def test_one_price_is_of_all_runs_where_they_are_of_one_kind_or_name_none():
    runs = pd.DataFrame({"core_hours": [3.0, 1.0]})
    assert analysis.with_cost(runs, ["2.5"])["cost"].tolist() == [7.5, 2.5]
    assert analysis.with_cost(runs.assign(accelerator="TPU-v4"), ["2.5"])["cost"].tolist() == [3.75, 1.25]
    assert analysis.with_cost(runs.assign(accelerator="their own card"), ["their own card=2"])["cost"].tolist() == [6.0, 2.0]
    with pytest.raises(UsageError, match=r"2\.5 is one price, and the runs are of 2 kinds of accelerator: H100, cpu"):
        analysis.with_cost(runs.assign(accelerator=["H100", "cpu"]), ["2.5"])


@pytest.mark.parametrize(
    ("prices", "refusal"),
    [
        (["H100=-2"], "--price 'H100=-2': '-2' is no price: it must be a number greater than 0"),
        (["H100=nan"], "--price 'H100=nan': 'nan' is no price"),
        (["H100=0"], "'0' is no price"),
        (["H100=inf"], "'inf' is no price"),
        (["H100="], "'' is no price"),
        (["cheap"], "'cheap' is no price"),
        ([""], "'' is no price"),
        (["H100=2", "H100=3"], "--price 'H100=3': H100 is priced twice"),
        (["2", "H100=3"], "is priced twice"),
        (["H100=2", "3"], "is priced twice"),
        (["H100=2 EUR", "cpu=1 USD"], "the currency is given twice: EUR and USD"),
        (["H100=2 EUR USD"], "is no price"),
    ],
)
def test_prices_that_make_no_sense_are_refused(prices, refusal):
    with pytest.raises(UsageError) as refused:
        check_prices(prices)
    assert refusal in str(refused.value)


def test_prices_that_fit_no_run_are_refused():
    runs = pd.DataFrame({"core_hours": [3.0], "accelerator": ["H100"]})
    with pytest.raises(UnknownName, match="unknown accelerator 'H10'; did you mean \"H100\""):
        analysis.with_cost(runs, ["H10=2"])
    with pytest.raises(UsageError, match="needs a column accelerator"):
        analysis.with_cost(runs.drop(columns="accelerator"), ["H100=2"])
    with pytest.raises(UsageError, match="needs a column core_hours"):
        analysis.with_cost(runs.drop(columns="core_hours"), ["2"])


def test_a_law_in_money_is_that_in_core_hours_with_the_unit_changed(sides):
    """val_loss = (10 h)^-0.2 and c = 2 h for both kinds of chip where a core-hour costs 2: (5 c)^-0.2."""
    with pytest.raises(UsageError, match="2 kinds of accelerator"):
        analysis.fit(sides, law="power", on="all", bootstrap=100)
    priced = analysis.with_cost(sides, ["H100=2", "TPU-v4=4"])
    found = analysis.fit(priced, law="power", x="cost", on="all", cell=["family"], bootstrap=100)
    assert found.params["a"] == pytest.approx(0.2, abs=1e-3)
    assert found.params["A"] == pytest.approx(5**-0.2, rel=1e-3)
    assert rate_of(priced) == (2.0, "USD")


def test_at_equal_money_the_side_on_dearer_hours_needs_twice_as_much(sides):
    found = analysis.compare(analysis.with_cost(sides, BOTH), by="family", x="cost")
    assert found.speed_up.value == pytest.approx(2.0, rel=0.01)  # times the money of b that a needs to equal it
    assert found.better == "b"


def test_runs_without_a_price_have_no_law_in_money(sides):
    with pytest.raises(UsageError, match="the runs have no cost: no price is known"):
        analysis.frontier(sides, x="cost")
    with pytest.raises(UsageError, match="2 currencies"):
        analysis.frontier(analysis.with_cost(sides, BOTH).assign(currency=["EUR", "USD"] * (len(sides) // 2)), x="cost")
    found = analysis.frontier(analysis.with_cost(sides, ["H100=2"]), x="cost")
    assert {entry.kind for entry in found.excluded} == {"no cost"}
    assert set(found.runs["family"]) == {"a"}


def test_a_conversion_changes_core_hours_and_not_what_was_paid(sides):
    found = prepared(sides, price=BOTH, convert=["TPU-v4:H100=2"])
    assert found["cost"].tolist() == pytest.approx(
        (sides["core_hours"] * sides["accelerator"].map({"H100": 2.0, "TPU-v4": 1.0})).tolist()
    )
    assert rate_of(prepared(sides, price=["H100=2", "TPU-v4=2"], convert=["TPU-v4:H100=3"])) is None
    assert rate_of(analysis.with_cost(sides, BOTH)) is None, "two prices: what hours beyond the runs cost is not known"


def test_the_commands_show_money_beside_core_hours(run, sides, tmp_path):
    path = tmp_path / "runs.csv"
    noisy = sides.assign(val_loss=sides["val_loss"] * np.exp(np.random.default_rng(0).normal(0, 0.02, len(sides))))
    noisy[noisy["family"] == "a"].to_csv(path, index=False)
    prices = tmp_path / "prices.csv"
    prices.write_text("accelerator,price\nH100,2.5\ncpu,0.04\n")
    table = ["--data", path, "--price", prices]

    text, body = run("frontier", *table), json.loads(run("frontier", *table, "--json"))
    assert "(USD)" in text
    assert body["currency"] == "USD"
    assert all(point["cost"] == pytest.approx(2.5 * point["core_hours"]) for point in body["points"])
    assert body["answer"]["spent_cost"] == pytest.approx(2.5 * body["answer"]["spent_core_hours"])
    assert body["input"]["command"][-2:] == ["--price", str(prices)]

    (prediction,) = json.loads(run("predict", *table, "--at", 1000, "--json"))["predictions"]
    assert prediction["cost"] == pytest.approx(2500)
    assert "2,500" in run("predict", *table, "--at", 1000)
    assert json.loads(run("predict", "--data", path, "--at", 1000, "--json"))["predictions"][0]["cost"] is None

    plan = json.loads(run("plan", *table, "--budget", 500, "--target", 1000, "--json"))
    assert plan["cost"] == pytest.approx(2.5 * plan["core_hours"])
    assert plan["currency"] == "USD"
    assert all(cell["cost"] == pytest.approx(2.5 * cell["core_hours"]) for cell in plan["chosen"])
    assert "USD)" in run("plan", *table, "--budget", 500, "--target", 1000)

    run("report", "--output", tmp_path / "report.html", *table)
    spent = 2.5 * sides[sides["family"] == "a"]["core_hours"].sum()
    assert f"{spent:,.0f} USD" in (tmp_path / "report.html").read_text()


def test_a_bad_price_in_a_table_is_refused_with_its_line(run, sides, tmp_path):
    path, prices = tmp_path / "runs.csv", tmp_path / "prices.csv"
    sides.to_csv(path, index=False)
    prices.write_text("accelerator,price\nH100,2.5\nTPU-v4,-1\n")
    with pytest.raises(DataError, match=r"prices.csv:3: '-1' is no price"):
        run("compare", "--data", path, "--price", prices, "--x", "cost")


def test_an_alias_in_the_table_or_the_price_is_the_same_accelerator(sides):
    """A TPU v4 chip has two cores by whatever name: 100 core-hours are 50 chip-hours, at 3 each."""
    runs = sides.assign(core_hours=100.0, accelerator="v4")
    for price in ("v4=3", "TPU-v4=3", "3"):
        assert set(with_cost(runs, [price])["cost"]) == {150.0}


def test_kinds_without_a_price_are_named(sides):
    priced = with_cost(sides.assign(core_hours=1.0, accelerator="H100"), ["TPU-v4=3"])
    assert priced["cost"].isna().all()
    assert any("no price is given for H100" in note for note in source_of(priced)["notes"])


def test_a_card_of_no_table_is_said_to_be_taken_as_one_core(sides):
    priced = with_cost(sides.assign(core_hours=100.0, accelerator="Mine"), ["Mine=10"])
    assert set(priced["cost"]) == {1000.0}
    assert any("a chip of Mine is taken as one core" in note for note in source_of(priced)["notes"])


def test_after_a_conversion_no_rate_is_known(sides):
    runs = with_cost(sides.assign(accelerator="TPU-v4"), ["TPU-v4=3"])
    assert rate_of(runs) == (1.5, "USD")
    assert rate_of(convert_core_hours(runs, check_conversions(["TPU-v4:H100=2"]))) is None


def test_a_price_of_nothing_is_refused():
    with pytest.raises(UsageError, match="no accelerator is named"):
        check_prices(["=3"])
