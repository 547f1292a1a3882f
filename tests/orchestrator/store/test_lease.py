"""Who may write: a lease that no clock ends or keeps, and a scheduler that lost it."""

from datetime import timedelta

import pytest

from orchestrator.cluster import RayCluster
from orchestrator.scheduling.scheduler import Scheduler
from orchestrator.store import lease
from orchestrator.store.models import Lease, now
from scaling.errors import StoreError
from tests.orchestrator.rows import a_run, accepted


@pytest.fixture
def quick(monkeypatch):
    """A lease of 10 s of a clock that the test sets."""
    clock = {"at": 0.0}
    monkeypatch.setattr(lease, "LEASE_SECONDS", 10.0)
    monkeypatch.setattr(lease.time, "monotonic", lambda: clock["at"])
    return clock


def wants(store, watch):
    with store.write() as session:
        return lease.take(session, "two", watch)


def renewed(store, by=timedelta(seconds=10)):
    with store.write() as session:
        assert lease.renew(session, "one")
        session.get(Lease, "scheduler").expires_at = now() + by


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)], ids=["back", "forward"])
def test_a_clock_that_is_set_neither_ends_a_lease_nor_keeps_one(store, quick, jump):
    with store.write() as session:
        assert lease.take(session, "one")
    watch = lease.Watch()
    assert not wants(store, watch)
    for at in (4.0, 8.0, 12.0, 16.0):  # renewed on the way, by a clock that was set
        quick["at"] = at
        renewed(store, jump + timedelta(seconds=at))
        assert not wants(store, watch)
    quick["at"] = 25.0
    assert not wants(store, watch)
    quick["at"] = 27.0  # silent for more than ten seconds
    assert wants(store, watch)


def test_who_has_not_waited_does_not_get_it(store, quick):
    with store.write() as session:
        lease.take(session, "one")
        session.get(Lease, "scheduler").expires_at = now() - timedelta(hours=1)
    assert not wants(store, lease.Watch())
    assert not wants(store, None)


def test_a_scheduler_that_was_replaced_writes_nothing(store, tmp_path):
    """It was stopped past its lease, and wakes up in the middle of its work."""
    accepted(store, a_run())
    with store.write() as session:
        lease.take(session, "one")
    stopped = Scheduler(store, RayCluster(), identity="one", home=tmp_path, working_directory=tmp_path)
    with store.write() as session:
        lease.release(session, "one")
        assert lease.take(session, "two")
    with pytest.raises(StoreError, match="another scheduler took over"):
        stopped.run("study")
    with store.read() as session:
        assert lease.holds(session, "two")
