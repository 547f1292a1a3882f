"""Runs that are no better than guessing are named by every answer that uses them, in text and in JSON."""

from __future__ import annotations

import json
import shlex
import sys

import numpy as np
import pandas as pd
import pytest

import analysis
from scaling.cli import app as command_line


@pytest.fixture
def table(tmp_path):
    compute = np.geomspace(1, 256, 9)
    rows = [
        {"family": family, "model": family, "epochs": 1 + place, "core_hours": hours, "val_loss": scale * hours**-0.2}
        for family, scale in (("a", 2.0), ("b", 2.2))
        for place, hours in enumerate(compute)
    ]
    path = tmp_path / "runs.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("command", ["compare --by family", "frontier", "fit"])
def test_the_warning_is_in_text_and_json(command, table, monkeypatch, capsys):
    def typed(*options):
        monkeypatch.setattr(sys, "argv", ["scaling", *shlex.split(command), "--data", str(table), *options])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        assert not ended.value.code
        return capsys.readouterr().out

    text = typed("--chance-loss", "1.0")
    assert "are no better than chance_loss (1.000) in val_loss" in text
    assert "chance-level" in text
    assert "chance-level" not in typed()
    answer = json.loads(typed("--chance-loss", "1.0", "--json"))
    part = answer["fits"][0] if command == "fit" else answer
    assert "chance-level" in [entry["code"] for entry in part["diagnostics"]]


def test_a_comparison_counts_the_runs_of_both_sides(table):
    runs = analysis.read_runs(table).assign(chance_loss=2.0)
    (found,) = analysis.compare(runs, by="family").diagnostics
    assert found.message.startswith("2 of 18 runs are no better")
    assert not analysis.compare(runs.assign(chance_loss=9.0), by="family").diagnostics
