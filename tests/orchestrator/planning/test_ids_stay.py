"""The runs of files that version 0.1.0 had are the same runs: their ids, and what `submit` compares of a study, were written down by it."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from orchestrator.experiments_file import read_spec
from orchestrator.planning.plan import make_plan

OLD = Path(__file__).parent / "of_0_1_0"
OTHER_SETTINGS = {
    "schedule": {"name": "warmup-stable-decay", "warmup_epochs": 0.01, "decay_fraction": 0.3, "reuse_trunk": True},
    "optimizer": {"clip": None, "momentum": 0, "nesterov": False},
    "ema": 0.99,
    "label_smoothing": 0.1,
}

REHEARSED = {"simulate": {"loss": {"noise": 0}}}
"""Rehearsals came after 0.1.0 began; their ids were written down before surfaces had a power."""


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("file", "more", "first", "ids", "shapes", "shared"),
    [
        ("experiments.yaml", {}, "0e3c9e91f71079cf", "7d41db0eb14b5251", "298f731315ba531f", "9a780ad55133b465"),
        ("jft4b.yaml", {}, "1e5c07af7bbc3dad", "c5545ea18d1b52c1", "07246e5896cde508", "8f6b17266a99d5e9"),
        ("experiments.yaml", OTHER_SETTINGS, "a8c236088b31b5c5", "fa76457cd8eb2c75", "f4ee775cf6934e60", "8d5b683b04d6963e"),
        ("experiments.yaml", REHEARSED, "640a68a8d6214c53", "6832ca4920012c39", "365c55cbfd11b430", "9b5e59d16cdc0ceb"),
    ],
)
def test_a_file_of_0_1_0_names_the_runs_that_it_named_then(file, more, first, ids, shapes, shared):
    plan = make_plan(*read_spec(yaml.safe_load((OLD / file).read_text()) | more if more else OLD / file))
    assert plan.runs[0].id == first
    assert digest(" ".join(run.id for run in plan.runs)) == ids
    assert digest(" ".join(run.shape for run in plan.runs)) == shapes
    assert digest(json.dumps(plan.shared, sort_keys=True)) == shared


def test_another_truth_of_what_is_finetuned_is_another_study_and_no_other_run():
    plain = yaml.safe_load((OLD / "experiments.yaml").read_text())
    studies = [
        make_plan(*read_spec(plain | {"simulate": told}))
        for told in ({}, {"finetuned_error": {"A": 2.0}}, {"loss": {"power": 0.5}})
    ]
    assert len({json.dumps(study.shared, sort_keys=True) for study in studies}) == 3
    assert [run.id for run in studies[0].runs] == [run.id for run in studies[1].runs]
    assert not {run.id for run in studies[0].runs} & {run.id for run in studies[2].runs}
