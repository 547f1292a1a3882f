"""The pending runs as the scheduler holds them: by workload, in order, read from the store only when they have changed there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.cluster.device_request import DeviceRequest
from orchestrator.resources import Resources
from orchestrator.scheduling.policy import RunOrder
from orchestrator.store import Session, changes
from orchestrator.store.grid import HELD, Waiting, waiting_runs
from orchestrator.store.ledger import MAX_FAILURES
from orchestrator.store.models import Run
from orchestrator.store.startable import startable

__all__ = ["Queue", "Workload"]


@dataclass(frozen=True)
class Workload:
    """Stands for the runs of one shape that one worker can train one after another.

    users_family: of a user's own models, `package.module:factory`; else empty.
    """

    shape: str
    resources: Resources
    users_family: str = ""

    @classmethod
    def of(cls, run: Waiting | Run) -> Workload:
        return cls(run.shape, run.resources, run.family if ":" in run.family else "")

    @property
    def request(self) -> DeviceRequest:
        """Return the devices that a worker for these runs asks for."""
        return DeviceRequest.of(self.resources)

    def can_reuse_worker_of(self, other: Workload) -> bool:
        """Say whether a worker of `other` can train these runs next, in the same trainer process.

        It cannot where a user's module is involved: a process loads it once, and the file may have changed since.
        """
        return not (self.users_family or other.users_family) and replace(self, shape=other.shape) == other


class Queue:
    """Holds the pending runs that may start: the budgets allow them, and what they start from is there.

    left_out: run id → why a pending run may not start. resting: those of them that may start in a while, whatever else happens. `is_stale` makes the next `refresh` read the store; so does a change of the grid
    by anybody else (`orchestrator.store.changes`). `is_limited`: a budget counts or a run waits for another, so the end of an attempt may
    change which runs may start.
    """

    def __init__(self, order: str = RunOrder.LONGEST_FIRST) -> None:
        self.order = order
        self.left_out: dict[str, str] = {}
        self.resting: set[str] = set()
        self._explained: dict[str, str] = {}
        self.is_stale = True
        self.is_limited = False
        self._seen = -1
        self._runs: dict[Workload, list[Waiting]] = {}
        self._work: dict[Workload, float] = {}
        self._taken = Counter[Workload]()

    def refresh(
        self,
        session: Session,
        estimate: Callable[[Waiting], float | None],
        held: Callable[[Session], Mapping[str, str]] = lambda session: {},
        resting: Mapping[str, str] = {},
    ) -> bool:
        """Read the pending runs if they may have changed; True when that was so.

        estimate: core-hours of a run, for the budgets. held: run id → why it may not start, whatever the budgets say. resting: the same of
        runs that may start later; whoever gives them makes the queue stale then.
        """
        number = changes.number(session)
        if not self.is_stale and number == self._seen:
            return False
        waiting = waiting_runs(session)
        left_out = {**resting, **held(session)}
        self.resting = {run.id for run in waiting} & {run_id for run_id, why in resting.items() if left_out[run_id] == why}
        found = startable(session, [run for run in waiting if run.id not in left_out], estimate)
        self._runs = {}
        for run in found.runs:
            self._runs.setdefault(Workload.of(run), []).append(run)
        sign = 1 if self.order == RunOrder.LONGEST_FIRST else -1
        for queue in self._runs.values():
            queue.sort(key=lambda run: (run.priority, sign * run.work))
        self._work = {workload: sum(run.work for run in queue) for workload, queue in self._runs.items()}
        self.left_out, self.is_limited, self._seen, self.is_stale = {**found.left_out, **left_out}, found.limited, number, False
        return True

    def __bool__(self) -> bool:
        return bool(self.resting) or any(self._runs.values())

    def new_reasons(self) -> dict[str, str]:
        """Return what is to be written down of why runs wait, run id → reason; an empty one removes it. The next call returns what is new."""
        told, before = self.left_out, self._explained
        self._explained = told
        changed = {run: told.get(run, "") for run in {*told, *before} if told.get(run, "") != before.get(run, "")}
        return changed | {run: why for run, why in told.items() if why == HELD}  # which accepting an experiment takes back

    def has(self, workload: Workload) -> bool:
        """Say whether a run of the workload waits."""
        return bool(self._runs.get(workload))

    def workers(self, workload: Workload) -> int:
        """Count the workers that the workload's waiting runs keep busy at once: one a run, or one a pack."""
        alike = Counter(
            (_at_once(run), run.priority, run.work, run.resume_step, run.parent is None) for run in self._runs.get(workload, ())
        )
        return sum(-(-count // at_once) for (at_once, *_), count in alike.items())

    def workloads(self, held: Collection[Workload] = ()) -> list[Workload]:
        """List the workloads with runs that wait.

        The highest priority that waits in them comes first, then those not in `held`, of these those that have not begun, then the most
        work.
        """

        def place(workload: Workload) -> tuple[Any, ...]:
            return (
                -self._priority(workload),
                workload in held,
                workload not in held and self._taken[workload] > 0,
                -self._work[workload],
            )

        return sorted((workload for workload, queue in self._runs.items() if queue), key=place)

    def outranks(self, other: Workload, workload: Workload, held: Collection[Workload]) -> bool:
        """Say whether `other` should rather have the devices that a worker of `workload` has free; `held`: workloads that have workers.

        It should when a run of higher priority waits in it, or nothing waits in `workload`. At the same priority it must have no worker.
        Then it should when its canary waits, or when `workload` has had its own canary only and has less work. So a workload gives way at
        most once between its canary and the rest.
        """
        if other == workload or not self.has(other):
            return False
        if not self.has(workload):
            return True
        more = self._priority(other) - self._priority(workload)
        if more != 0 or other in held or not self._taken[workload]:
            return more > 0
        return not self._taken[other] or (self._taken[workload] == 1 and self._work[other] > self._work[workload])

    def _priority(self, workload: Workload) -> int:
        return self._runs[workload][-1].priority

    def take(self, workload: Workload) -> list[Waiting]:
        """Remove from the queue, and return, the workload's next run and those that are trained at once with it.

        The first one taken is its cheapest run, a canary; after that priority and order decide.
        """
        queue, place = self._runs[workload], -1
        self._taken[workload] += 1
        if self._taken[workload] == 1:
            place = min(range(len(queue)), key=lambda index: queue[index].work)
        taken = [queue.pop(place)]
        if (size := _at_once(taken[0])) > 1:
            taken += [run for run in queue if _company(run) == _company(taken[0])][1 - size :]
            ids = {run.id for run in taken}
            self._runs[workload] = [run for run in queue if run.id not in ids]
        self._work[workload] -= sum(run.work for run in taken)
        return taken


def _at_once(run: Waiting) -> int:
    """Count the runs, itself included, that may be trained at once with it. A run that has died twice is tried alone the last time."""
    return 1 if run.failures >= MAX_FAILURES - 1 else run.options.pack


def _company(run: Waiting) -> tuple[object, ...]:
    """Return a key that is equal for runs that can be trained at once: they differ in learning rate and seed alone, at the same step."""
    how, where = run.options, (run.priority, run.work, run.resume_step, run.parent is None)
    return _at_once(run), how.alike, how.execution, how.evaluate_at, *where
