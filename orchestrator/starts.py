"""Workers that end before they have begun: where scaling is not installed on a node, every one that is put there does.

No run has been given to them, so none is to blame. They are tried again, but not at every tick.
"""

from __future__ import annotations

import time
from collections import Counter

from orchestrator.queue import Group
from scaling.errors import ClusterError

__all__ = ["Starts"]

_TIMES = 3
_PAUSE_SECONDS = 60.0


class Starts:
    """Of the workers of each group."""

    def __init__(self) -> None:
        self._failures: Counter[Group] = Counter()
        self._last: dict[Group, tuple[float, str]] = {}

    def failed(self, group: Group, why: str) -> None:
        """A worker was lost before it had answered for the first time."""
        self._failures[group] += 1
        self._last[group] = time.monotonic(), why

    def succeeded(self, group: Group) -> None:
        """A worker is there."""
        del self._failures[group]

    def check(self, group: Group) -> None:
        """Raise `ClusterError` when three in a row have failed, the last within a minute."""
        if self._failures[group] < _TIMES:
            return
        at, why = self._last[group]
        if time.monotonic() - at < _PAUSE_SECONDS:
            raise ClusterError(
                f"{self._failures[group]} workers for {group.hold.name} have ended before they began: {why}",
                hint="is scaling installed on every node, in the same version? Ray's logs of the node say more",
            )
