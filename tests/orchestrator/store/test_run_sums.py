"""An experiment is summed up in one pass over its runs: of 100,000 each pass takes 0.3 s."""

import random
import re

import pytest
from sqlalchemy import event

from orchestrator.store import queries
from orchestrator.store.experiments import wanted_runs
from orchestrator.store.grid import accept
from orchestrator.store.models import ExperimentRun, Run
from orchestrator.store.run_sums import counts_shown, run_sums, total
from scaling.outcomes import NO_BETTER_THAN_GUESSING, RunStatus
from tests.orchestrator.rows import a_run


def rows(count=40):
    drawn = random.Random(0)
    for number in range(count):
        finished = drawn.random() < 0.6
        yield a_run(f"{number:016x}") | {
            "status": RunStatus.FINISHED if finished else drawn.choice(list(RunStatus)),
            "accelerator": drawn.choice([None, "cpu", "H100"]),
            "core_hours": drawn.random(),
            "allocated_core_hours": 1 + drawn.random(),
            "inherited_core_hours": drawn.choice([0.0, 0.01]),
            "estimated_core_hours": drawn.choice([None, drawn.random()]),
            "val_loss": drawn.random() if finished else None,
            "reason": drawn.choice(["", f"{NO_BETTER_THAN_GUESSING} of all", "no"]),
        }


def test_sums_are_those_of_the_rows_and_take_one_pass(store):
    made = list(rows())
    with store.write() as session:
        accept(session, name="made", file="made.yaml", text="name: made\n", resolved={"name": "made"}, shared={}, runs=[])
        session.add_all(Run(**row) for row in made)
        session.flush()
        ours = [row for number, row in enumerate(made) if number % 5]
        session.add_all(ExperimentRun(experiment_id=1, run_id=row["id"], added_in=1) for row in ours)
    asked = []
    with store.read() as session:
        event.listen(session.connection(), "before_cursor_execute", lambda *given: asked.append(given[2]))
        (row,) = queries.experiments(session, "made")
        assert queries.experiments(session, "another") == []
        sums = run_sums(session, wanted_runs(1))
    known = [row["estimated_core_hours"] for row in ours if row["estimated_core_hours"] is not None]
    assert row["core_hours"] == pytest.approx(sum(run["core_hours"] for run in ours))
    assert row["inherited_core_hours"] == pytest.approx(sum(run["inherited_core_hours"] for run in ours))
    assert row["allocated_core_hours"] == pytest.approx(sum(run["allocated_core_hours"] for run in ours))
    assert row["estimated_core_hours"] == pytest.approx(sum(known)) == pytest.approx(total(s.estimated_core_hours for s in sums))
    assert row["best_val_loss"] == min(run["val_loss"] for run in ours if run["val_loss"] is not None)
    assert row["runs"] == {str(status): sum(run["status"] == status for run in ours) for status in RunStatus if any(run["status"] == status for run in ours)}  # fmt: skip
    assert sorted(row["no_better_than_guessing"]) == [
        run["id"] for run in ours if run["reason"].startswith(NO_BETTER_THAN_GUESSING)
    ]
    of_runs = [text for text in asked if re.search(r"FROM runs\b", text)]
    assert len(of_runs) == 4  # the sums, the error of the estimates, who has learnt nothing; and the sums asked for here


def test_runs_that_a_dead_scheduler_left_running_are_pending():
    found = [(RunStatus.RUNNING, 2), (RunStatus.FINISHED, 1), (RunStatus.PENDING, 3), (RunStatus.RUNNING, 1)]
    assert counts_shown(found, gone=True) == {"pending": 6, "finished": 1}
    assert counts_shown(found, gone=False) == {"pending": 3, "running": 3, "finished": 1}
    assert total([None, None]) is None
