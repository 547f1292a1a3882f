"""A slot: a worker, the devices it holds, and the attempts on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.attempt import AttemptLog
from orchestrator.cluster import RemoteWorker
from orchestrator.queue import Group
from scaling.accelerators import Accelerator

__all__ = ["Slot"]


@dataclass(eq=False)
class Slot:
    """A hold of devices for one group of runs.

    opened: when its devices were granted, by `time.monotonic`; None until then.
    question: the open question for events, None when the worker is lost. calls: others whose answers are still to be looked at.
    attempts: token → what is known of the attempt, of those that are not over. Runs that go as one pack are several.
    stopping: tokens that were asked to checkpoint and end.
    """

    worker: RemoteWorker
    group: Group
    kind: Accelerator
    allocation_id: int
    opened: float | None = None
    question: Any = None
    attempts: dict[str, AttemptLog] = field(default_factory=dict)
    stopping: set[str] = field(default_factory=set)
    calls: list[Any] = field(default_factory=list)

    @property
    def chips(self) -> int:
        return self.group.chips

    @property
    def is_idle(self) -> bool:
        return not self.attempts

    def stop(self, token: str) -> None:
        """Ask an attempt to checkpoint and end; once."""
        if token not in self.stopping:
            self.stopping.add(token)
            self.calls.append(self.worker.stop(token))
