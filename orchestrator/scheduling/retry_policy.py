"""The retry policy for what ends again and again and costs no retries: it is tried again, but not at every tick.

- Workers that end before they have begun: where scaling is not installed on a node, every worker placed there does. No run has been given to
  them, so none is to blame.
- Attempts that end by themselves to be started again, as a program that leaves with exit code 75 does, and got no further.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.scheduling.queue import Workload
from orchestrator.store.grid import NO_FURTHER
from scaling.errors import ClusterError

__all__ = ["RestartPauses", "StartRetries"]

_logger = logging.getLogger(__name__)

_TIMES = 3
_PAUSE_SECONDS = 60.0
_REST_SECONDS = 2.0, 300.0
"""How long a run rests after an attempt that got no further: the first time, doubled each time, and at most."""


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


class RestartPauses:
    """Says until when runs rest whose attempts ended by themselves, to be started again, and got no further than one before.

    Getting further is a step, or a checkpoint, that no attempt under this scheduler had come to. A run that does so is started again at once.
    """

    def __init__(self) -> None:
        self._furthest: dict[str, int] = {}
        self._in_a_row: Counter[str] = Counter()
        self._until: dict[str, tuple[float, str]] = {}

    def ended(self, attempt: AttemptLog, *, asked: bool) -> None:
        """Note the end of an attempt. asked: somebody had asked it to end, so that it says nothing of the run."""
        ending, run = attempt.ending, attempt.grant.run_id
        if ending is None or not ending.by_itself or asked:
            return
        step = ending.last_step or 0
        if step > self._furthest.get(run, attempt.grant.resume_step):
            self._furthest[run] = step
            del self._in_a_row[run]
            return
        self._in_a_row[run] += 1
        times, reason = self._in_a_row[run], ending.reason
        seconds = min(_REST_SECONDS[0] * 2.0 ** min(times - 1, 30), _REST_SECONDS[1])
        if times >= _TIMES:
            reason = f"{NO_FURTHER}{times} attempts in a row, so the next one begins after a pause of {seconds:g} s: {reason}"
        if times == _TIMES:
            _logger.warning("run %s: %s", run, reason.partition("\n")[0])
        self._until[run] = time.monotonic() + seconds, reason

    @property
    def resting(self) -> dict[str, str]:
        """Map the runs that rest to the reason."""
        return {run: reason for run, (_, reason) in self._until.items()}

    def end(self) -> bool:
        """Let runs whose pause is over start again. Returns whether there are any."""
        over = [run for run, (until, _) in self._until.items() if time.monotonic() >= until]
        for run in over:
            del self._until[run]
        return bool(over)
