"""The retry policy for workers that end before they have begun: where scaling is not installed on a node, every worker placed there does.

No run has been given to them, so none is to blame. They are tried again, but not at every tick.
"""

from __future__ import annotations

import time
from collections import Counter

from orchestrator.scheduling.queue import Workload
from scaling.errors import ClusterError

__all__ = ["StartRetries"]

_TIMES = 3
_PAUSE_SECONDS = 60.0


class StartRetries:
    """Counts the workers of each workload that ended before they had begun, and says when another may be tried."""

    def __init__(self) -> None:
        self._failures: Counter[Workload] = Counter()
        self._last: dict[Workload, tuple[float, str]] = {}

    def failed(self, workload: Workload, why: str) -> None:
        """Count a worker that was lost before it had answered for the first time."""
        self._failures[workload] += 1
        self._last[workload] = time.monotonic(), why

    def succeeded(self, workload: Workload) -> None:
        """Reset the count: a worker has begun."""
        del self._failures[workload]

    def check(self, workload: Workload) -> None:
        """Raise `ClusterError` when three in a row have failed, the last within a minute."""
        if self._failures[workload] < _TIMES:
            return
        at, why = self._last[workload]
        if time.monotonic() - at < _PAUSE_SECONDS:
            raise ClusterError(
                f"{self._failures[workload]} workers for {workload.request.name} have ended before they began: {why}",
                hint="is scaling installed on every node, in the same version? Ray's logs of the node say more",
            )
