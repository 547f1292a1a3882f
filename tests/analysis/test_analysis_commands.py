"""`scaling fit`, `frontier` and `lr` on tables from files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from scaling.cli.fit import fit_command
from scaling.cli.frontier import frontier_command
from scaling.cli.lr import lr_command
from scaling.cli.predict import predict_command
from scaling.errors import TooFewPoints, UnknownName, UsageError

NFNET = Path(__file__).parent.parent / "reference" / "laws" / "nfnet_fig1_clean21.csv"
TABLE = [
    "--data",
    str(NFNET),
    "--map",
    "core_hours=tpu_v4_core_hours",
    "--map",
    "error=imagenet_top1_error_pct",
    "--metric",
    "error",
]


@pytest.fixture
def run():
    app = typer.Typer()
    app.command("fit")(fit_command)
    app.command("frontier")(frontier_command)
    app.command("lr")(lr_command)
    app.command("predict")(predict_command)

    def invoke(*arguments):
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return invoke


def test_fit_prints_coefficients_with_intervals_and_what_was_left_out(run):
    text = run("fit", *TABLE, "--on", "both", "--law", "power", "--law", "power-floor")
    assert "0.06504" in text  # numpy.polyfit of the logs
    assert "0.05730" in text
    assert "21 runs in 21 cells" in text
    assert "floor-not-identified" in text
    assert "6 not on the frontier: row 4, row 5, row 10, …" in text
    assert "F3_wide" in text


def test_fit_json(run):
    payload = json.loads(run("fit", *TABLE, "--json"))
    assert {(fit["law"], fit["on"]) for fit in payload["fits"]} == {
        (law, on) for law in ("power", "power-floor") for on in ("frontier", "all")
    }
    assert [fit["chosen"] for fit in payload["fits"]] == [True, False, True, False]
    assert [fit["chosen_of"] for fit in payload["fits"]] == [payload["fits"][0]["on"], None, payload["fits"][2]["on"], None]
    assert payload["the_law"] == {"law": payload["fits"][0]["law"], "on": payload["fits"][0]["on"]}
    assert payload["fits"][0]["x"] == "core_hours"


def test_fit_csv(run):
    lines = run("fit", *TABLE, "--csv", "--law", "power", "--on", "all").splitlines()
    assert lines[0] == "law,on,coefficient,value,low,high,status,identified,forecasts_well,chosen,forecast_error,runs_used"
    assert [line.split(",")[2] for line in lines[1:]] == ["A", "a"]


def test_a_law_with_too_few_points_does_not_take_the_others_down(run, tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("core_hours,val_loss\n1,1\n2,0.8\n4,0.7\n")
    payload = json.loads(run("fit", "--data", str(path), "--json", "--on", "all"))
    assert [fit["law"] for fit in payload["fits"]] == ["power"]
    assert [(entry["law"], entry["need"] - entry["have"]) for entry in payload["not_fitted"]] == [("power-floor", 1)]
    named = ("--law", "power", "--law", "power-floor")
    assert "not fitted: law power-floor has 3 coefficients" in run("fit", "--data", str(path), "--on", "all", *named)
    assert "no floor was considered: to test a law with one takes 6 distinct core_hours" in run("fit", "--data", str(path))
    path.write_text("core_hours,val_loss\n1,1\n2,0.8\n")
    with pytest.raises(TooFewPoints, match="1 more is needed"):
        run("fit", "--data", str(path))


def test_frontier_command(run):
    assert "from core_hours" in run("frontier", *TABLE)
    assert len(json.loads(run("frontier", *TABLE, "--json"))["points"]) == 21
    assert len(run("frontier", *TABLE, "--csv").splitlines()) == 22


def test_lr_command(run, sweep, tmp_path):
    path = tmp_path / "sweep.csv"
    sweep(noise=0.01).rename(columns={"learning_rate": "lr"}).to_csv(path, index=False)
    text = run("lr", "--data", str(path), "--map", "learning_rate=lr")
    assert "learning_rate* = c·epochs^-s" in text
    assert "80 runs in 8 cells" in text
    assert json.loads(run("lr", "--data", str(path), "--map", "learning_rate=lr", "--json"))["runs_used"] == 80


def test_lr_names_what_differs_inside_a_cell_and_shows_what_tells_cells_apart(run, sweep, tmp_path):
    path = tmp_path / "sweep.csv"
    runs = sweep(noise=0.01).assign(weight_decay=lambda table: 0.1 * table["seed"], batch_size=64)
    pd.concat([runs, runs.assign(id="x" + runs["id"], batch_size=256)]).to_csv(path, index=False)
    text = run("lr", "--data", str(path))
    assert "weight_decay differs between runs that were averaged as one cell; --cell weight_decay keeps them apart" in text
    assert "batch_size differs between cells, and the law of the best rate has no term for it" in text
    assert any("model" in line and "batch_size" in line for line in text.splitlines())
    payload = json.loads(run("lr", "--data", str(path), "--json"))
    assert len(payload["notes"]) == 2
    assert {row["settings"]["batch_size"] for row in payload["optima"]} == {64, 256}
    one = json.loads(run("lr", "--data", str(path), "--where", "batch_size=64", "--cell", "weight_decay", "--json"))
    assert [note.split()[0] for note in one["notes"]] == ["weight_decay"]
    assert len(one["optima"]) == 16


def test_lr_of_a_cell_that_was_not_run(run, sweep, tmp_path):
    path = tmp_path / "sweep.csv"
    sweep(noise=0.01).to_csv(path, index=False)
    assert run("lr", "--data", str(path), "--at-model", "F1", "--at-epochs", "16").startswith("F1 at 16 epochs: 0.")
    cell = json.loads(run("lr", "--data", str(path), "--at-model", "F1", "--at-epochs", "16", "--json"))["cell"]
    assert cell["learning_rate"]["low"] < 0.5 < cell["learning_rate"]["high"]
    assert cell["trials"] in (2, 3)
    with pytest.raises(UsageError, match="no budget is given"):
        run("lr", "--data", str(path), "--at-model", "F1")
    with pytest.raises(UsageError, match="runs of a store"):
        run("lr", "--data", str(path), "--searches")


def test_refusals(run):
    with pytest.raises(UsageError, match="exclude each other"):
        run("fit", *TABLE, "--json", "--csv")
    with pytest.raises(UnknownName, match="law 'powr'"):
        run("fit", *TABLE, "--law", "powr")
    with pytest.raises(UsageError, match="--data"):
        run("fit", "--map", "a=b")


def test_flops_is_short_for_train_flops(run, tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("train_flops,val_loss\n1e9,1\n2e9,0.8\n4e9,0.7\n")
    assert json.loads(run("fit", "--data", str(path), "--x", "flops", "--law", "power", "--json"))["fits"][0]["x"] == "train_flops"


def test_importing_the_commands_loads_nothing_heavy():
    code = (
        "import sys, analysis, scaling.cli.fit, scaling.cli.frontier, scaling.cli.lr;"
        "print([name for name in ('numpy', 'scipy', 'pandas', 'statsmodels', 'plotly', 'sqlalchemy') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_fit_auto_prints_the_back_test_and_the_diagnostics(run):
    text = run("fit", *TABLE, "--law", "auto", "--on", "frontier")
    assert "back-test:" in text
    assert "floor-not-identified" in text
    (fit,) = json.loads(run("fit", *TABLE, "--law", "auto", "--on", "frontier", "--json"))["fits"]
    share = fit["backtest"]["share_of_laws"]
    weights = {entry["law"]: share * entry["weight"] for entry in fit["backtest"]["laws"]} | {"power-floor (recent)": 1 - share}
    assert {entry["law"]: entry["weight"] for entry in fit["members"]} == {law: weight for law, weight in weights.items() if weight}
    assert "floor-not-identified" in {entry["code"] for entry in fit["diagnostics"]}


def test_several_families_are_told_apart_in_what_is_printed(run, simulate, tmp_path):
    one = simulate(lambda x: x**-0.2, noise=0.01, cells=6)
    other = simulate(lambda x: 1.5 * x**-0.25, noise=0.01, cells=6).assign(id=lambda table: "v" + table["id"], family="vit")
    pd.concat([one, other]).to_csv(tmp_path / "both.csv", index=False)
    text = run("fit", "--data", str(tmp_path / "both.csv"), "--law", "power")
    assert "families-pooled  2 families in one law (nfnet, vit)" in text
    for answer in (text, run("frontier", "--data", str(tmp_path / "both.csv"))):
        head = next(line.split() for line in answer.splitlines() if "family" in line and "model" in line)
        assert head.index("family") == head.index("model") - 1
    assert "families-pooled" in run("predict", "--data", str(tmp_path / "both.csv"), "--law", "power", "--at", "1e5")
    alone = run("fit", "--data", str(tmp_path / "both.csv"), "--where", "family=vit", "--law", "power")
    assert "families" not in alone


def test_frontier_as_csv_holds_the_band_that_json_holds(run):
    head = run("frontier", *TABLE, "--csv").splitlines()[0]
    assert head.endswith("on_frontier,best,best_low,best_high,frontier_share")
