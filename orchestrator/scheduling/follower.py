"""Messages of a `submit` while another command schedules: whom it follows, that it takes over, and why it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from orchestrator.store import Store, lease, queries
from scaling.outcomes import RunStatus

__all__ = ["Ended", "Follower"]

Ended = Literal["done", "paused", "left"]


class Follower:
    """Reports what becomes of the scheduler that this command follows. tell: called with a sentence."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._holder = tell, ""

    def follows(self, store: Store) -> None:
        """Tell, once for each holder, that another command holds the lease."""
        with store.read() as session:
            holder = lease.standing(session)
            name = f"the scheduler on {holder.host} (pid {holder.pid})" if holder else ""
        if name and name != self._holder:
            self._holder = name
            self._tell(f"{name} is at work on this store; this command follows it, and takes over when it goes")

    def takes_over(self) -> None:
        """Tell that this command holds the lease now, if it followed another one."""
        if self._holder:
            self._tell(f"{self._holder} is gone; this command takes over")
            self._holder = ""

    def ended(self, store: Store, experiment: str) -> Ended:
        """Return how the wait ended: all runs are done, or some were paused by another command, which is told."""
        with store.read() as session:
            paused = queries.status_counts(session, experiment).get(str(RunStatus.PAUSED), 0)
        if not paused:
            return "done"
        who = f"{self._holder} was stopped" if self._holder else "they were paused by another command"
        self._tell(f"{who}: {paused} runs of {experiment} are paused")
        return "paused"
