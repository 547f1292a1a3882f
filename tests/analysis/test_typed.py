"""The word None in a column of numbers is a value of the setting: it can be compared by and chosen, and is no number elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reading.choice import choose_runs
from analysis.reading.typed import word_for_nothing
from scaling.errors import UnknownName, UsageError


def rows(word, worse=1.1):
    return [
        {"warmup": warmup, "epochs": 1 + place, "core_hours": float(hours), "val_loss": scale * float(hours) ** -0.2}
        for warmup, scale in ((100, 2.0), (word, 2.0 * worse))
        for place, hours in enumerate(np.geomspace(1, 128, 8))
    ]


def table(tmp_path, ending, word):
    path = tmp_path / f"runs.{ending}"
    if ending == "csv":
        pd.DataFrame(rows(word)).to_csv(path, index=False)
    elif ending == "mlflow.csv":
        renamed = {"warmup": "params.warmup", "core_hours": "metrics.core_hours", "val_loss": "metrics.val_loss"}
        pd.DataFrame(rows(word)).rename(columns=renamed).assign(
            run_id=[f"r{number}" for number in range(16)], status="FINISHED"
        ).to_csv(path, index=False)
    else:
        path.write_text(json.dumps(rows(word)))
    return path


@pytest.mark.parametrize("ending", ["csv", "json", "mlflow.csv"])
@pytest.mark.parametrize("word", ["None", "null", "n/a"])
def test_it_is_compared_by_and_chosen(tmp_path, ending, word):
    runs = analysis.read_runs(table(tmp_path, ending, word))
    found = analysis.compare(runs, by="warmup")
    assert {found.a, found.b} == {"100", word}
    assert found.better == "100"
    assert analysis.compare(runs, by="warmup", a=word).ratio.value == pytest.approx(1.1)
    assert len(choose_runs(runs, [f"warmup={word}"])) == 8
    assert len(choose_runs(runs, ["warmup=100"])) == 8
    assert len(choose_runs(runs, [f"warmup=100,{word}"])) == 16
    assert runs["warmup"].isna().sum() == 8
    assert runs["warmup"].dtype == float


def test_it_follows_a_map(tmp_path):
    runs = analysis.read_runs(table(tmp_path, "csv", "None"), {"heat": "warmup"})
    assert len(choose_runs(runs, ["heat=None"])) == len(choose_runs(runs, ["warmup=None"])) == 8
    assert analysis.compare(runs, by="heat").better == "100"


def test_an_empty_cell_is_no_value_and_the_cure_for_it_works(tmp_path):
    path = table(tmp_path, "csv", "")
    runs = analysis.read_runs(path)
    with pytest.raises(UnknownName):
        choose_runs(runs, ["warmup=None"])
    with pytest.raises(UsageError, match="nothing to compare") as refused:
        analysis.compare(runs, by="warmup")
    assert "write the word None in the empty cells" in refused.value.hint
    path.write_text("\n".join(f"None{line}" if line.startswith(",") else line for line in path.read_text().splitlines()))
    assert analysis.compare(analysis.read_runs(path), by="warmup").better == "100"


def test_one_word_alone():
    assert word_for_nothing(["1", "None", "None"]) == "None"
    assert word_for_nothing(["1", "None", ""]) == word_for_nothing(["1", "None", None]) == ""
    assert word_for_nothing(["1", "nan"]) == word_for_nothing(["1", "2"]) == word_for_nothing(["1", "None", "NA"]) == ""
