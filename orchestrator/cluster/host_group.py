"""The Ray actor that holds several hosts as one: a worker on each, one fate for all.

To the scheduler it is a worker like any other. It reserves the hosts together, gives each the same assignment with its place in the group,
and passes on the events of process 0. When one of them fails it kills the others. Then the attempt is over once, for the earliest reason
that is not a consequence of another one's end. The next run gets fresh processes, which find each other anew.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from signal import SIGABRT
from typing import Any

from orchestrator.cluster.device_request import DeviceRequest
from orchestrator.cluster.mailbox import Mailbox, leave_when_alone
from orchestrator.cluster.ray_errors import why
from orchestrator.cluster.reservation import Reservation
from orchestrator.cluster.worker import Worker, other_code
from orchestrator.messages import Assignment, Died, Failed, Left, Lost, Message, NumberedMessage, Peers, Placed, Raised, Refused
from trainer.events import Ended

__all__ = ["HostGroup"]

_QUESTION_SECONDS = 5.0
_CAUSE_SECONDS = 5.0
"""How long after a collective failed another host may take to say that it was the cause."""
_UNREACHABLE_SECONDS = 60.0
"""This replaces `_CAUSE_SECONDS` while a host cannot be reached: Ray takes its time to tell a lost node from a slow one."""
_PARTING_SECONDS = 30.0
"""How long the other processes may take to leave after process 0 has ended."""


@dataclass
class _Attempt:
    """Holds what the members said of the current attempt."""

    token: str
    started: float
    ended: Message | None = None
    ended_at: float = 0.0
    through: set[int] = field(default_factory=set)
    causes: list[tuple[int, Failed]] = field(default_factory=list)
    failed_at: float | None = None


class HostGroup:
    """Holds several hosts, with the methods of `worker.Worker`. It is made once it has all of them."""

    def __init__(
        self,
        request: DeviceRequest,
        owner: str | None = None,
        alone_seconds: float | None = None,
        name: str = "",
        avoided: Iterable[str] = (),
    ) -> None:
        import ray

        self._request, self._reservation = request, Reservation(request, name=name, avoided=avoided)
        self._granted = time.monotonic()
        members: list[Any] = [
            ray.remote(Worker).options(max_restarts=0, max_task_retries=0, max_concurrency=4, **options).remote(request.environment)
            for options in self._reservation.options()
        ]
        places = ray.get([member.place.remote() for member in members])
        ranks = self._reservation.ranks([place["nodes"][0] for place in places])
        in_order = sorted(range(len(members)), key=lambda index: ranks[index])
        self._members = [members[index] for index in in_order]
        self._places = [places[index] for index in in_order]
        self._mailbox, self._lock = Mailbox(), threading.RLock()
        self._taken: set[str] = set()
        self._attempt: _Attempt | None = None
        self._coordinator: str | None = None
        self._broken: str | None = None
        self._unreachable: set[int] = set()
        self._owner = owner
        threading.Thread(target=self._listen, daemon=True).start()
        if alone_seconds is not None:
            leave_when_alone(self._mailbox, lambda: self._attempt is not None, self._leave, seconds=alone_seconds)

    def adopt(self, scheduler: str) -> list[str]:
        """Belong to this scheduler from now on. Returns the tokens of the current attempt and of those whose events are still kept."""
        with self._lock:
            self._owner = scheduler
            return sorted({*self._mailbox.tokens(), *([self._attempt.token] if self._attempt else [])})

    def start(self, content: Mapping[str, object]) -> None:
        """Train a run on all hosts together."""
        import ray

        assignment = Assignment.from_dict(content)
        with self._lock:
            if assignment.token in self._taken or (self._owner is not None and assignment.scheduler != self._owner):
                return
            self._taken.add(assignment.token)
            if (reason := self._broken or self._refusal(assignment)) is not None:  # no fault of this run's: it was not begun
                self._mailbox.put(Message(event=Refused(reason=reason), token=assignment.token))
                return
            self._attempt = _Attempt(assignment.token, time.monotonic())
            try:
                if self._coordinator is None:
                    self._coordinator = f"{self._places[0]['address']}:{ray.get(self._members[0].free_port.remote(), timeout=60)}"
                for index, member in enumerate(self._members):
                    group = Peers(coordinator=self._coordinator, count=len(self._members), index=index)
                    member.start.remote(replace(assignment, group=group).to_dict())
            except ray.exceptions.RayError as error:
                self._fails(0, Lost(reason=why(error), preempted=_was_preempted(error)))

    def stop(self, token: str) -> None:
        """Ask the run of this token to checkpoint and end; asked of one, it stops all at one step."""
        for member in self._members:
            member.stop.remote(token)

    def abort(self, token: str) -> None:
        """Kill the trainer processes of the run of this token: they give no sign of life."""
        for member in self._members:
            member.abort.remote(token)

    def next_events(self, wait_seconds: float, after: int = -1, settled: int = -1) -> dict[str, object]:
        """Return what `Worker.next_events` does, with two keys more.

        versions: node → the code there. broken: why this group cannot take another run; None when it can.
        """
        events = [message.to_dict() for message in self._mailbox.take(wait_seconds, after=after, settled=settled)]
        nodes = sorted({node for place in self._places for node in place["nodes"]})
        held = time.monotonic() - self._granted
        versions = {node: place["code_version"] for place in self._places for node in place["nodes"]}
        more = {"nodes": nodes, "versions": versions, "broken": self._broken}
        return {"held_seconds": held, "events": events, **self._places[0], **more}

    def close(self) -> None:
        """End all trainer processes and give the hosts back."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.get([member.close.remote() for member in self._members], timeout=8)
        for member in self._members:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(member)
        self._reservation.release()

    def _refusal(self, assignment: Assignment) -> str | None:
        versions = {place["code_version"].removesuffix(".dirty") for place in self._places}
        if len(versions) > 1 and assignment.code_version is not None:
            return f"the hosts of the slice have different versions of scaling: {', '.join(sorted(versions))}"
        return other_code(assignment)

    # -- what the members say ----------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take the events of the members, in a thread, for as long as the group lives."""
        import ray

        heard = [-1] * len(self._members)
        questions = {member.next_events.remote(_QUESTION_SECONDS): index for index, member in enumerate(self._members)}
        while True:
            if not questions:
                time.sleep(0.2)
            done, _ = ray.wait(list(questions), num_returns=1, timeout=0.5) if questions else ([], None)
            for question in done:
                index = questions.pop(question)
                member = self._members[index]
                try:
                    events = ray.get(question)["events"]
                except ray.exceptions.ActorUnavailableError:  # not dead: Ray says so when it is
                    self._unreachable.add(index)
                    questions[member.next_events.remote(_QUESTION_SECONDS, heard[index], heard[index])] = index
                    time.sleep(0.2)
                    continue
                except ray.exceptions.RayError as error:
                    self._unreachable.discard(index)
                    with self._lock:
                        self._broken = f"host {index} is gone"
                        self._fails(index, Lost(reason=why(error), preempted=_was_preempted(error)))
                    continue
                self._unreachable.discard(index)
                with self._lock:
                    for message in map(NumberedMessage.from_dict, events):
                        self._hear(index, message)
                        heard[index] = message.number
                questions[member.next_events.remote(_QUESTION_SECONDS, heard[index], heard[index])] = index
            with self._lock:
                self._conclude()

    def _hear(self, index: int, message: Message) -> None:
        attempt = self._attempt
        if attempt is None or message.token != attempt.token:
            return  # of an attempt that is over
        match message.event:
            case Raised() | Died() as event:
                self._fails(index, event)
            case Ended():
                attempt.ended, attempt.ended_at = message, time.monotonic()
                attempt.through.add(index)
            case Left():
                attempt.through.add(index)
            case Placed(devices=devices) as event if index == 0:
                self._mailbox.put(replace(message, event=replace(event, devices=devices * len(self._members))))
            case _ if index == 0:
                self._mailbox.put(message)

    def _fails(self, index: int, event: Failed) -> None:
        """Note that a member failed. The reason is decided later, when the others have had time to say that they were the cause."""
        if self._attempt is not None:
            self._attempt.causes.append((index, event))
            self._attempt.failed_at = self._attempt.failed_at or time.monotonic()

    def _conclude(self) -> None:
        """End the attempt when process 0 is done and the others have left, or when one has failed."""
        attempt, now = self._attempt, time.monotonic()
        if attempt is None:
            return
        if attempt.ended is not None:
            if len(attempt.through) == len(self._members):
                self._over(attempt.ended, whole=True)
            elif attempt.failed_at is not None or now - attempt.ended_at > _PARTING_SECONDS:
                self._over(attempt.ended, whole=False)  # its result is written; what failed afterwards changes nothing
            return
        if attempt.failed_at is None:
            return
        own = [cause for cause in attempt.causes if not _may_be_a_consequence(cause[1])]
        waited_for = _UNREACHABLE_SECONDS if self._unreachable else _CAUSE_SECONDS
        if own or now - attempt.failed_at > waited_for:
            index, event = (own or attempt.causes)[0]
            reason = f"host {index} of {len(self._members)}: {event.reason}"
            # Where nobody says that it was the cause, that is no error of the run's own.
            event = replace(event, reason=reason) if own else Died(reason=reason, signal=None)
            self._over(Message(event=event, token=attempt.token, wall_seconds=now - attempt.started), whole=False)

    def _over(self, last: Message, *, whole: bool) -> None:
        """End the attempt with its last event.

        Unless all processes completed it, they are killed, and the next ones find each other anew.
        """
        import ray

        self._attempt = None
        if not whole:
            self._coordinator = None
            with contextlib.suppress(ray.exceptions.RayError):
                ray.get([member.abort.remote(last.token) for member in self._members], timeout=10)
        self._mailbox.put(last)

    def _leave(self) -> None:
        self.close()
        os._exit(0)  # the actor is over; Ray gives its devices back


def _may_be_a_consequence(event: Failed) -> bool:
    """Say whether a failure may follow from another one's: a failed collective, or the abort by which JAX ends a process without peers."""
    return (isinstance(event, Raised) and event.of_the_group) or (isinstance(event, Died) and event.signal == SIGABRT)


def _was_preempted(error: BaseException) -> bool:
    return bool(getattr(error, "preempted", False))
