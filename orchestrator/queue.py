"""The pending runs as the scheduler holds them: by group, in order, read from the store only when they have changed there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from orchestrator.cluster.hold import Hold
from orchestrator.resources import Resources
from orchestrator.store import changes
from orchestrator.store.grid import Waiting, waiting_runs
from orchestrator.store.ledger import MAX_FAILURES
from orchestrator.store.models import Run
from orchestrator.store.startable import startable

__all__ = ["Group", "Order", "Queue"]


class Order(StrEnum):
    """Which of the runs of equal priority goes first, after a shape's canary."""

    LONGEST_FIRST = "longest-first"
    CHEAPEST_FIRST = "cheapest-first"


@dataclass(frozen=True)
class Group:
    """Runs of one shape that one worker can train.

    users_family: of a user's own models, `package.module:factory`; else empty.
    """

    shape: str
    resources: Resources
    users_family: str = ""

    @classmethod
    def of(cls, run: Waiting | Run) -> Group:
        return cls(run.shape, run.resources, run.family if ":" in run.family else "")

    @property
    def hold(self) -> Hold:
        """What a worker for them holds."""
        return Hold.of(self.resources)

    def may_follow(self, other: Group) -> bool:
        """Whether a worker of `other` can train these runs next, in the same trainer process.

        Not where a user's module is involved: a process loads it once, and the file may have changed since.
        """
        return not (self.users_family or other.users_family) and replace(self, shape=other.shape) == other


class Queue:
    """Pending runs that may start: the budgets allow them, and what they start from is there.

    left_out: run id → why a pending run may not start. `is_stale` makes the next `refresh` read the store; so does a change of the grid
    by anybody else (`orchestrator.store.changes`). `is_limited`: a budget counts or a run waits for another, so the end of an attempt may change what may start.
    """

    def __init__(self, order: Order = Order.LONGEST_FIRST) -> None:
        self.order = order
        self.left_out: dict[str, str] = {}
        self.is_stale = True
        self.is_limited = False
        self._seen = -1
        self._runs: dict[Group, list[Waiting]] = {}
        self._work: dict[Group, float] = {}
        self._taken = Counter[Group]()

    def refresh(
        self,
        session: Session,
        estimate: Callable[[Waiting], float | None],
        held: Callable[[Session], Mapping[str, str]] = lambda session: {},
    ) -> bool:
        """Read the pending runs if they may have changed; True when that was so.

        estimate: core-hours of a run, for the budgets. held: run id → why it may not start, whatever the budgets say.
        """
        number = changes.number(session)
        if not self.is_stale and number == self._seen:
            return False
        left_out = held(session)
        found = startable(session, [run for run in waiting_runs(session) if run.id not in left_out], estimate)
        self._runs = {}
        for run in found.runs:
            self._runs.setdefault(Group.of(run), []).append(run)
        sign = 1 if self.order is Order.LONGEST_FIRST else -1
        for queue in self._runs.values():
            queue.sort(key=lambda run: (run.priority, sign * run.train_flops))
        self._work = {group: sum(run.train_flops for run in queue) for group, queue in self._runs.items()}
        self.left_out, self.is_limited, self._seen, self.is_stale = {**found.left_out, **left_out}, found.limited, number, False
        return True

    def __bool__(self) -> bool:
        return any(self._runs.values())

    def has(self, group: Group) -> bool:
        """Whether a run of the group waits."""
        return bool(self._runs.get(group))

    def workers(self, group: Group) -> int:
        """How many workers its waiting runs keep busy at once: one a run, or one a pack."""
        alike = Counter(
            (_at_once(run), run.priority, run.train_flops, run.resume_step, run.parent is None) for run in self._runs.get(group, ())
        )
        return sum(-(-count // at_once) for (at_once, *_), count in alike.items())

    def groups(self, held: Collection[Group] = ()) -> list[Group]:
        """Groups with runs that wait: the highest priority that waits in them first, then those not in `held`, of these those that have not begun,
        then the most work."""

        def place(group: Group) -> tuple[Any, ...]:
            return (-self._priority(group), group in held, group not in held and self._taken[group] > 0, -self._work[group])

        return sorted((group for group, queue in self._runs.items() if queue), key=place)

    def outranks(self, other: Group, group: Group, held: Collection[Group]) -> bool:
        """Whether `other` should rather have the devices that a worker of `group` has free; `held`: groups that have workers.

        A run of higher priority waits in it, or nothing waits in `group`. Or, at the same priority, it has no worker, and its canary waits, or
        `group` has had its own only and has less work. So a group gives way at most once between its canary and the rest.
        """
        if other == group or not self.has(other):
            return False
        if not self.has(group):
            return True
        more = self._priority(other) - self._priority(group)
        if more != 0 or other in held or not self._taken[group]:
            return more > 0
        return not self._taken[other] or (self._taken[group] == 1 and self._work[other] > self._work[group])

    def _priority(self, group: Group) -> int:
        return self._runs[group][-1].priority

    def take(self, group: Group) -> list[Waiting]:
        """The group's next run and those that are trained with it at once, no longer in the queue.

        The next one is its cheapest the first time, a canary, then by priority and order.
        """
        queue, place = self._runs[group], -1
        self._taken[group] += 1
        if self._taken[group] == 1:
            place = min(range(len(queue)), key=lambda index: queue[index].train_flops)
        taken = [queue.pop(place)]
        if (size := _at_once(taken[0])) > 1:
            taken += [run for run in queue if _company(run) == _company(taken[0])][1 - size :]
            ids = {run.id for run in taken}
            self._runs[group] = [run for run in queue if run.id not in ids]
        self._work[group] -= sum(run.train_flops for run in taken)
        return taken


def _at_once(run: Waiting) -> int:
    """With how many others, itself counted, it may be trained at once. One that has died twice is tried alone the last time."""
    return 1 if run.failures >= MAX_FAILURES - 1 else run.options.pack


def _company(run: Waiting) -> tuple[object, ...]:
    """The same for runs that can be trained at once: they differ in learning rate and seed alone, and stand at the same step."""
    how, where = run.options, (run.priority, run.train_flops, run.resume_step, run.parent is None)
    return _at_once(run), how.alike, how.execution, how.evaluate_at, *where
