"""`scaling compare`, `predict`, `plan`, `transfer` and `frontier --optimum` on tables from files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import unescape

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import analysis
from analysis.report.document import report_html
from analysis.report.study import study_of
from scaling.cli.compare import compare_command
from scaling.cli.frontier import frontier_command
from scaling.cli.plan import plan_command
from scaling.cli.predict import predict_command
from scaling.cli.transfer import transfer_command
from scaling.errors import UsageError
from tests.analysis.grids import chinchilla, grid

COMMANDS = {
    "compare": compare_command,
    "frontier": frontier_command,
    "plan": plan_command,
    "predict": predict_command,
    "transfer": transfer_command,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    one = grid(noise=0.005, seeds=2)
    two = pd.concat([one, grid(lambda N, D: 0.985 * chinchilla(N, D), family="vit", noise=0.005, seeds=2)])
    tuned = one[one["seed"] == 0].rename(columns={"val_loss": "pretrain_loss"})
    tables = {
        "one": one.rename(columns={"core_hours": "hours"}),
        "two": two.rename(columns={"core_hours": "hours"}),
        "more": grid(sizes=(8.1e7,), epochs=(16, 32)).drop(columns=["val_loss", "seed", "id", "status"]),
        "tuned": tuned.assign(error=0.1 * tuned["pretrain_loss"] ** 1.5),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return {name: str(folder / f"{name}.csv") for name in tables}


def run(command, *arguments):
    app = typer.Typer()
    app.command()(COMMANDS[command])
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


HOURS = ["--map", "core_hours=hours"]


def test_compare(files):
    asked = ["--data", files["two"], *HOURS]
    text = run("compare", *asked)
    assert text.startswith("vit is better than nfnet at equal core_hours")
    assert "120 runs, none left out" in text
    payload = json.loads(run("compare", *asked, "--json"))
    assert payload["better"] == "vit"
    assert payload["input"]["rows"] == 120
    assert len(run("compare", *asked, "--csv").splitlines()) == 31


def test_compare_where_sides_cross(tmp_path):
    """The sentence, the table, the JSON and the report say the same crossing and the same winner."""
    runs = pd.concat(
        [
            grid(lambda N, D: 3 * (N * D / 1e14) ** -0.05, family="a", noise=0.004),
            grid(lambda N, D: 3 * (N * D / 1e14) ** -0.08, family="b", noise=0.004),
        ]
    )
    runs.to_csv(tmp_path / "two.csv", index=False)
    asked = ["--data", str(tmp_path / "two.csv")]
    text, payload = run("compare", *asked), json.loads(run("compare", *asked, "--json"))
    assert payload["better"] == payload["crossing"]["overtakes"] == "b"
    at = payload["crossing"]["core_hours"]
    assert at["low"] < 6 * 1e14 / 1e15 < at["high"]
    assert text.startswith(payload["sentence"])
    assert re.match(
        r"b overtakes a at about [\d.]+ \([\d.]+ … [\d.]+\) core_hours; at 77.8, the largest shared, b is better by", text
    )
    row = next(line.split() for line in text.splitlines() if "core_hours from which b is better" in line)
    assert [float(word) for word in row[-3:]] == pytest.approx([at["value"], at["low"], at["high"]], rel=1e-3)
    study = study_of(analysis.read_runs(tmp_path / "two.csv"), law="power", bootstrap=50)
    assert unescape(report_html(study)).count(payload["sentence"]) == 2  # in the summary and above the figure


def test_compare_where_one_side_tried_larger_models(tmp_path):
    """Command and JSON say alike which compute is compared, and name the same side."""
    runs = pd.concat([grid(family="a", noise=0.002), grid(lambda N, D: 0.97 * chinchilla(N, D), family="b", sizes=(1e6, 3e6), epochs=(0.25, 0.5, 1, 2, 4, 8, 16, 32), noise=0.002)])  # fmt: skip
    runs.to_csv(tmp_path / "two.csv", index=False)
    asked = ["--data", str(tmp_path / "two.csv")]
    text, payload = run("compare", *asked), json.loads(run("compare", *asked, "--json"))
    assert payload["better"] == "b"
    assert payload["withheld"] is None
    (caveat,) = payload["caveats"]
    assert payload["sentence"].endswith(caveat)
    assert caveat.startswith("Only from ")
    assert text.startswith(payload["sentence"])
    study = study_of(analysis.read_runs(tmp_path / "two.csv"), law="power", bootstrap=50)
    assert unescape(report_html(study)).count(payload["sentence"]) == 2


def test_frontier_optimum(files):
    asked = ["--data", files["one"], *HOURS, "--optimum", "--bootstrap", "100"]
    text = run("frontier", *asked)
    assert text.startswith("Best size grows as core_hours^")
    for words in ("surface", "envelope", "isocompute", "in models and epoch budgets that exist", "60 runs"):
        assert words in text
    payload = json.loads(run("frontier", *asked, "--json"))
    assert payload["recommended"] == "surface"
    assert run("frontier", *asked, "--csv").splitlines()[0].startswith("approach,core_hours,size")
    short = run("frontier", "--data", files["one"], *HOURS, "--bootstrap", "100")
    assert "sure: how often noise would leave the cell on the frontier" in short
    assert "Best size grows as core_hours^" in short
    assert "best size and epochs: the runs are of 2 families" in run("frontier", "--data", files["two"], *HOURS)
    plain = json.loads(run("frontier", "--data", files["one"], *HOURS, "--bootstrap", "100", "--json"))
    assert plain["points"][0]["best_loss"]["low"] < plain["points"][0]["best_loss"]["high"]
    with pytest.raises(UsageError, match="belongs to --optimum"):
        run("frontier", "--data", files["one"], *HOURS, "--family", "nfnet")


def test_predict(files):
    asked = ["--data", files["one"], *HOURS]
    text = run("predict", *asked, "--at", "500", "--at", "10", "--law", "power", "--on", "frontier")
    words = " ".join(text.split())  # long cells are wrapped
    assert "6.43 times beyond the largest core_hours of the runs" in words
    assert "within the runs" in words
    surface = ["--law", "chinchilla", "--at", "1e9,2e9", "--bootstrap", "100"]
    payload = json.loads(run("predict", *asked, *surface, "--json"))
    assert payload["predictions"][0]["at"] == {"params": 1e9, "examples_seen": 2e9}
    assert len(run("predict", *asked, *surface, "--csv").splitlines()) == 2
    with pytest.raises(UsageError, match="gives 3 numbers for 2 inputs"):
        run("predict", *asked, "--law", "chinchilla", "--at", "1,2,3")


def test_plan(files):
    asked = [files["more"], "--data", files["one"], *HOURS, "--budget", "500", "--target", "1000"]
    text = run("plan", *asked)
    assert re.match(r"[12] of 2 candidates, \d+ of 500 core-hours: val_loss at 1,000 core_hours is now", text)
    assert "one run, afterwards" in text
    assert json.loads(run("plan", *asked, "--json"))["law"] == "chinchilla"


def test_transfer(files):
    asked = ["--data", files["tuned"], "--downstream", "error", "--upstream", "pretrain_loss"]
    text = run("transfer", *asked)
    assert "best pre-trained checkpoint" in text
    assert "power law" in text
    payload = json.loads(run("transfer", *asked, "--json"))
    assert payload["rank_correlation"]["value"] == pytest.approx(1.0)
    assert (
        payload["shifts"][0]["size_ratio"]["low"] < 1 < payload["shifts"][0]["size_ratio"]["high"]
    )  # the error is the loss squared
    assert len(run("transfer", *asked, "--csv").splitlines()) == 31
    with pytest.raises(UsageError, match="are both val_loss"):
        run("transfer", "--data", files["one"], *HOURS)


def test_importing_the_commands_loads_nothing_heavy():
    names = ", ".join(f"scaling.cli.{name}" for name in COMMANDS)
    code = (
        f"import sys, analysis, {names}; print([n for n in ('numpy', 'scipy', 'pandas', 'rich', 'sqlalchemy') if n in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() in ("[]", "['rich']")  # Typer loads rich
