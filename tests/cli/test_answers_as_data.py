"""What a script reads: each command that answers has `--json`, and `--csv` where its answer is a table; both say what the table says."""

from __future__ import annotations

import csv
import io
import json

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from scaling.cli.app import app
from tests.api import small_grid

READS = {
    "audit", "compare", "dedup", "doctor", "fit", "frontier", "gc", "logs", "lr", "model", "plan", "predict", "probe", "runs", "status", "transfer",
}  # fmt: skip
NO_TABLE = {"audit", "dedup", "logs", "model"}
"""Their answer is a verdict, a search, lines of text, a card."""


def test_each_command_that_answers_has_json_and_csv_where_it_is_a_table():
    options = {name: {flag for option in each.params for flag in option.opts} for name, each in get_command(app).commands.items()}
    assert {name for name in options if "--json" in options[name]} >= READS
    assert {name for name in options if "--csv" in options[name]} == READS - NO_TABLE


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    small_grid.fill(folder / "scaling.db")

    def of(*words):
        done = CliRunner().invoke(app, [*words, "--db", str(folder / "scaling.db")])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.stdout

    return of


def test_a_table_says_the_same_as_the_object(said):
    study, *_ = json.loads(said("status", "--json"))["experiments"]
    row, *_ = csv.DictReader(io.StringIO(said("status", "--csv")))
    assert {name: float(row[name]) for name in ("core_hours", "best_val_loss")} == {
        name: study[name] for name in ("core_hours", "best_val_loss")
    }
    assert {status: int(row[status] or 0) for status in study["runs"]} == study["runs"]
    assert json.loads(said("gc", "--json"))["checkpoints"] == []
    assert said("gc", "--csv") == "run,attempt,checkpoint,bytes\n"
