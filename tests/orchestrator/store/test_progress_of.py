"""How far an experiment is: counts, what is spent, what the runs in training log, and how long the rest takes."""

import json
from datetime import timedelta

import pytest

from orchestrator.store import Store, lease
from orchestrator.store.models import Lease
from orchestrator.store.progress import Progress, progress_of
from tests.api.small_grid import begin


@pytest.fixture
def path(tmp_path):
    begin(tmp_path / "begun.db", finished=12)
    return tmp_path / "begun.db"


def test_without_a_scheduler_there_is_no_time_left(path):
    with Store.open_readonly(str(path)) as store, store.read() as session:
        found, everything = progress_of(session, "digits"), progress_of(session)
    assert (found.total, found.over, found.counts["running"]) == (30, 12, 1)
    assert (found.seconds, found.eta_seconds, found.has_scheduler) == (0.0, None, False)
    assert (everything.experiment, everything.counts) == (None, found.counts)
    assert found.sentence == "12 of 30"


def test_the_time_left_is_by_what_was_done_since_the_scheduler_began(path):
    from orchestrator.store.ledger import record
    from orchestrator.store.models import Attempt, Run, now

    with Store.open(str(path)) as store:
        with store.write() as session:
            lease.take(session, lease.new_holder())
            for attempt in session.query(Attempt):  # as if all had begun a hundred seconds ago
                attempt.started_at = now() - timedelta(seconds=100)
            session.query(Lease).update({"acquired_at": now() - timedelta(seconds=120)})
            token = session.query(Run.token).filter(Run.status == "running").scalar()
            rates = [(1, "examples_per_second", 900.0), (20, "examples_per_second", 1000.0), (20, "mfu", 0.05), (20, "lr", 1.0)]
            record(session, token, step=21, metrics=rates)
        with store.read() as session:
            found = progress_of(session, "digits")
            rows = session.query(Run.estimated_core_hours, Run.steps, Run.status, Run.step).all()
    total = sum(estimated for estimated, *_ in rows)
    done = sum(estimated * (1.0 if status == "finished" else step / steps) for estimated, steps, status, step in rows)
    assert found.seconds == pytest.approx(100, abs=5)
    assert found.eta_seconds == pytest.approx(found.seconds * (total - done) / done, rel=0.05)  # the estimates are right here
    (run,) = found.running
    assert (run.step, run.examples_per_second, run.mfu) == (21, 1000.0, 0.05)
    assert found.pace == "1,000 examples/s, MFU 5 %"
    assert found.sentence.startswith("12 of 30 · about ")
    assert found.to_dict()["running"][0]["examples_per_second"] == 1000.0
    assert Progress.of(json.loads(json.dumps(found.to_dict()))) == found


def test_of_a_scheduler_that_is_gone_nothing_runs(path):
    from orchestrator.store.models import now

    with Store.open(str(path)) as store:
        with store.write() as session:
            lease.take(session, lease.new_holder())
            session.query(Lease).update({"pid": 2**22 + 1, "expires_at": now() - timedelta(hours=1)})
        with store.read() as session:
            found = progress_of(session, "digits")
    assert (found.running, found.counts["pending"], found.eta_seconds, found.has_scheduler) == ((), 18, None, False)
