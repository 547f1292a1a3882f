"""The scheduling policy: what a user may choose, and the rules that change what is to be run."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from orchestrator.store import Session
from scaling.errors import UnknownName
from scaling.records import Record

__all__ = ["HANG_SECONDS", "WORKER_TIMEOUT_SECONDS", "Rule", "RunOrder", "SchedulingPolicy"]

HANG_SECONDS = 300.0
"""Longer than the compilation of a program that a run needs in its middle, such as the evaluation's."""

WORKER_TIMEOUT_SECONDS = 300.0
"""Unreachable is not dead: a node that has died is reported by Ray well before, and a network that comes back finds its runs as they
were."""

Rule = Callable[[Session], bool]
"""Looks at what the store holds and changes what is to be run: a search that asks for its next trial. True when it changed something.

It is called when the scheduler starts, and once in every transaction that ends an attempt, evaluates a run or does what users asked for.
It must be a function of the store's content, so that a scheduler that takes over does what the one before would have done.
"""


class RunOrder(StrEnum):
    """Says which of the runs of equal priority goes first, after a workload's canary."""

    LONGEST_FIRST = "longest-first"
    CHEAPEST_FIRST = "cheapest-first"


class SchedulingPolicy(Record):
    """Holds what a user may choose of a scheduler. Raises `UnknownName` for an order that does not exist.

    order: a value of `RunOrder`.
    checkpoint_seconds: the most between two checkpoints of a run; less where runs are often cut short (`store.interruptions`).
    hang_seconds: how long a run that has taken a step may give no sign of life; see `liveness`.
    worker_timeout_seconds: how long a worker may not answer before its attempts are given up.
    """

    order: str = RunOrder.LONGEST_FIRST
    checkpoint_seconds: float = 60.0
    hang_seconds: float = HANG_SECONDS
    worker_timeout_seconds: float = WORKER_TIMEOUT_SECONDS

    def __post_init__(self) -> None:
        if self.order not in set(RunOrder):
            raise UnknownName("order", self.order, RunOrder)
