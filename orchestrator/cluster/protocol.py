"""What a scheduler needs of a cluster and of a worker on it. `ray_cluster` is Ray's; the scheduler's tests have one of threads.

A call of a worker returns at once, with a reference to its answer. `Cluster.ready` says which references have one, and `Cluster.answer`
gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from orchestrator.cluster.device_request import DeviceRequest
from orchestrator.messages import Assignment
from scaling.errors import ClusterError

__all__ = ["Cluster", "RemoteWorker", "WorkerLost", "WorkerUnreachable"]


class WorkerLost(ClusterError):
    """Reports that a worker or its node is gone; `preempted` when it was taken away rather than broken."""

    def __init__(self, what: str, *, preempted: bool) -> None:
        self.preempted = preempted
        super().__init__(f"the worker is gone ({what})", hint="the run is put on another worker")


class WorkerUnreachable(ClusterError):
    """Reports that a worker does not answer.

    It may be healthy: its attempts end only when the cluster says that it is dead, or by its timeout.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"the worker does not answer ({what})", hint="it is asked again; what it does goes on")


class RemoteWorker(Protocol):
    """Holds devices and trains runs on them, one after another. Its methods are those of `worker.Worker`, which explains them.

    name: by which the scheduler that comes next finds it; None of a worker that goes with its scheduler.
    """

    name: str | None

    def adopt(self, scheduler: str) -> object: ...
    def start(self, assignment: Assignment) -> object: ...
    def stop(self, token: str) -> object: ...
    def abort(self, token: str) -> object: ...
    def next_events(self, wait_seconds: float, after: int = -1, settled: int = -1) -> object: ...

    def kill(self) -> None:
        """Give the devices back at once."""


class Cluster(Protocol):
    """Gives devices to workers. is_own: it was started by this process and goes with it; no one else uses it."""

    @property
    def is_own(self) -> bool: ...

    def check(self) -> None:
        """Raise `ClusterError` when nothing can be placed on it any more."""

    def capacity(self, request: DeviceRequest) -> int:
        """Return how many chips (cores, for a CPU) such requests can have in all, busy or free, on nodes that stay.

        Raises `ClusterError` when not even one such request fits, and says what there is.
        """

    def avoid(self, nodes: Iterable[str]) -> None:
        """Put no more workers on these nodes."""

    def draining(self) -> set[str]:
        """List the nodes that have been told that they will be taken away."""

    def new_worker(self, request: DeviceRequest, *, owner: str) -> RemoteWorker:
        """Ask for devices, for the scheduler `owner`. The worker starts once it has them."""

    def find_worker(self, name: str) -> RemoteWorker | None:
        """Return the worker of that name that another scheduler left, if it lives."""

    def close(self, workers: Sequence[Any], meanwhile: Callable[[], None] = lambda: None) -> None:
        """End these workers and give their devices back. `meanwhile` is called about once a second."""

    def ready(self, references: list[object], seconds: float) -> list[object]:
        """Return those of `references` that have an answer, waiting up to `seconds` for the first."""

    def answer(self, reference: Any) -> Any:
        """Return the value behind a reference.

        Raises `WorkerLost` when the worker or its node is gone, `WorkerUnreachable` when nobody can tell.
        """
