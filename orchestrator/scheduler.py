"""The scheduler: takes pending runs from the store, puts them on workers, writes down what comes back.

A worker is one hold of devices for one model shape (an allocation); its trainer process compiles that shape once and then trains one run
after another. The rules:

1. Each shape gets one worker first, the shape with the most work first; its first run is its cheapest, a canary.
2. After that, longest run first: it gives the shortest makespan.
3. A shape gets further workers when devices are free and its program has been compiled, so that nothing compiles twice: later
   processes load it from JAX's cache on disk.
4. A worker whose shape has nothing left gives its devices back when another shape waits.

Whatever a run does to its process, the others go on. All writing to the store happens here, under the lease; an attempt's events count
only with the token of its run.
"""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.attempt import AttemptLog
from orchestrator.cluster import RayCluster, RemoteWorker
from orchestrator.recovery import recover
from orchestrator.store import Store, lease, ledger
from orchestrator.store.models import Run
from scaling.accelerators import accelerator
from scaling.errors import ClusterError, StaleToken, StoreError
from scaling.outcomes import AttemptOutcome, RunStatus

__all__ = ["Scheduler", "new_scheduler_id"]

_logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_PAUSE_SECONDS = 60.0
"""How long runs may take to checkpoint when asked to stop."""
_WAIT_SECONDS = 20.0
"""How long a worker holds a question for events open; it answers at once when there are some."""


@dataclass
class _Waiting:
    """A pending run, as far as the order of runs needs it."""

    id: str
    shape: str
    cost: float
    priority: int
    resources: dict[str, Any]


@dataclass
class _Slot:
    """A worker: a hold of devices for one shape, and the attempt on it."""

    worker: RemoteWorker
    shape: str
    allocation_id: int
    cores: int
    opened: float
    question: Any = None
    attempt: AttemptLog | None = None
    calls: list[Any] = field(default_factory=list)


