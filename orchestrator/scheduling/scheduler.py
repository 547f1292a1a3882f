"""The scheduler: takes pending runs from the store, puts them on workers, writes down what comes back.

A worker holds devices (an allocation) and has a trainer process on them, which compiles a model shape once and then trains one run of it
after another. The runs of one shape are a workload. The rules:

1. Each workload gets one worker first, the one with the most work first; its first run is its cheapest, a canary. Where there are more
   workloads than fit, a worker that is done with a run gives way to a workload that has not begun, and one that is done with its canary
   to more work.
2. After that, longest run first: it gives the shortest makespan. Or cheapest first, when asked for: it gives the first results soonest.
   Runs of higher priority come before all others, of whatever workload.
3. A workload gets further workers when devices are free and its program has been compiled, so that nothing compiles twice: later
   processes load it from JAX's cache on disk. A worker gets its first run once it has its devices.
4. A worker whose workload has nothing left, or that gives way, goes on with another one in its process, or gives its devices back to
   those that wait.
5. Where the file says so, runs that differ in learning rate and seed alone go to a worker at once (`queue`).
6. A worker whose node will be taken away lets its runs checkpoint at once and gets no others; they go on elsewhere.
7. A worker that does not answer is asked again for `SchedulingPolicy.worker_timeout_seconds`; only then are its attempts given up.
8. On a cluster of others workers outlive their scheduler; the next one takes them over (`takeover`).

It runs what any experiment in the store wants, not only the one it was started for. Whatever a run does to its process, the others go
on. All writing to the store happens here, under the lease; an attempt's events count only with the token of its run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.cluster import Cluster, WorkerLost
from orchestrator.home import make_folder
from orchestrator.messages import Assignment, Message, Raised, Refused
from orchestrator.provenance import code_version, same_code
from orchestrator.resources import Resources
from orchestrator.scheduling.assignment import assignment_of
from orchestrator.scheduling.attempt import AttemptLog, Ending
from orchestrator.scheduling.capacity import capacity_for, is_done, is_short, reusable, yields
from orchestrator.scheduling.data_faults import DataFaults, data_of
from orchestrator.scheduling.liveness import Liveness
from orchestrator.scheduling.policy import Rule, SchedulingPolicy
from orchestrator.scheduling.queue import Queue, Workload
from orchestrator.scheduling.recovery import recover
from orchestrator.scheduling.retry_policy import RestartPauses, StartRetries
from orchestrator.scheduling.settling import end, settle
from orchestrator.scheduling.takeover import take_over
from orchestrator.scheduling.worker_slot import WorkerSlot
from orchestrator.store import Session, Store, handover, identity, lease, ledger, steering
from orchestrator.store.estimates import Rates, measured_rates
from orchestrator.store.grid import Waiting, explain, pause
from orchestrator.store.interruptions import interruptions
from orchestrator.store.ledger import Grant
from scaling.accelerators import estimate_core_hours
from scaling.errors import ClusterError, StoreError
from scaling.fault_points import reached
from scaling.outcomes import AttemptOutcome, RunStatus
from trainer.events import Checkpoint, Compiled, Evaluated

__all__ = ["Scheduler"]

_logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_LOOK_SECONDS = 0.2
_PAUSE_SECONDS = 30.0
"""How long runs may take to checkpoint when asked to stop; below the grace period of docker-compose.yml."""
_DRAIN_SECONDS = 1.0
"""How often the cluster is asked which nodes will be taken away."""
_MISSING_NODES_SECONDS = 30.0
"""How long a cluster that others run may lack what a run needs, while its nodes start or restart."""


class Scheduler:
    """Runs everything that is pending in `store` on `cluster`.

    identity: of the holder of the store's lease.
    home: SCALING_HOME, the folder under which attempts write; the same path on every node.
    working_directory: where the file's relative paths start from, and where a user's own families are imported from.
    """

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        *,
        identity: str,
        home: Path,
        working_directory: Path,
        policy: SchedulingPolicy | None = None,
        rules: Sequence[Rule] = (),
    ) -> None:
        self.store, self.cluster, self.id, self.home = store, cluster, identity, home.absolute()
        store.wait_for_server()  # its restart ends no run
        self.working_directory, self.policy, self.rules = working_directory, policy or SchedulingPolicy(), rules
        self._queue = Queue(self.policy.order)
        self._slots: list[WorkerSlot] = []
        self._compiled: set[Workload] = set()
        self._intervals: dict[Resources, float] = {}
        self._renewed = self._looked_at = self._drained = 0.0
        self._refused: str | None = None
        self._store_id: str | None = None
        self._starts, self._pauses = StartRetries(), RestartPauses()
        self._code_version = None if cluster.is_own else code_version()
        self._lacking_since: float | None = None
        self._rates: Rates | None = None
        self._finished = self._judged_by = 0
        self._pausing, self._faults = False, DataFaults()

    def run(
        self,
        experiment: str,
        should_stop: Callable[[], bool] = lambda: False,
        on_tick: Callable[[list[AttemptLog]], None] = lambda running: None,
    ) -> bool:
        """Work until nothing that an experiment wants is pending or running, then return True.

        When `should_stop` says so, let runs in training checkpoint, pause what only `experiment` wants, and return False.
        on_tick: called about twice a second with the attempts under way, for progress.

        Raises `StoreError` when another scheduler took the lease, and `ClusterError` when the cluster lacks what a run needs and nothing
        else is left to do.
        """
        self._take_over()
        self._look_up()
        paused = False
        try:
            while not paused and (self._queue or self.running):
                if should_stop():
                    self._pause(experiment, on_tick)
                    paused = True
                    continue
                self._renew()
                self.cluster.check()
                self._look_around()
                self._leave_draining_nodes()
                for slot in self._slots:
                    slot.end_hung()
                self._fill()
                on_tick(self.running)
                self._listen()
                if not (self._queue or self.running):
                    self._look_up()
        except BaseException:
            for slot in self._slots:
                if slot.worker.name is None:
                    slot.worker.kill()  # at once; what its runs did is in their folders
            raise  # the others go on: the next scheduler takes them over
        self._release(self._slots)
        return not paused

    def _take_over(self) -> None:
        """Take over the workers that the scheduler before this one left, and close what else it left open."""
        with self.store.read() as session:
            names = handover.names_of_workers_left(session, scheduler=self.id)
        workers = {}
        for name in names:  # before the transaction: Ray may take its time
            self._renew()
            if (worker := self.cluster.find_worker(name)) is not None:
                workers[name] = worker
        with self._write() as session:
            lease.renew(session, self.id)
            self._store_id = identity.claim(session)
            self._slots = take_over(session, workers, scheduler=self.id)
            recover(session, scheduler=self.id)
            self._faults.restore(session)
            self._apply_rules(session)
        make_folder(self.home / self._store_id)  # trainers wait for it before they make it
        for slot in self._slots:
            slot.take_over(self.id)
            for attempt in slot.attempts.values():
                attempt.liveness = self._liveness()
        taken_over = {slot.worker.name for slot in self._slots}
        for name, worker in workers.items():
            if name not in taken_over:
                worker.kill()  # it was never told anything

    def _pause(self, experiment: str, on_tick: Callable[[list[AttemptLog]], None]) -> None:
        """Let every run checkpoint, write it down, and pause what only this experiment wants."""
        self._pausing = True
        for slot in self._slots:
            for token in slot.attempts:
                slot.stop(token)
        deadline = time.monotonic() + _PAUSE_SECONDS
        while self.running and time.monotonic() < deadline:
            self._renew()
            self._listen()
            on_tick(self.running)
        with self._write() as session:
            for slot in self._slots:
                for attempt in list(slot.attempts.values()):
                    self._end(session, slot, attempt, attempt.given_up("asked to stop; had not checkpointed in time"))
            self._apply_rules(session)
            pause(session, experiment, reason="interrupted; submit again to go on")

    def _look_around(self) -> None:
        """Carry out requests and read the queue again, a few times a second, and at once when the queue is stale."""
        self._queue.is_stale |= self._pauses.end()
        if self._queue.is_stale or time.monotonic() > self._looked_at + _LOOK_SECONDS:
            self._steer()
            self._look_up()
            self._looked_at = time.monotonic()

    def _steer(self) -> None:
        """Do what users asked for; a run that is being trained is asked to checkpoint first, and dealt with once it has."""
        with self.store.read() as session:
            if not steering.open_intents(session):
                return
        with self._write() as session:
            to_stop = set(steering.carry_out(session))
            self._apply_rules(session)  # a run that ends here may be one that a search waits for
        self._stop_where(lambda attempt: attempt.grant.run_id in to_stop)

    def _stop_where(self, meant: Callable[[AttemptLog], bool]) -> None:
        """Ask these attempts to checkpoint and end."""
        for slot in self._slots:
            for token, attempt in slot.attempts.items():
                if meant(attempt):
                    slot.stop(token)

    # -- what to run -------------------------------------------------------------------------------------------------------------

    def _apply_rules(self, session: Session) -> None:
        for rule in self.rules:
            if rule(session):
                self._queue.is_stale = True

    def _look_up(self) -> None:
        """Read which runs wait, and write down for those that may not start why."""
        with self.store.read() as session:
            if self._rates is None:
                self._rates = measured_rates(session)
            if not self._queue.refresh(session, self._estimate, self._faults.held, self._pauses.resting):
                return
        if faulty := self._faults.faulty:
            self._stop_where(lambda attempt: data_of(attempt.grant.config) in faulty)
        if reasons := self._queue.new_reasons():
            with self._write() as session:
                explain(session, reasons)

    def _estimate(self, run: Waiting) -> float | None:
        measured = (self._rates or Rates()).nearest(run.shape, run.family, run.resources)
        return estimate_core_hours(run.work, *measured) or run.estimated_core_hours

    def _fill(self) -> None:
        """Give every free worker a run, and open or close workers as the rules say."""
        self._grant_to([slot for slot in self._slots if not yields(slot, self._slots, self._queue, self._compiled)])
        self._release([slot for slot in self._slots if is_done(slot, self._slots, self._queue, self.cluster)])
        lacking: list[ClusterError] = []
        held = {slot.workload for slot in self._slots}
        for workload in self._queue.workloads(held):
            try:
                self._starts.check(workload)
                while is_short(workload, self._slots, self._queue, self._compiled):
                    closing, fits = capacity_for(workload, self._slots, self._queue, self.cluster)
                    if (slot := reusable(workload, self._slots, closing, self._queue)) is not None:
                        slot.workload = workload
                        self._grant(slot)
                        continue
                    self._release(closing)
                    if not fits:
                        break
                    self._open(workload)
            except ClusterError as error:
                lacking.append(error)
        self._grant_to(self._slots)  # those that yielded, where no devices were to be had by it
        self._wait_for_nodes(lacking)

    def _grant_to(self, slots: Sequence[WorkerSlot]) -> None:
        for slot in slots:
            if slot.is_free and self._queue.has(slot.workload):
                self._grant(slot)

    def _wait_for_nodes(self, lacking: list[ClusterError]) -> None:
        """Raise what the cluster lacks: only when nothing else runs, and, on a cluster of others, not before half a minute."""
        if not lacking or not all(slot.is_kept for slot in self._slots):
            self._lacking_since = None
            return
        self._lacking_since = self._lacking_since or time.monotonic()
        if self.cluster.is_own or time.monotonic() - self._lacking_since > _MISSING_NODES_SECONDS:
            if self._refused:
                raise ClusterError(self._refused, hint="install the same version on all nodes, then submit again") from lacking[0]
            raise lacking[0]
        time.sleep(_TICK_SECONDS)

    def _open(self, workload: Workload) -> None:
        held = workload.resources
        worker = self.cluster.new_worker(workload.request, owner=self.id)
        with self._write() as session:
            allocation_id = ledger.open_allocation(
                session, scheduler=self.id, shape=workload.shape, accelerator=held.accelerator, cores=held.cores, worker=worker.name
            )
        slot = WorkerSlot(worker, workload, allocation_id)
        slot.ask()
        self._slots.append(slot)

    def _grant(self, slot: WorkerSlot) -> None:
        """Begin attempts of the runs that come next: in the store first, then on the worker."""
        with self._write() as session:
            begun = self._begin(session, slot)
        self._start(slot, begun)

    def _begin(self, session: Session, slot: WorkerSlot) -> list[Grant]:
        """Begin attempts of the next runs in the store; runs that were taken out of the grid just now are left out."""
        if (held := slot.workload.resources) not in self._intervals:  # judged anew whenever an attempt has been cut short
            self._intervals[held] = interruptions(session, held).checkpoint_interval(self.policy.checkpoint_seconds)
        runs = {run.id: self._estimate(run) for run in self._queue.take(slot.workload)}
        return ledger.begin_attempts(session, runs, allocation_id=slot.allocation_id, home=str(self.home), store=self._store_id)

    def _start(self, slot: WorkerSlot, grants: Sequence[Grant]) -> None:
        """Send begun attempts to the worker."""
        if not grants:
            return
        reached("granted")
        self._starts.succeeded(slot.workload)
        slot.attempts.update({grant.token: AttemptLog(grant, liveness=self._liveness()) for grant in grants})
        assignment = Assignment.of_all([self._assignment(slot, grant) for grant in grants])
        slot.call(lambda: slot.worker.start(assignment))

    def _assignment(self, slot: WorkerSlot, grant: Grant) -> Assignment:
        return assignment_of(
            grant,
            home=self.home,
            working_directory=self.working_directory,
            checkpoint_seconds=self._intervals.get(slot.workload.resources, self.policy.checkpoint_seconds),
            scheduler=self.id,
            code_version=self._code_version,
            missed_seconds=slot.missed_seconds,
        )

    # -- what came back ----------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take what the workers say and write it down, in one transaction a round; freed workers begin their next runs in the same one."""
        for slot in self._slots:
            slot.ask()
        questions = {slot.question: slot for slot in self._slots if slot.question is not None}
        ready = set(self.cluster.ready(list(questions), _TICK_SECONDS))
        if not questions:
            time.sleep(_TICK_SECONDS / 5)
        heard: dict[WorkerSlot, list[Message]] = {}
        for slot in self._slots:
            try:
                messages = slot.unheard_of(self.cluster, self.home)
                if slot.question in ready:
                    messages += slot.answer(self.cluster)
                    slot.ask()
                    self._check_code(slot)
                slot.check_timeout(self.policy.worker_timeout_seconds)
            except WorkerLost as error:
                slot.lost, slot.question = True, None
                if slot.is_unplaced:
                    self._starts.failed(slot.workload, str(error))
                messages = slot.last_signs(self.home, error)
            if messages or slot.lost:
                heard[slot] = messages
        if heard:
            reached("heard")
            with self._write() as session:
                evaluated = [slot for slot, messages in heard.items() if self._hear(slot, messages)]
                told = [(slot, attempt) for slot in heard for attempt in slot.attempts.values()]
                settle(session, [attempt for _, attempt in told])
                ended = [(slot, attempt, attempt.ending) for slot, attempt in told if attempt.ending is not None]
                for slot, attempt, ending in ended:
                    self._end(session, slot, attempt, ending)
                if ended or any(slot.attempts for slot in evaluated):
                    self._apply_rules(session)
                begun = [(slot, self._begin(session, slot)) for slot in heard if self._goes_on(slot)]
            reached("written-down")
            for slot, grants in begun:
                self._start(slot, grants)
            for slot in heard:
                slot.settled = slot.heard
        self._release([slot for slot in self._slots if slot.lost])

    def _goes_on(self, slot: WorkerSlot) -> bool:
        """Say whether a worker takes the next run at once, without another look at the store and at the other workers."""
        if not slot.is_free or not self._queue.has(slot.workload) or self._queue.is_stale or self._pausing:
            return False
        return not yields(slot, self._slots, self._queue, self._compiled)

    def _check_code(self, slot: WorkerSlot) -> None:
        """Give no more runs to a worker whose node has another version of the code; the others go on.

        A worker that was taken over finishes its current attempts.
        """
        if self._code_version is None or slot.leaving:
            return
        for node, version in slot.versions.items():
            if not same_code(self._code_version, version):
                slot.leaving = f"the node {node} has scaling {version}, the scheduler has {self._code_version}"
                if not slot.taken_over:  # that is only older than what the node has now
                    self.cluster.avoid([node])
                    slot.is_kept = slot.request.is_tpu and slot.request.hosts > 1
                    self._refused = slot.leaving
                    _logger.warning("%s: it gets no runs", slot.leaving)

    def _hear(self, slot: WorkerSlot, messages: list[Message]) -> bool:
        """Take what a worker said. Returns whether a run was evaluated."""
        evaluated = False
        for message in messages:
            attempt = slot.attempts.get(message.token)
            if attempt is None or attempt.ending is not None:
                continue  # of an attempt that is over
            match message.event:
                case Compiled():
                    self._compiled.add(slot.workload)
                case Raised(storage=True, missing=missing):
                    slot.rest(missing=missing)
                case Refused(reason=reason):
                    slot.leaving = reason
                case Checkpoint(step=step):
                    slot.has_stored()
                    if step in attempt.grant.options.checkpoint_at:
                        self._queue.is_stale = True  # runs of other budgets may start from it
                case Evaluated():
                    evaluated = True
            attempt.take(message, node=next(iter(slot.nodes), None))
        return evaluated

    def _end(self, session: Session, slot: WorkerSlot, attempt: AttemptLog, ending: Ending) -> None:
        """End an attempt in the store and here."""
        grant, status = attempt.grant, end(session, attempt, ending)
        ending = attempt.ending or ending
        if attempt.is_refused and not attempt.is_told_over:  # its process goes on
            slot.abandon(grant.token, ending.reason)
        if ending.outcome in (AttemptOutcome.DIED, AttemptOutcome.LOST, AttemptOutcome.STORAGE):
            _logger.warning("run %s: %s", grant.run_id, ending.reason.partition("\n")[0])
        if ending.outcome in (AttemptOutcome.PREEMPTED, AttemptOutcome.DIED, AttemptOutcome.LOST):
            self._intervals.clear()
        if ending.of_the_data and self._faults.note(grant.run_id, grant.config, ending.reason):
            self._queue.is_stale = True
        if ending.outcome is AttemptOutcome.FINISHED:
            self._finished += 1
            if self._finished > 1.05 * self._judged_by:  # there is more to judge by
                self._rates, self._judged_by = None, self._finished
        self._pauses.ended(attempt, asked=grant.token in slot.stopping)
        del slot.attempts[grant.token]
        slot.stopping.discard(grant.token)
        if status is RunStatus.PENDING or self._queue.is_limited:  # it waits again, or a budget has another rest
            self._queue.is_stale = True

    @contextmanager
    def _write(self) -> Iterator[Session]:
        """Open one writing transaction if the lease is still ours.

        A scheduler that was stopped for a while learns here that it was replaced.
        """
        with self.store.write() as session:
            if not lease.holds(session, self.id):
                raise StoreError(
                    "another scheduler took over this store, or another content was put into it",
                    hint="`scaling status` shows which; this one stops writing",
                )
            yield session

    def _liveness(self) -> Liveness:
        return Liveness(hang_seconds=self.policy.hang_seconds)

    # -- upkeep ------------------------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        if time.monotonic() - self._renewed < lease.LEASE_SECONDS / 3:
            return
        with self._write() as session:
            lease.renew(session, self.id)
            ledger.heartbeat(session, [token for slot in self._slots for token in slot.attempts])
            held = {slot.allocation_id: slot.held_seconds for slot in self._slots if slot.opened}
            ledger.note_held_seconds(session, held)
        self._renewed = time.monotonic()

    def _leave_draining_nodes(self) -> None:
        """Let the runs on nodes that will be taken away checkpoint now, and go on elsewhere."""
        if self.cluster.is_own or time.monotonic() - self._drained < _DRAIN_SECONDS:
            return
        self._drained = time.monotonic()
        draining = self.cluster.draining() if self._slots else set()
        for slot in self._slots:
            if not draining.isdisjoint(slot.nodes):
                slot.leave("its node is being taken away")

    def _release(self, slots: Sequence[WorkerSlot]) -> None:
        """Close workers, all at once: each may take seconds."""
        if not slots:
            return
        self._slots = [slot for slot in self._slots if slot not in slots]
        for slot in slots:
            if slot.lost or slot.is_unplaced:
                slot.worker.kill()
        self.cluster.close([slot.worker for slot in slots if not (slot.lost or slot.is_unplaced)], meanwhile=self._renew)
        with self._write() as session:
            for slot in slots:
                ledger.close_allocation(session, slot.allocation_id, held_seconds=slot.held_seconds)

    @property
    def running(self) -> list[AttemptLog]:
        """List the attempts under way, for progress."""
        return [attempt for slot in self._slots for attempt in slot.attempts.values()]
