"""Workers that end before they have begun."""

import pytest

from orchestrator.resources import Resources
from orchestrator.scheduling.queue import Workload
from orchestrator.scheduling.retry_policy import StartRetries
from scaling.errors import ClusterError


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
