"""The scheduler: takes pending runs from the store, puts them on workers, writes down what comes back.

A worker is one hold of devices for one model shape (an allocation); its trainer process compiles that shape once and then trains one run
after another. The rules:

1. Each shape gets one worker first, the shape with the most work first; its first run is its cheapest, a canary.
2. After that, longest run first: it gives the shortest makespan. Or cheapest first, when asked for: it gives the first results soonest.
   Runs of higher priority come before all others of their shape.
3. A shape gets further workers when devices are free and its program has been compiled, so that nothing compiles twice: later
   processes load it from JAX's cache on disk.
4. A worker whose shape has nothing left gives its devices back when another shape waits.

It runs what any experiment in the store wants, not only the one it was started for. Whatever a run does to its process, the others go
on. All writing to the store happens here, under the lease; an attempt's events count only with the token of its run.
"""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from orchestrator.attempt import AttemptLog, Ending
from orchestrator.cluster import RayCluster, RemoteWorker, WorkerLost
from orchestrator.recovery import recover, spooled_events
from orchestrator.store import Store, lease, ledger, steering
from orchestrator.store.budget import affordable
from orchestrator.store.estimates import Rates, measured_rates
from orchestrator.store.grid import Waiting, explain, pause, waiting_runs
from scaling.accelerators import Accelerator, accelerator
from scaling.errors import ClusterError, StaleToken, StoreError
from scaling.outcomes import AttemptOutcome

__all__ = ["Order", "Scheduler", "new_scheduler_id"]

_logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_PAUSE_SECONDS = 30.0
"""How long runs may take to checkpoint when asked to stop; below the grace period of docker-compose.yml."""
_WAIT_SECONDS = 20.0
"""How long a worker holds a question for events open; it answers at once when there are some."""
_PATIENCE_SECONDS = 30.0
"""How long a cluster that others run may lack what a run needs, while its nodes start or restart."""


class Order(StrEnum):
    """Which of the runs of equal priority goes first, after a shape's canary."""

    LONGEST_FIRST = "longest-first"
    CHEAPEST_FIRST = "cheapest-first"


@dataclass(frozen=True)
class _Group:
    """Runs that one worker can train. `pool`: of a rehearsal, how many simulated chips there are."""

    shape: str
    accelerator: str
    chips: int
    pool: int = 0

    @classmethod
    def of(cls, run: Waiting) -> _Group:
        given = run.resources
        return cls(run.shape, given["accelerator"], given["chips"], given.get("pool", 0))


@dataclass
class _Slot:
    """A worker: a hold of devices for one group of runs, and the attempt on it. `opened`: when its devices were granted."""

    worker: RemoteWorker
    group: _Group
    kind: Accelerator
    allocation_id: int
    opened: float | None = None
    question: Any = None
    attempt: AttemptLog | None = None
    stopping: bool = False
    calls: list[Any] = field(default_factory=list)

    @property
    def chips(self) -> int:
        return self.group.chips


