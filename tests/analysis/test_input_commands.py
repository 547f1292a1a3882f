"""Reading commands on other people's files: `--data`, `--map`, `--unit`, `--convert`; and `scaling export`."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import analysis
from scaling.cli.export import export_command
from scaling.cli.fit import fit_command
from scaling.cli.frontier import frontier_command
from scaling.errors import UsageError
from tests.conftest import REFERENCE


@pytest.fixture
def run():
    app = typer.Typer()
    app.command("fit")(fit_command)
    app.command("frontier")(frontier_command)
    app.command("export")(export_command)

    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(word) for word in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return invoke


@pytest.fixture
def mixed(simulate, tmp_path):
    """Half the runs on TPU-v3, with seconds on eight cores instead of hours; as Parquet."""
    runs = simulate(lambda x: x**-0.2, cells=6)
    old = runs["epochs"] % 2 == 0
    runs = runs.assign(accelerator="TPU-v4", secs=runs["core_hours"] * 3600 / 8).drop(columns="core_hours")
    runs = runs.assign(accelerator=runs["accelerator"].mask(old, "TPU-v3"), secs=runs["secs"].mask(old, 2 * runs["secs"]))
    runs.to_parquet(tmp_path / "mixed.parquet")
    return tmp_path / "mixed.parquet"


def test_units_and_conversions_are_applied_and_printed(run, mixed):
    table = ["--data", mixed, "--map", "core_hours=secs", "--unit", "core_hours=seconds*8"]
    with pytest.raises(UsageError, match="TPU-v3, TPU-v4") as caught:
        run("fit", *table)
    assert "--convert" in caught.value.hint
    asked = [*table, "--law", "power", "--on", "all", "--convert", "TPU-v3:TPU-v4=2"]
    body = json.loads(run("fit", *asked, "--json"))
    assert body["fits"][0]["coefficients"]["a"]["value"] == pytest.approx(0.2)
    assert body["fits"][0]["coefficients"]["A"]["value"] == pytest.approx(1.0)
    assert body["input"]["file"].endswith("mixed.parquet")
    assert body["input"]["units"] == {"core_hours": "seconds*8"}
    text = run("fit", *asked)
    assert "core_hours was read as seconds*8: 0.00222222 of what the file holds" in text
    assert "6 runs on TPU-v3 count as those of TPU-v4, divided by 2 (named with --convert)" in text
    assert "divided by 2" in run("frontier", *table, "--convert", "TPU-v3:TPU-v4=2")


def test_options_of_a_file_without_a_file(run):
    with pytest.raises(UsageError, match="--unit is for a table given by --data"):
        run("fit", "--unit", "core_hours=seconds")


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.parquet"])
def test_what_was_exported_is_read_again(run, tmp_path, name):
    mapping = ["--map", "core_hours=gpu_seconds", "--unit", "core_hours=seconds", "--map", "val_loss=val/loss"]
    run("export", tmp_path / name, "--data", REFERENCE / "exports" / "mlruns", *mapping)
    original = analysis.read_runs(
        REFERENCE / "exports" / "mlruns", {"core_hours": "gpu_seconds", "val_loss": "val/loss"}, {"core_hours": "seconds"}
    )
    again = analysis.read_runs(tmp_path / name)
    columns = ["id", "status", "model", "epochs", "core_hours", "val_loss"]
    pd.testing.assert_frame_equal(again[columns], original[columns], check_dtype=False)


def test_the_store_is_exported_with_all_its_columns(run, tmp_path):
    from scaling.columns import RUN_COLUMNS
    from tests.api.small_grid import fill

    fill(tmp_path / "scaling.db")
    run("export", tmp_path / "out.csv", "--db", tmp_path / "scaling.db")
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table) == [column.name for column in RUN_COLUMNS]
    assert len(table) == 43
    assert table["experiments"].iloc[0] in ("digits first-look", "first-look digits")


def test_where_it_cannot_be_written(run, tmp_path):
    with pytest.raises(UsageError, match="do not know how to write"):
        run("export", tmp_path / "runs.xlsx", "--data", REFERENCE / "exports" / "mlruns")
    with pytest.raises(UsageError, match="cannot be written"):
        run("export", tmp_path / "no" / "runs.csv", "--data", REFERENCE / "exports" / "mlruns")
