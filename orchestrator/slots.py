"""A slot: a worker, the devices it holds, and the attempts on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.attempt import AttemptLog
from orchestrator.cluster import Hold, RayCluster, RemoteWorker, WorkerLost, WorkerUnreachable
from orchestrator.queue import Group
from scaling.accelerators import Accelerator

__all__ = ["LEASE_SECONDS", "Slot"]

LEASE_SECONDS = 300.0
"""An attempt's lease: how long its worker may not answer before the attempt is given up. Unreachable is not dead: a node that has died
is reported by Ray well before, and a network that comes back finds its runs as they were."""

_WAIT_SECONDS = 20.0
"""How long a worker holds a question for events open; it answers at once when there are some."""
_AGAIN_SECONDS = 0.5


@dataclass(eq=False)
class Slot:
    """A hold of devices for one group of runs.

    opened: when its devices were granted, by `time.monotonic`; None until then.
    question: the open question for events; None between two, and once the worker is `lost`.
    heard, settled: numbers of the last event that came, and of the last that is in the store.
    calls: others whose answers are still to be looked at, each with how to make it again.
    attempts: token → what is known of the attempt, of those that are not over. Runs that go as one pack are several.
    stopping: tokens that were asked to checkpoint and end.
    nodes: Ray's ids of where it is, once it has said so. leaving: why it gets no more runs.
    adoption: of a worker that another scheduler left: the open question of which attempts it knows, and who asks.
    """

    worker: RemoteWorker
    group: Group
    kind: Accelerator
    allocation_id: int
    opened: float | None = None
    question: Any = None
    heard: int = -1
    settled: int = -1
    lost: bool = False
    attempts: dict[str, AttemptLog] = field(default_factory=dict)
    stopping: set[str] = field(default_factory=set)
    calls: list[tuple[Any, Callable[[], Any]]] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    code_version: str | None = None
    leaving: str | None = None
    adoption: tuple[Any, str] | None = None
    _answered_at: float = field(default_factory=time.monotonic)
    _ask_at: float = 0.0

    @property
    def chips(self) -> int:
        return self.group.chips

    @property
    def hold(self) -> Hold:
        return self.group.hold

    @property
    def held_seconds(self) -> float:
        """For how long its devices have been held."""
        return time.monotonic() - self.opened if self.opened else 0.0

    @property
    def is_idle(self) -> bool:
        return not self.attempts

    def call(self, make: Callable[[], Any]) -> None:
        """Ask something of the worker that it may be asked twice."""
        self.calls.append((make(), make))

    def stop(self, token: str) -> None:
        """Ask an attempt to checkpoint and end; once."""
        if token not in self.stopping:
            self.stopping.add(token)
            self.call(lambda: self.worker.stop(token))

    def abort(self, token: str) -> None:
        """Have the trainer process killed, if it is at this attempt."""
        self.call(lambda: self.worker.abort(token))

    def excuse(self, seconds: float) -> None:
        """The scheduler itself was away for so long: nobody could have answered it."""
        self._answered_at += seconds
        for attempt in self.attempts.values():
            attempt.patience.excuse(seconds)

    def leave(self, why: str) -> None:
        """Its devices will be taken away: let its runs checkpoint now, and give it no others."""
        self.leaving = why
        for token, attempt in self.attempts.items():
            attempt.notice = why
            self.stop(token)

    def ask(self) -> None:
        """Have one question for events open, unless the worker did not answer just now."""
        if self.question is None and not self.lost and time.monotonic() >= self._ask_at:
            self.question = self.worker.next_events(_WAIT_SECONDS, self.heard, self.settled)

    def answer(self, cluster: RayCluster) -> list[dict[str, Any]]:
        """The events that came with the answer to the question. Raises `WorkerLost`; nothing comes of a worker that cannot be reached."""
        question, self.question = self.question, None
        try:
            self._look_at_calls(cluster)
            said = cluster.answer(question)
        except WorkerUnreachable:
            self._ask_at = time.monotonic() + _AGAIN_SECONDS
            return []
        self._answered_at = time.monotonic()
        self.opened = self.opened or time.monotonic() - said["held_seconds"]
        self.nodes, self.code_version = said["nodes"], said["code_version"]
        events = said["events"]
        for token, age in said["signs"].items():
            if token in self.attempts:
                self.attempts[token].patience.sign(time.monotonic() - age, trains=True)
        self.heard = max([self.heard, *(event["number"] for event in events)])
        if said.get("broken"):
            self.leaving = said["broken"]
        return events

    def _look_at_calls(self, cluster: RayCluster) -> None:
        """Make those again that did not get through."""
        done = set(cluster.ready([reference for reference, _ in self.calls], 0))
        looked_at, self.calls = self.calls, []
        for reference, make in looked_at:
            if reference not in done:
                self.calls.append((reference, make))
                continue
            try:
                cluster.answer(reference)
            except WorkerUnreachable:
                self.call(make)

    def take_over(self, scheduler: str) -> None:
        """Have a worker that another scheduler left belong to this one, and ask which attempts it knows."""
        self.adoption = (self.worker.adopt(scheduler), scheduler)

    def unheard_of(self, cluster: RayCluster) -> list[dict[str, Any]]:
        """Once a worker that was taken over has said which attempts it knows: an event for each other, which its scheduler never got to order.

        Raises `WorkerLost`.
        """
        if self.adoption is None or not cluster.ready([self.adoption[0]], 0):
            return []
        (reference, scheduler), self.adoption = self.adoption, None
        try:
            known = set(cluster.answer(reference))
        except WorkerUnreachable:
            self.take_over(scheduler)
            return []
        reason = "its scheduler ended before the worker was told"
        return [{"kind": "unheard-of", "reason": reason, "token": token} for token in self.attempts if token not in known]

    def check_lease(self, seconds: float) -> None:
        """Raise `WorkerLost` when a worker that once answered has not done so for longer than its attempts' lease."""
        silent = time.monotonic() - self._answered_at
        if self.opened is not None and silent > seconds:
            raise WorkerLost(f"no answer for {silent:.0f} s", preempted=False)