class Scheduler:
    """Runs everything that is pending in `store` on `cluster`.

    home: SCALING_HOME, the folder under which attempts write; the same path on every node.
    on_tick: called about twice a second with this scheduler, for progress.
    import_path: folders that trainer processes append to their import path, for a user's own families.
    """

    def __init__(
        self,
        store: Store,
        cluster: RayCluster,
        *,
        identity: str,
        home: Path,
        checkpoint_seconds: float = 60.0,
        on_tick: Callable[[], None] = lambda: None,
        import_path: tuple[str, ...] = (),
    ) -> None:
        self.store, self.cluster, self.id, self.home = store, cluster, identity, home.absolute()
        self.checkpoint_seconds, self.on_tick, self.import_path = checkpoint_seconds, on_tick, import_path
        self._slots: list[_Slot] = []
        self._compiled: set[str] = set()
        self._started_shapes: set[str] = set()
        self._renewed = 0.0

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Until nothing is pending or running; True. Or until `should_stop`: checkpoint what runs, put what is left aside; False.

        Raises `StoreError` when another scheduler took the lease, `ClusterError` when the cluster has not what a run needs.
        """
        with self.store.write() as session:
            recover(session, scheduler=self.id)
        waiting = self._pending()
        try:
            while waiting or self.running:
                if should_stop():
                    self._pause()
                    return False
                self._renew()
                self._fill(waiting)
                self._listen()
                waiting = self._pending()
                self.on_tick()
            return True
        finally:
            for slot in list(self._slots):
                self._release(slot)

    def _pause(self) -> None:
        """Let every run checkpoint, write it down, and set aside what is left as paused."""
        for slot in self._slots:
            if slot.attempt:
                slot.calls.append(slot.worker.stop())
        deadline = time.monotonic() + _PAUSE_SECONDS
        while self.running and time.monotonic() < deadline:
            self._renew()
            self._listen()
            self.on_tick()
        with self.store.write() as session:
            for slot in self._slots:
                if slot.attempt:
                    self._end(session, slot, slot.attempt.lost("did not checkpoint in time when asked to stop"))
            for run in session.scalars(select(Run).where(Run.status == RunStatus.PENDING)):
                run.status, run.reason = RunStatus.PAUSED, "interrupted; submit again to go on"

    # -- what to run -------------------------------------------------------------------------------------------------------------

    def _pending(self) -> list[_Waiting]:
        with self.store.read() as session:
            rows = session.execute(
                select(Run.id, Run.shape, Run.train_flops, Run.priority, Run.resources).where(Run.status == RunStatus.PENDING)
            )
            return [_Waiting(*row) for row in rows]

    def _fill(self, waiting: list[_Waiting]) -> None:
        """Give every free worker a run, and open or close workers as the rules say."""
        queues: dict[str, list[_Waiting]] = {}
        for run in waiting:
            queues.setdefault(run.shape, []).append(run)
        for queue in queues.values():
            queue.sort(key=lambda run: (run.priority, run.cost))
        for slot in list(self._slots):
            if slot.attempt is None and queues.get(slot.shape):
                self._grant(slot, queues)
        for shape in sorted(queues, key=lambda shape: -sum(run.cost for run in queues[shape])):
            while queues[shape] and self._may_open(shape) and self._make_room(queues[shape][0].resources, queues):
                self._open(shape, queues)

    def _may_open(self, shape: str) -> bool:
        """A second worker of a shape waits until the first one has compiled it."""
        return shape in self._compiled or not any(slot.shape == shape for slot in self._slots)

    def _make_room(self, resources: dict[str, Any], queues: dict[str, list[_Waiting]]) -> bool:
        """Whether a worker more fits; closes an idle one of a shape that has nothing left, if that helps."""
        kind, chips = accelerator(resources["accelerator"]), resources["chips"]
        room = self.cluster.capacity(kind, chips) - len(self._slots)
        if room > 0:
            return True
        idle = next((slot for slot in self._slots if slot.attempt is None and not queues.get(slot.shape)), None)
        if idle is None:
            return False
        self._release(idle)
        return True

    def _open(self, shape: str, queues: dict[str, list[_Waiting]]) -> None:
        resources = queues[shape][0].resources
        kind, chips = accelerator(resources["accelerator"]), resources["chips"]
        cores = chips * kind.cores_per_chip
        with self.store.write() as session:
            allocation_id = ledger.open_allocation(session, scheduler=self.id, shape=shape, accelerator=kind.name, cores=cores)
        slot = _Slot(self.cluster.new_worker(kind, chips), shape, allocation_id, cores, time.monotonic())
        slot.question = slot.worker.next_events(_WAIT_SECONDS)
        self._slots.append(slot)
        self._grant(slot, queues)

    def _grant(self, slot: _Slot, queues: dict[str, list[_Waiting]]) -> None:
        """Begin an attempt: in the store first, then on the worker. A shape's first run is its cheapest, then the longest come first."""
        queue = queues[slot.shape]
        run = queue.pop(0 if slot.shape not in self._started_shapes else -1)
        self._started_shapes.add(slot.shape)
        try:
            with self.store.write() as session:
                grant = ledger.begin_attempt(session, run.id, allocation_id=slot.allocation_id, home=str(self.home))
        except StaleToken:
            return  # somebody cancelled it just now
        slot.attempt = AttemptLog(grant)
        order = {
            "config": grant.config,
            "directory": str(self.home / grant.folder),
            "resume_from": None
            if grant.resume_folder is None
            else {"directory": str(self.home / grant.resume_folder), "step": grant.resume_step},
            "checkpoint_seconds": self.checkpoint_seconds,
            "compile_cache": str(self.home / "compile-cache"),
            "import_path": list(self.import_path),
        }
        slot.calls.append(slot.worker.start(grant.token, order))

    # -- what came back ----------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take what the workers say and write it down, in one transaction a round."""
        questions = {slot.question: slot for slot in self._slots if slot.question is not None}
        answered = self.cluster.ready(list(questions), _TICK_SECONDS)
        heard: list[tuple[_Slot, list[dict[str, Any]]]] = []
        for question in answered:
            slot = questions[question]
            try:
                for call in slot.calls:
                    self.cluster.answer(call)
                slot.calls.clear()
                heard.append((slot, self.cluster.answer(question)))
                slot.question = slot.worker.next_events(_WAIT_SECONDS)
            except ClusterError as error:
                slot.question = None
                heard.append(
                    (slot, [{"kind": "lost", "reason": str(error), "token": slot.attempt.grant.token if slot.attempt else None}])
                )
        if heard:
            with self.store.write() as session:
                for slot, events in heard:
                    self._write_down(session, slot, events)
        for slot in [slot for slot in self._slots if slot.question is None]:
            self._release(slot)

    def _write_down(self, session: Session, slot: _Slot, events: list[dict[str, Any]]) -> None:
        for event in events:
            if slot.attempt is None or event.get("token") != slot.attempt.grant.token:
                continue  # of an attempt that was given up
            if event["kind"] == "compiled":
                self._compiled.add(slot.shape)
            slot.attempt.take(event)
        if slot.attempt is None:
            return
        slot.attempt.write_progress(session)
        if slot.attempt.ending is not None:
            self._end(session, slot, slot.attempt.ending)

    def _end(self, session: Session, slot: _Slot, ending: Any) -> None:
        assert slot.attempt is not None
        try:
            ledger.end_attempt(session, slot.attempt.grant.token, **ending.as_arguments())
        except StaleToken:
            _logger.warning("attempt %s had been given up; its result does not count", slot.attempt.grant.folder)
        if ending.outcome in (AttemptOutcome.DIED, AttemptOutcome.LOST):
            _logger.warning("run %s: %s", slot.attempt.grant.run_id, ending.reason)
        slot.attempt = None

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
        with self.store.write() as session:
            ledger.close_allocation(session, slot.allocation_id, held_seconds=time.monotonic() - slot.opened)

    @property
    def running(self) -> list[AttemptLog]:
        """Attempts under way, for progress."""
        return [slot.attempt for slot in self._slots if slot.attempt]


def new_scheduler_id() -> str:
    """A name for one life of a scheduler."""
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"
