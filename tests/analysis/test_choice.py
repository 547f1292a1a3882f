"""Rows chosen by the value of a column: numbers agree exactly, and a value may hold a comma."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reading.choice import choose_runs
from scaling.errors import UnknownName


def write(tmp_path, text):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("condition", "losses"),
    [
        ("family=a,b", [2, 4]),
        ("family=c", [1, 3]),
        ("family=c,d", [1, 3, 5]),
        ('family="a,b",d', [2, 4, 5]),
        ("family=d, c", [1, 3, 5]),
    ],
)
def test_a_value_may_hold_a_comma(tmp_path, condition, losses):
    path = write(tmp_path, 'family,val_loss\nc,1\n"a,b",2\nc,3\n"a,b",4\nd,5\n')
    assert list(choose_runs(analysis.read_runs(path), [condition])["val_loss"]) == losses


def test_a_value_of_several_that_is_not_there_is_named(tmp_path):
    runs = analysis.read_runs(write(tmp_path, 'family,val_loss\nc,1\n"a,b",2\n'))
    with pytest.raises(UnknownName, match="unknown family 'a'; did you mean"):
        choose_runs(runs, ["family=c,a"])


@pytest.mark.parametrize(
    ("cells", "asked", "rows"),
    [
        (["20240101", "20240102"], "20240101", 1),
        (["124439808", "124439809", "124439810"], "124439808", 1),
        (["1000000000000000001", "1000000000000000002"], "1000000000000000001", 1),
        (["1000000000000000000", "1"], "1e18", 1),
        (["0.1234567", "0.1234568"], "0.1234567", 1),
        (["64", "64.5"], "64.0", 1),
        (["64.0", "none"], "64", 1),
        (["1234567890123456", ""], "1234567890123456", 1),
        (["1e-4", "0.0001"], "0.0001", 2),
    ],
)
def test_numbers_agree_exactly(tmp_path, cells, asked, rows):
    runs = analysis.read_runs(write(tmp_path, "size,val_loss\n" + "".join(f"{cell},1\n" for cell in cells)))
    assert len(choose_runs(runs, [f"size={asked}"])) == rows


def test_the_rounding_of_a_conversion_and_of_single_precision_is_no_difference(tmp_path):
    runs = analysis.read_runs(write(tmp_path, "core_hours\n360\n1260\n"), None, {"core_hours": "seconds"})
    assert len(choose_runs(runs, ["core_hours=0.1"])) == 1
    assert len(choose_runs(runs, ["core_hours=0.35"])) == 1
    table = pd.DataFrame({"lr": np.array([0.1, 0.2], dtype=np.float32)})
    table.to_parquet(tmp_path / "runs.parquet")
    assert len(choose_runs(analysis.read_runs(tmp_path / "runs.parquet"), ["lr=0.1"])) == 1


def test_a_floor_above_the_lowest_loss_is_not_green(simulate, monkeypatch):
    """The floor of a law that holds lies below the lowest loss seen: here the lowest is pushed below the floor by hand."""
    from analysis.fitting.lights import _floor_above

    found = analysis.fit(simulate(lambda x: 0.5 + 2.0 * x**-0.4, noise=0.003), law="power-floor")
    assert _floor_above(found) == ""
    lowest = found.runs["val_loss"].idxmin()
    cell = found.runs.loc[lowest, "cell"]
    low = found.runs.assign(val_loss=found.runs["val_loss"].mask(found.runs["cell"] == cell, 0.4))
    words = _floor_above(replace(found, runs=low))
    assert words.startswith("The floor, 0.5")
    assert words.endswith("lies above the lowest val_loss seen, 0.4000")


def test_checkpoints_that_err_together_are_not_tested_as_independent(simulate):
    table = simulate(lambda x: 2.0 * x**-0.2, noise=0.01, cells=12)
    clusters = pd.Series(["a", "b", "c", "d", "e", "f"]).repeat(4).to_numpy()
    found = analysis.fit(table.assign(lab=clusters), law="power", clusters=["lab"])
    assert (found.errs_in_clusters, found.lights.forecasts_well.ok) == (True, None)
    assert "err together" in found.lights.forecasts_well.reason
