"""`--where`: some rows of a table."""

from __future__ import annotations

import pandas as pd
import pytest

import analysis
from analysis.reading.choice import choose_runs
from scaling.errors import UnknownName, UsageError

RUNS = pd.DataFrame({"id": list("abcd"), "family": ["x", "x", "y", None], "batch_size": [64.0, 128, 64, 64], "seed": [0, 1, 0, 1]})


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (["family=x"], "ab"),
        (["family = x,y"], "abc"),
        (["batch_size=64"], "acd"),
        (["batch-size=64.0", "seed=0"], "ac"),
        ([], "abcd"),
    ],
)
def test_rows_that_meet_every_condition(conditions, ids):
    assert "".join(choose_runs(RUNS, conditions)["id"]) == ids


def test_it_says_how_many():
    assert analysis.source_of(choose_runs(RUNS, ["family=x"]))["notes"] == ["2 of 4 runs were chosen: family is x"]


@pytest.mark.parametrize(
    ("conditions", "kind", "words"),
    [
        (["family"], UsageError, "not of the form"),
        (["familly=x"], UnknownName, 'did you mean "family"'),
        (["family=z"], UnknownName, "family 'z'"),
        (["family=y", "batch_size=128"], UsageError, "no run has family is y and batch_size is 128 at once"),
    ],
)
def test_what_is_not_there(conditions, kind, words):
    with pytest.raises(kind, match=words):
        choose_runs(RUNS, conditions)
