"""Checkpoints that a program reports and that are not there: at the report, and when the next attempt begins."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator.store.models import Attempt, Run
from scaling.outcomes import RunStatus
from tests.orchestrator.program_study import Study


@pytest.fixture
def study(tmp_path, monkeypatch):
    study = Study(tmp_path, monkeypatch)
    yield study
    study.store.close()


def log_of(attempt):
    return (Path(attempt.directory) / "log.txt").read_text()


def test_one_that_is_not_there_does_not_count_and_the_log_says_so(study):
    assert study.run(study.plan(epochs="[8]"), trouble="no checkpoint")
    ((run,), (attempt,)) = study.all(Run), study.all(Attempt)
    assert (run.status, attempt.checkpoint_step) == (RunStatus.FINISHED, None)
    said = [line for line in log_of(attempt).splitlines() if "checkpoint" in line]
    assert len(said) == 2
    assert all(line.startswith("report ") and line.endswith(".npz' is not there, and does not count") for line in said)


@pytest.mark.parametrize(("gone", "goes_on_at"), [((), 80), ((80,), 40), ((80, 40), 0)])
@pytest.mark.parametrize("trouble", ["", "relative"])
def test_the_next_attempt_goes_on_from_the_last_that_is_left(study, gone, goes_on_at, trouble):
    plan = study.plan(epochs="[12]")
    undisturbed = plan.runs[0].id

    def has_two():
        return any(attempt.checkpoint_step == 80 for attempt in study.all(Attempt))

    assert not study.run(plan, trouble=trouble, slow="0.02", should_stop=has_two)
    [first] = study.all(Attempt)
    kept = Path(first.directory).parent / "kept"
    last = first.checkpoint_step
    for step in {*gone, last} if gone else ():
        (kept / f"{step}.npz").unlink(missing_ok=True)
    if not gone:
        goes_on_at = last
    assert study.run(plan, trouble=trouble)
    attempts, [run] = study.all(Attempt), study.all(Run)
    assert (run.id, run.status, attempts[1].first_step) == (undisturbed, RunStatus.FINISHED, goes_on_at)
    assert f"it began at step {goes_on_at}\n" in log_of(attempts[1])
    assert ("is not there any more" in log_of(attempts[1])) == bool(gone)
    note = json.loads((Path(first.directory) / "checkpoint-40.json").read_text())
    assert note == {"path": str(kept / "40.npz")}
    for before, after in pairwise(attempts):
        assert (before.checkpoint_step or 0) == after.first_step or after.first_step == 0
    assert run.core_hours == pytest.approx(sum(attempt.useful_seconds for attempt in attempts) / 3600)
