"""The committed figures of the optimum's coverage are of the scenarios that the script has."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]


def test_the_file_has_every_scenario_and_no_other(monkeypatch):
    spec = importlib.util.spec_from_file_location("optimum_coverage", ROOT / "benchmarks" / "optimum_coverage.py")
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "optimum_coverage", script)  # dataclasses look their module up
    spec.loader.exec_module(script)
    assert set(pd.read_csv(script.CSV)["scenario"]) == {scenario.name for scenario in script.scenarios()}
