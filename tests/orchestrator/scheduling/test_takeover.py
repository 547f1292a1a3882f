"""Workers that a scheduler left on a cluster: who takes them over, and who must not."""

from types import SimpleNamespace

import pytest
from sqlalchemy import select

from orchestrator.scheduling.recovery import recover
from orchestrator.scheduling.see_through import see_through
from orchestrator.scheduling.takeover import take_over
from orchestrator.store import Store, handover, lease, ledger
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Allocation, Attempt, Run
from scaling.errors import StoreError
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted


@pytest.fixture
def left(tmp_path):
    """A store whose scheduler went while a worker of a cluster trained a run, and another had not been told anything."""
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run())
        with store.write() as session:
            of_the_first = {"scheduler": "first", "shape": "s", "accelerator": "cpu", "cores": 2}
            allocation = ledger.open_allocation(session, worker="worker-1", **of_the_first)
            ledger.begin_attempt(session, "a" * 16, allocation_id=allocation, home=str(tmp_path))
            ledger.open_allocation(session, worker="worker-2", **of_the_first)
        yield store


def test_a_scheduler_without_their_cluster_leaves_them_alone_and_says_so(left, tmp_path):
    with pytest.raises(StoreError, match="left 2 workers on a Ray cluster") as raised:
        see_through(left, "study", home=tmp_path, address="local")
    assert "--address" in raised.value.hint
    with left.write() as session:
        assert session.scalar(select(Attempt)).ended_at is None
        assert session.get(Run, "a" * 16).status is RunStatus.RUNNING
        assert lease.take(session, "one with the cluster"), "nobody holds the lease"


def test_those_that_live_and_were_told_something_are_taken_over(left):
    with left.write() as session:
        assert handover.names_of_workers_left(session, scheduler="second") == ["worker-1", "worker-2"]
        workers = {name: SimpleNamespace(name=name) for name in ("worker-1", "worker-2")}
        [slot] = take_over(session, workers, scheduler="second")
        recover(session, scheduler="second")
        token = session.scalar(select(Attempt.token))
        assert (slot.worker.name, set(slot.attempts)) == ("worker-1", {token})
        ended = {row.worker: row.ended_at for row in session.scalars(select(Allocation))}
        assert (ended["worker-1"], ended["worker-2"] is None) == (None, False)
        assert handover.names_of_workers_left(session, scheduler="second") == []


def test_one_that_never_answered_held_its_devices_as_long_as_its_attempts_say(left):
    with left.write() as session:
        [slot] = take_over(session, {"worker-1": SimpleNamespace(name="worker-1")}, scheduler="second")
        [token] = slot.attempts
        ledger.end_attempt(session, token, outcome=AttemptOutcome.LOST, reason="", charge=Charge(useful=5.0, startup=2.0))
        ledger.close_allocation(session, slot.allocation_id, held_seconds=0.0)
        assert session.get(Allocation, slot.allocation_id).held_seconds == 7.0
