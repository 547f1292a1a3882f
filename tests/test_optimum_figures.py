"""The table of the optimum's coverage in docs/laws_figures.md is the one that its committed CSV makes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]


def test_the_table_is_what_the_script_makes(monkeypatch):
    spec = importlib.util.spec_from_file_location("optimum_coverage", ROOT / "benchmarks" / "optimum_coverage.py")
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "optimum_coverage", script)  # dataclasses look their module up
    spec.loader.exec_module(script)
    table = script.table(script.CSV)
    assert table in (ROOT / "docs" / "laws_figures.md").read_text(), "`python benchmarks/optimum_coverage.py docs` renews it"
    assert set(pd.read_csv(script.CSV)["scenario"]) == {scenario.name for scenario in script.scenarios()}
