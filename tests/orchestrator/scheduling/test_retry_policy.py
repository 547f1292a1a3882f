"""Workers that end before they have begun, and attempts that end to be started again."""

import pytest

from orchestrator.resources import Resources, RunOptions
from orchestrator.scheduling.attempt import AttemptLog, Ending
from orchestrator.scheduling.queue import Workload
from orchestrator.scheduling.retry_policy import RestartPauses, StartRetries
from orchestrator.store.ledger import Charge, Grant
from scaling.errors import ClusterError
from scaling.outcomes import AttemptOutcome


def test_workers_that_end_before_they_begin_are_not_started_at_every_tick(clock):
    starts, workload, other = StartRetries(), Workload("s", Resources("cpu", 1)), Workload("t", Resources("cpu", 1))
    for _ in range(2):
        starts.failed(workload, "No module named 'orchestrator'")
        starts.check(workload)
    starts.failed(workload, "No module named 'orchestrator'")
    with pytest.raises(ClusterError, match="3 workers for 1 cpu core have ended before they began: No module"):
        starts.check(workload)
    starts.check(other)
    clock.at_work(61)
    starts.check(workload)
    starts.failed(workload, "again")
    with pytest.raises(ClusterError, match="again"):
        starts.check(workload)
    starts.succeeded(workload)
    starts.succeeded(workload)
    starts.check(workload)


def ended(step, *, begun=0, run="a", **changes):
    """The log of an attempt that began at one step and asked to be started again at another."""
    log = AttemptLog(Grant(run, 1, "t", {}, Resources("cpu", 1), RunOptions(), None, begun))
    log.ending = Ending(AttemptOutcome.INTERRUPTED, "asked", Charge(), step, **{"by_itself": True} | changes)
    return log


def rest_of(pauses, clock):
    """How many seconds it takes until the run may start again."""
    seconds = 0
    while pauses.resting:
        clock.at_work(1)
        seconds += 1
        pauses.end()
    return seconds


def test_a_run_that_gets_no_further_rests_longer_each_time_and_one_that_does_begins_at_once(clock, caplog):
    pauses, rests = RestartPauses(), []
    for _ in range(10):
        pauses.ended(ended(0), asked=False)
        rests.append(rest_of(pauses, clock))
    assert rests == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert caplog.text.count("run a: got no further in 3 attempts in a row") == 1
    for step, begun, rest in ((7, 0, 0), (7, 0, 2), (5, 0, 4), (8, 0, 0), (8, 8, 2), (20, 8, 0), (12, 10, 2)):
        pauses.ended(ended(step, begun=begun), asked=False)
        assert rest_of(pauses, clock) == rest, (step, begun)


def test_what_others_ended_is_no_rest_and_runs_do_not_wait_for_one_another(clock):
    pauses = RestartPauses()
    pauses.ended(ended(0), asked=True)
    pauses.ended(ended(0, by_itself=False), asked=False)
    assert pauses.resting == {}
    for run in "aab":
        pauses.ended(ended(0, run=run), asked=False)
    clock.at_work(3)
    assert pauses.end()
    assert pauses.resting == {"a": "asked"}
    assert not pauses.end()
