"""A worker slot: a worker, the devices it holds, and the attempts on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.cluster import Cluster, DeviceRequest, RemoteWorker, WorkerLost, WorkerUnreachable
from orchestrator.messages import Alive, Lost, Message, NumberedMessage, UnheardOf
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.scheduling.liveness import awake_seconds
from orchestrator.scheduling.queue import Workload
from orchestrator.scheduling.recovery import spooled_events

__all__ = ["WorkerSlot"]

_WAIT_SECONDS = 20.0
"""How long a worker holds a question for events open; it answers at once when there are some."""
_AGAIN_SECONDS = 0.5
_REST_SECONDS = 2.0, 60.0
"""How long a worker rests after a fault of the storage: the first time, doubled each time, and at most."""
_PLACING_SECONDS = 10.0
"""How long an actor takes to start where there is room for it; one that takes longer waits for devices."""


@dataclass(eq=False)
class WorkerSlot:
    """Holds devices for the runs of one workload.

    opened: when its devices were granted, by `time.monotonic`; None until then.
    question: the open question for events; None between two, and once the worker is `lost`.
    heard, settled: numbers of the last event that came, and of the last that is in the store.
    calls: other calls whose answers are still to be looked at, each with how to make it again.
    attempts: token → the log of an attempt that is not over. Runs that are trained at once are several.
    stopping: tokens that were asked to checkpoint and end.
    nodes: Ray's ids of its nodes, once it has reported them. versions: of the code on each of them. leaving: why it gets no more runs.
    is_kept: it keeps its devices even when idle and leaving: Ray cannot be told to avoid a TPU slice, and would grant the same one next.
    taken_over: another scheduler left it. takeover: the open question of which attempts it knows, and who asks.
    """

    worker: RemoteWorker
    workload: Workload
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
    versions: dict[str, str] = field(default_factory=dict)
    leaving: str | None = None
    is_kept: bool = False
    taken_over: bool = False
    takeover: tuple[Any, str] | None = None
    _answered_at: float = field(default_factory=lambda: awake_seconds())
    _made_at: float = field(default_factory=lambda: time.monotonic())
    _ask_at: float = 0.0
    _rests_until: float = 0.0
    _rest_seconds: float = _REST_SECONDS[0]
    _missed_at: float | None = None

    @property
    def chips(self) -> int:
        return self.workload.resources.chips

    @property
    def request(self) -> DeviceRequest:
        return self.workload.request

    @property
    def held_seconds(self) -> float:
        """Return for how long it has had its devices; 0 for devices that are only stated: its attempts say how long that is."""
        return 0.0 if self.opened is None or self.request.stated is not None else time.monotonic() - self.opened

    @property
    def is_idle(self) -> bool:
        return not self.attempts

    @property
    def is_free(self) -> bool:
        """Say whether it has its devices, no attempt on them, and need not rest."""
        rests = time.monotonic() < self._rests_until
        return self.opened is not None and self.is_idle and not (self.lost or self.leaving or rests)

    @property
    def is_unplaced(self) -> bool:
        """Say whether it has never had devices, as far as is known."""
        return self.opened is None and not self.taken_over

    @property
    def waits(self) -> bool:
        """Say whether there are no devices for it now."""
        return self.is_unplaced and time.monotonic() - self._made_at > _PLACING_SECONDS

    def rest(self, *, missing: bool = False) -> None:
        """Give it no run for a while: the storage refuses, which costs runs nothing and would end one after the other.

        Call it for each run that is trained there, once. missing: the folder of runs, or a checkpoint in it, was not there.
        """
        if missing:
            self._missed_at = self._missed_at or time.monotonic()
        if time.monotonic() < self._rests_until:
            return
        self._rests_until = time.monotonic() + self._rest_seconds
        self._rest_seconds = min(2 * self._rest_seconds, _REST_SECONDS[1])

    @property
    def missed_seconds(self) -> float:
        """Return for how long a folder of runs or a checkpoint has been missing there; 0 when none is."""
        return 0.0 if self._missed_at is None else time.monotonic() - self._missed_at

    def has_stored(self) -> None:
        """Note that a checkpoint was committed: the storage works again."""
        self._missed_at = None
        self._rests_until, self._rest_seconds = 0.0, _REST_SECONDS[0]

    def call(self, make: Callable[[], Any]) -> None:
        """Make a call to the worker that may be made twice."""
        self.calls.append((make(), make))

    def stop(self, token: str) -> None:
        """Ask an attempt to checkpoint and end; once."""
        if token not in self.stopping:
            self.stopping.add(token)
            self.call(lambda: self.worker.stop(token))

    def leave(self, why: str) -> None:
        """Let its runs checkpoint now, and give it no others: its devices will be taken away. A second call changes nothing."""
        self.leaving = self.leaving or why
        for token, attempt in self.attempts.items():
            attempt.notice = attempt.notice or why
            self.stop(token)

    def abandon(self, token: str, why: str) -> None:
        """Let a run end whose attempt is over already. Its process may take a while, so the worker is closed once the others have ended."""
        self.stop(token)
        self.leaving = self.leaving or why

    def ask(self) -> None:
        """Open the question for events unless it is open, or the worker did not answer just now.

        The first is answered once the worker has its devices.
        """
        if self.question is None and not self.lost and time.monotonic() >= self._ask_at:
            wait_seconds = _WAIT_SECONDS if self.opened is not None else 0.0
            self.question = self.worker.next_events(wait_seconds, self.heard, self.settled)

    def answer(self, cluster: Cluster) -> list[Message]:
        """Return the events that came with the answer to the question, but for bare signs of life: those need no transaction.

        Raises `WorkerLost`; a worker that cannot be reached gives no events.
        """
        question, self.question = self.question, None
        try:
            self._look_at_calls(cluster)
            said = cluster.answer(question)
        except WorkerUnreachable:
            self._ask_at = time.monotonic() + _AGAIN_SECONDS
            return []
        self._answered_at = awake_seconds()
        self.opened = self.opened or time.monotonic() - said["held_seconds"]
        self.nodes = said["nodes"]
        self.versions = said.get("versions") or dict.fromkeys(self.nodes, said["code_version"])
        messages = [NumberedMessage.from_dict(content) for content in said["events"]]
        self.heard = max([self.heard, *(message.number for message in messages)])
        if said.get("broken"):
            self.leaving = said["broken"]
        for message in messages:
            if isinstance(message.event, Alive) and message.token in self.attempts:
                self.attempts[message.token].take(message)
        return [message for message in messages if not isinstance(message.event, Alive)]

    def _look_at_calls(self, cluster: Cluster) -> None:
        """Make those calls again that did not reach the worker."""
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
        """Have a worker that another scheduler left belong to this one, and ask which attempts it knows. Its timeout counts from here."""
        if not self.taken_over:
            self.taken_over, self._answered_at = True, awake_seconds()
        self.takeover = (self.worker.adopt(scheduler), scheduler)

    def unheard_of(self, cluster: Cluster, home: Path | None = None) -> list[Message]:
        """Return an `UnheardOf` event for each attempt that a worker that was taken over was never told of.

        Before it come the events of the attempt's folder in `home`: where a database was put back to an earlier state, the worker may have
        settled the attempt since. Returns nothing until the worker has said which attempts it knows. Raises `WorkerLost`.
        """
        if self.takeover is None or not cluster.ready([self.takeover[0]], 0):
            return []
        (reference, scheduler), self.takeover = self.takeover, None
        try:
            known = set(cluster.answer(reference))
        except WorkerUnreachable:
            self.take_over(scheduler)
            return []
        event, messages = UnheardOf(reason="its scheduler ended before the worker was told"), list[Message]()
        for token in [token for token in self.attempts if token not in known]:
            spooled = () if home is None else spooled_events(home / self.attempts[token].grant.folder, token)
            messages += [*spooled, Message(event=event, token=token)]
        return messages

    def check_timeout(self, seconds: float) -> None:
        """Raise `WorkerLost` when a worker that has its devices has not answered for more than `seconds`."""
        silent = awake_seconds() - self._answered_at
        if not self.is_unplaced and silent > seconds:
            raise WorkerLost(f"no answer for {silent:.0f} s", preempted=False)

    def end_hung(self) -> None:
        """Kill the trainer process of runs that give no sign of life; a worker that still waits for its devices is left alone."""
        for token, attempt in self.attempts.items():
            if self.opened is not None and attempt.silence():
                self.call(partial(self.worker.abort, token))

    def last_signs(self, home: Path, error: WorkerLost) -> list[Message]:
        """Return what a lost worker's attempts wrote in their folders, if that can be read from here, and then that they are lost."""
        lost, signs = Lost(reason=str(error), preempted=error.preempted), list[Message]()
        for token, attempt in self.attempts.items():
            signs += [*spooled_events(home / attempt.grant.folder, token), Message(event=lost, token=token)]
        return signs