class Scheduler:
    """Runs everything that is pending in `store` on `cluster`.

    home: SCALING_HOME, the folder under which attempts write; the same path on every node.
    working_directory: where the file's relative paths start from, and where a user's own families are imported from.
    on_tick: called about twice a second, for progress.
    """

    def __init__(
        self,
        store: Store,
        cluster: RayCluster,
        *,
        identity: str,
        home: Path,
        working_directory: Path,
        checkpoint_seconds: float = 60.0,
        order: Order = Order.LONGEST_FIRST,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.store, self.cluster, self.id, self.home = store, cluster, identity, home.absolute()
        self.working_directory, self.checkpoint_seconds, self.on_tick = working_directory, checkpoint_seconds, on_tick
        self.order = order
        self._slots: list[_Slot] = []
        self._compiled: set[_Group] = set()
        self._begun: set[_Group] = set()
        self._renewed = 0.0
        self._lacking_since: float | None = None
        self._rates: Rates | None = None
        self._left_out: dict[str, str] = {}

    def run(self, experiment: str, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Until nothing that an experiment wants is pending or running; True.

        Or until `should_stop`: what runs is checkpointed, what only `experiment` wants is put aside as paused; False.

        Raises `StoreError` when another scheduler took the lease, `ClusterError` when the cluster has not what a run needs and nothing
        else is left to do.
        """
        with self.store.write() as session:
            recover(session, scheduler=self.id)
        waiting, paused = self._waiting(), False
        try:
            while not paused and (waiting or self.running):
                if should_stop():
                    self._pause(experiment)
                    paused = True
                    continue
                self._renew()
                self._steer()
                self._fill(self._waiting())
                self.on_tick()
                self._listen()
                waiting = self._waiting()
        except BaseException:
            for slot in self._slots:
                slot.worker.kill()  # at once; what its runs did is in their folders
            raise
        for slot in list(self._slots):
            self._release(slot)
        return not paused

    def _pause(self, experiment: str) -> None:
        """Let every run checkpoint, write it down, and set aside what only this experiment wants."""
        for slot in self._slots:
            if slot.attempt:
                slot.calls.append(slot.worker.stop(slot.attempt.grant.token))
        deadline = time.monotonic() + _PAUSE_SECONDS
        while self.running and time.monotonic() < deadline:
            self._renew()
            self._listen()
            self.on_tick()
        with self.store.write() as session:
            for slot in self._slots:
                if slot.attempt:
                    self._end(session, slot, slot.attempt.given_up("asked to stop; had not checkpointed in time"))
            pause(session, experiment, reason="interrupted; submit again to go on")

    def _steer(self) -> None:
        """Do what users asked for; a run that is being trained is asked to checkpoint first, and dealt with once it has."""
        with self.store.read() as session:
            if not steering.open_intents(session):
                return
        with self.store.write() as session:
            to_stop = set(steering.carry_out(session))
        for slot in self._slots:
            if slot.attempt and slot.attempt.grant.run_id in to_stop and not slot.stopping:
                slot.calls.append(slot.worker.stop(slot.attempt.grant.token))
                slot.stopping = True

    # -- what to run -------------------------------------------------------------------------------------------------------------

    def _waiting(self) -> list[Waiting]:
        """Pending runs that the budgets allow; the others are told why they wait."""
        with self.store.read() as session:
            if self._rates is None:
                self._rates = measured_rates(session)
            found = affordable(session, waiting_runs(session), self._estimate)
        changed = {run: found.left_out.get(run, "") for run in {*found.left_out, *self._left_out}}
        changed = {run: reason for run, reason in changed.items() if self._left_out.get(run, "") != reason}
        if changed:
            with self.store.write() as session:
                explain(session, changed)
        self._left_out = found.left_out
        return found.runs

    def _estimate(self, run: Waiting) -> float | None:
        rates, accelerator = self._rates or Rates(), run.resources["accelerator"]
        return rates.core_hours(
            shape=run.shape, family=run.family, accelerator=accelerator, train_flops=run.cost, stated=run.stated_core_hours
        )

    def _fill(self, waiting: list[Waiting]) -> None:
        """Give every free worker a run, and open or close workers as the rules say."""
        queues: dict[_Group, list[Waiting]] = {}
        for run in waiting:
            queues.setdefault(_Group.of(run), []).append(run)
        for queue in queues.values():
            queue.sort(key=lambda run: (run.priority, run.cost if self.order is Order.LONGEST_FIRST else -run.cost))
        for slot in list(self._slots):
            if slot.attempt is None and queues.get(slot.group):
                self._grant(slot, queues)
        lacking: list[ClusterError] = []
        held = {slot.group for slot in self._slots}
        for group in sorted(queues, key=lambda group: (group in held, -sum(run.cost for run in queues[group]))):
            try:
                while queues[group] and self._may_open(group) and self._make_room(group, queues):
                    self._open(group, queues)
            except ClusterError as error:
                lacking.append(error)
        self._be_patient(lacking)

    def _be_patient(self, lacking: list[ClusterError]) -> None:
        """What the cluster lacks ends the command only when nothing else runs, and, on a cluster of others, not at once."""
        if not lacking or self._slots:
            self._lacking_since = None
            return
        self._lacking_since = self._lacking_since or time.monotonic()
        if self.cluster.address == "local" or time.monotonic() - self._lacking_since > _PATIENCE_SECONDS:
            raise lacking[0]
        time.sleep(_TICK_SECONDS)

    def _may_open(self, group: _Group) -> bool:
        """A second worker of a group waits until the first one has compiled its program."""
        return group in self._compiled or not any(slot.group == group for slot in self._slots)

    def _make_room(self, group: _Group, queues: dict[_Group, list[Waiting]]) -> bool:
        """Whether a worker more fits; closes idle ones of groups that have nothing left, as far as that helps."""
        kind, chips = accelerator(group.accelerator), group.chips
        held = sum(slot.chips for slot in self._slots if slot.kind == kind)
        there = group.pool if kind.is_simulated else self.cluster.chips(kind, at_least=chips)
        if there - held >= chips:
            return True
        idle = next(
            (slot for slot in self._slots if slot.attempt is None and slot.kind == kind and not queues.get(slot.group)), None
        )
        if idle is None:
            return False
        self._release(idle)
        return self._make_room(group, queues)

    def _open(self, group: _Group, queues: dict[_Group, list[Waiting]]) -> None:
        kind = accelerator(group.accelerator)
        worker = self.cluster.new_worker(kind, group.chips)
        with self.store.write() as session:
            cores = group.chips * kind.cores_per_chip
            allocation_id = ledger.open_allocation(
                session, scheduler=self.id, shape=group.shape, accelerator=kind.name, cores=cores
            )
        slot = _Slot(worker, group, kind, allocation_id)
        slot.question = worker.next_events(_WAIT_SECONDS)
        self._slots.append(slot)
        self._grant(slot, queues)

    def _grant(self, slot: _Slot, queues: dict[_Group, list[Waiting]]) -> None:
        """Begin an attempt: in the store first, then on the worker. A group's first run is its cheapest, then by priority and order."""
        queue = queues[slot.group]
        canary = min(range(len(queue)), key=lambda index: queue[index].cost)
        run = queue.pop(canary if slot.group not in self._begun else -1)
        self._begun.add(slot.group)
        try:
            with self.store.write() as session:
                grant = ledger.begin_attempt(
                    session,
                    run.id,
                    allocation_id=slot.allocation_id,
                    home=str(self.home),
                    estimated_core_hours=self._estimate(run),
                )
        except StaleToken:
            return  # it was taken out of the grid just now
        slot.attempt = AttemptLog(grant)
        order = {
            "token": grant.token,
            "config": grant.config,
            "execution": grant.resources.get("execution", {}),
            "evaluate_at": grant.resources.get("evaluate_at", []),
            "directory": str(self.home / grant.folder),
            "resume_from": None
            if grant.resume_folder is None
            else {"directory": str(self.home / grant.resume_folder), "step": grant.resume_step},
            "checkpoint_seconds": self.checkpoint_seconds,
            "compile_cache": str(self.home / "compile-cache"),
            "working_directory": str(self.working_directory),
            "resources": grant.resources,
            "params": grant.params,
        }
        slot.calls.append(slot.worker.start(order))

    # -- what came back ----------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take what the workers say and write it down, in one transaction a round."""
        questions = {slot.question: slot for slot in self._slots if slot.question is not None}
        heard: list[tuple[_Slot, list[dict[str, Any]]]] = []
        for question in self.cluster.ready(list(questions), _TICK_SECONDS):
            slot = questions[question]
            try:
                for call in slot.calls:
                    self.cluster.answer(call)
                slot.calls.clear()
                held_seconds, events = self.cluster.answer(question)
                slot.opened = slot.opened or time.monotonic() - held_seconds
                heard.append((slot, events))
                slot.question = slot.worker.next_events(_WAIT_SECONDS)
            except WorkerLost as error:
                slot.question = None
                heard.append((slot, self._last_signs(slot, error)))
        if heard:
            with self.store.write() as session:
                for slot, events in heard:
                    self._write_down(session, slot, events)
        for slot in [slot for slot in self._slots if slot.question is None]:
            self._release(slot)

    def _last_signs(self, slot: _Slot, error: WorkerLost) -> list[dict[str, Any]]:
        """What a lost worker's attempt wrote in its folder, if that can be read from here, and then that it is lost."""
        if slot.attempt is None:
            return []
        grant = slot.attempt.grant
        lost = {"kind": "lost", "reason": str(error), "preempted": error.preempted, "token": grant.token}
        return [*spooled_events(self.home / grant.folder), lost]

    def _write_down(self, session: Session, slot: _Slot, events: list[dict[str, Any]]) -> None:
        for event in events:
            if slot.attempt is None or event["token"] != slot.attempt.grant.token or slot.attempt.ending is not None:
                continue  # of an attempt that is over
            if event["kind"] == "compiled":
                self._compiled.add(slot.group)
            slot.attempt.take(event)
        if slot.attempt is None:
            return
        slot.attempt.write_progress(session)
        if slot.attempt.ending is not None:
            self._end(session, slot, slot.attempt.ending)

    def _end(self, session: Session, slot: _Slot, ending: Ending) -> None:
        assert slot.attempt is not None
        try:
            ledger.end_attempt(session, slot.attempt.grant.token, **ending.as_arguments())
        except StaleToken:
            _logger.warning("attempt %s had been given up; its result does not count", slot.attempt.grant.folder)
        if ending.outcome in (AttemptOutcome.DIED, AttemptOutcome.LOST):
            _logger.warning("run %s: %s", slot.attempt.grant.run_id, ending.reason)
        if ending.outcome is AttemptOutcome.FINISHED:
            self._rates = None  # there is more to judge by
        slot.attempt, slot.stopping = None, False

    # -- upkeep ------------------------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        if time.monotonic() - self._renewed < lease.LEASE_SECONDS / 3:
            return
        with self.store.write() as session:
            if not lease.renew(session, self.id):
                raise StoreError(
                    "another scheduler took over this store", hint="`scaling status` shows which; this one stops writing"
                )
            ledger.heartbeat(session, [slot.attempt.grant.token for slot in self._slots if slot.attempt])
        self._renewed = time.monotonic()

    def _release(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        slot.worker.close() if slot.question is not None else slot.worker.kill()
        held_seconds = time.monotonic() - slot.opened if slot.opened else 0.0
        with self.store.write() as session:
            ledger.close_allocation(session, slot.allocation_id, held_seconds=None if slot.kind.is_simulated else held_seconds)

    @property
    def running(self) -> list[AttemptLog]:
        """Attempts under way, for progress."""
        return [slot.attempt for slot in self._slots if slot.attempt]


def new_scheduler_id() -> str:
    """A name for one life of a scheduler."""
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"
