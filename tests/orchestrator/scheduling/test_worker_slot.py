"""What a scheduler makes of workers that say nothing: waiting for devices, out of reach, hung, or not heard because it was stopped itself."""

import json
from types import SimpleNamespace

import pytest

from orchestrator.cluster import WorkerLost, host
from orchestrator.messages import Message, Raised
from orchestrator.resources import Resources, RunOptions
from orchestrator.scheduling import liveness, worker_slot
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.scheduling.capacity import capacity_for, is_done, is_short, reusable
from orchestrator.scheduling.liveness import AwakeClock, Liveness
from orchestrator.scheduling.queue import Queue, Workload
from orchestrator.scheduling.retry_policy import StartRetries
from orchestrator.scheduling.worker_slot import WorkerSlot
from orchestrator.store import Store, ledger
from orchestrator.store.ledger import Grant
from orchestrator.store.models import Run
from scaling.errors import ClusterError
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, an_assignment, granted
from trainer.events import Progress, Started

TOKEN = "t"


class Clock:
    """Seconds that pass when the test says so, each of them looked at unless the process is stopped."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(liveness.time, "monotonic", lambda: self.now)
        self.awake_seconds = AwakeClock()
        monkeypatch.setattr("orchestrator.scheduling.worker_slot.awake_seconds", self.awake_seconds)
        monkeypatch.setattr("orchestrator.scheduling.attempt.awake_seconds", self.awake_seconds)

    def at_work(self, seconds):
        for _ in range(round(seconds)):
            self.now += 1.0
            self.awake_seconds()

    def stopped(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


class Said:
    """A worker and the cluster at once: every call's reference is its answer."""

    def __init__(self, **said):
        self.said = {"held_seconds": 7.0, "events": [], "nodes": ["n"], "code_version": "1"} | said
        self.asked, self.aborted = [], []

    def next_events(self, wait_seconds, after, settled):
        self.asked.append(wait_seconds)
        return self.said

    def adopt(self, scheduler):
        return [TOKEN]

    def abort(self, token):
        self.aborted.append(token)

    def stop(self, token):
        return token

    def ready(self, references, seconds):
        return []

    def answer(self, reference):
        return reference


def slot_of(worker, **changes):
    slot = WorkerSlot(worker, Workload("s", Resources("cpu", 1)), 1, **changes)
    grant = Grant("a" * 16, 1, TOKEN, {}, Resources("cpu", 1), RunOptions(), None, 0)
    slot.attempts[TOKEN] = AttemptLog(grant, liveness=Liveness(hang_seconds=60.0, start_seconds=600.0))
    return slot


def answered(worker):
    slot = slot_of(worker)
    slot.ask()
    slot.answer(worker)
    return slot


def test_a_run_that_waits_for_devices_is_not_hung_and_its_time_counts_from_their_arrival(clock):
    worker = Said()
    slot = slot_of(worker)
    slot.end_hung()
    clock.at_work(1000)
    slot.end_hung()
    slot.check_timeout(300.0)
    assert slot.waits
    slot.ask()
    slot.answer(worker)
    slot.end_hung()
    clock.at_work(590)
    slot.end_hung()
    assert worker.aborted == []
    clock.at_work(20)
    slot.end_hung()
    slot.end_hung()
    assert worker.aborted == [TOKEN]
    assert slot.attempts[TOKEN].silence() is None


def test_the_first_question_is_answered_as_soon_as_there_are_devices(clock):
    worker = Said()
    slot = answered(worker)
    slot.ask()
    assert worker.asked == [0.0, worker_slot._WAIT_SECONDS]
    assert (slot.opened, slot.nodes, slot.versions) == (clock.now - 7.0, ["n"], {"n": "1"})


def test_a_sign_of_life_is_taken_and_makes_no_transaction(clock):
    alive = {"kind": "alive", "step": 0, "token": TOKEN, "number": 3}
    worker = Said(events=[{"kind": "started", "step": 0, "steps": 9, "token": TOKEN, "number": 3}, alive])
    slot = slot_of(worker)
    for _ in range(20):
        slot.ask()
        assert [message.event for message in slot.answer(worker)] == [Started(step=0, steps=9)]
        slot.end_hung()
        clock.at_work(5)
    assert (slot.heard, worker.aborted) == (3, [])
    clock.at_work(94)
    slot.end_hung()
    assert worker.aborted == []
    clock.at_work(2)
    slot.end_hung()
    assert worker.aborted == [TOKEN], "20 times 5 s of silence"


def test_a_worker_that_answered_once_is_given_up_after_its_lease(clock):
    slot = answered(Said())
    clock.at_work(299)
    slot.check_timeout(300.0)
    clock.at_work(2)
    with pytest.raises(WorkerLost, match="no answer for 301 s"):
        slot.check_timeout(300.0)


def test_one_that_was_taken_over_and_never_answers_is_given_up_too(clock):
    slot = slot_of(Said())
    clock.at_work(100)
    slot.take_over("another")
    clock.at_work(299)
    slot.take_over("another")  # asked again
    slot.check_timeout(300.0)
    assert not slot.waits
    clock.at_work(2)
    with pytest.raises(WorkerLost):
        slot.check_timeout(300.0)


def test_what_a_stopped_scheduler_did_not_hear_is_nobody_elses_silence(clock):
    worker = Said()
    slot = answered(worker)
    progress = Progress(step=1, steps=9, train_loss=1.0, train_seconds=1.0)
    slot.attempts[TOKEN].take(Message(event=progress, token=TOKEN))
    clock.stopped(7200)
    slot.check_timeout(300.0)
    slot.end_hung()
    assert worker.aborted == []
    clock.at_work(60)
    slot.end_hung()
    assert worker.aborted == [TOKEN]


def test_a_notice_also_reaches_what_a_worker_that_gets_no_more_runs_is_at(clock):
    slot = answered(Said())
    slot.leaving = "the node n has scaling 0, the scheduler has 1"
    slot.leave("its node is being taken away")
    assert slot.attempts[TOKEN].notice == "its node is being taken away"
    assert slot.stopping == {TOKEN}
    assert len(slot.calls) == 1
    slot.leave("its node is being taken away")
    assert len(slot.calls) == 1
    assert slot.leaving.startswith("the node n has")


def test_a_broken_hosts_refuses_the_next_run_which_costs_it_nothing():
    import threading

    from orchestrator.cluster.host_group import HostGroup
    from orchestrator.cluster.mailbox import Mailbox

    hosts = HostGroup.__new__(HostGroup)  # without the hosts, of which one is gone
    hosts._lock, hosts._taken, hosts._owner, hosts._mailbox = threading.RLock(), set(), None, Mailbox()
    hosts._broken, hosts._attempt = "host 1 is gone", None
    hosts.start(an_assignment(TOKEN).to_dict())
    [message] = hosts._mailbox.take(0)
    log = slot_of(SimpleNamespace()).attempts[TOKEN]
    log.take(message)
    assert (str(log.ending.outcome), log.ending.reason) == ("interrupted", "host 1 is gone")
    assert hosts._attempt is None


def test_an_idle_worker_goes_when_others_wait_for_devices_and_no_run_for_it(clock, tmp_path):
    idle, waiting = answered(Said()), slot_of(Said())
    for slot in (idle, waiting):
        slot.attempts.clear()
    waiting.workload = Workload("t", Resources("cpu", 1))
    cluster = SimpleNamespace(capacity=lambda request: 3)
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run("a" * 16, shape="t"), a_run("b" * 16, shape="t"), a_run("c" * 16, shape="u"))
        queue = Queue()
        with store.read() as session:
            queue.refresh(session, lambda run: None)

    def done():
        return [slot for slot in (idle, waiting) if is_done(slot, (idle, waiting), queue, cluster)]

    assert done() == [], "the other one is starting"
    assert is_short(waiting.workload, [waiting], queue, {waiting.workload})
    assert not is_short(waiting.workload, [waiting], queue, ()), "it has to compile first"
    assert capacity_for(waiting.workload, (idle, waiting), queue, cluster) == ([], True)
    clock.at_work(60)
    assert done() == [idle]
    cluster.capacity = lambda request: 2
    assert capacity_for(waiting.workload, (idle, waiting), queue, cluster) == ([idle], True)
    cluster.capacity = lambda request: 1
    assert capacity_for(waiting.workload, (idle, waiting), queue, cluster) == ([idle], False)
    cluster.capacity = lambda request: 0
    assert done() == [idle, waiting], "its node is gone"
    cluster.capacity = lambda request: 3
    while queue.has(waiting.workload):
        queue.take(waiting.workload)
    assert done() == [idle, waiting], "others were quicker"
    assert not is_short(waiting.workload, [waiting], queue, {waiting.workload})


def test_a_free_worker_goes_on_with_another_shape_in_its_process(tmp_path):
    """Not while it has runs of its own and need not give way, not on other devices, and not where a user's module is involved."""
    idle = answered(Said())
    idle.attempts.clear()
    other, there = Workload("t", Resources("cpu", 1)), [idle]
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run("a" * 16, shape="s"), a_run("b" * 16, shape="t"))
        queue = Queue()
        with store.read() as session:
            queue.refresh(session, lambda run: None)
    assert reusable(other, there, [], queue) is None
    assert reusable(other, there, [idle], queue) is idle
    queue.take(idle.workload)
    assert reusable(other, there, [], queue) is idle
    for unlike in (
        Workload("t", Resources("cpu", 2)),
        Workload("t", Resources("TPU-v4", 1, stated=4)),
        Workload("t", Resources("cpu", 1), users_family="mine:make"),
    ):
        assert reusable(unlike, there, [], queue) is None
    idle.leave("its node goes")
    assert reusable(other, there, [], queue) is None


def test_runs_of_a_users_family_have_a_process_of_their_own():
    ours, theirs = (
        SimpleNamespace(shape="s", family=family, resources=Resources("cpu", 1), options=RunOptions())
        for family in ("nfnet", "mine:make")
    )
    assert Workload.of(ours).can_reuse_worker_of(Workload("t", Resources("cpu", 1)))
    assert not Workload.of(theirs).can_reuse_worker_of(Workload("t", Resources("cpu", 1)))


def test_a_worker_whose_storage_refuses_rests_and_its_run_has_not_failed(clock, tmp_path):
    slot = answered(Said())
    try:
        try:
            with open("/dev/full", "wb") as full:
                full.write(b"x")
        except OSError as error:
            raise OSError("the checkpoint of the last step cannot be written") from error
    except OSError as error:
        storage = host._is_storage(error)
    assert storage
    assert not host._is_storage(FileNotFoundError(2, "no such data set"))
    attempt = slot.attempts.pop(TOKEN)
    raised = Raised(reason="No space left", of_the_pack=True, storage=storage)
    attempt.take(Message(event=raised, token=TOKEN, wall_seconds=9.0))
    ending = attempt.ending
    assert (ending.outcome, ending.alone, ending.charge.total) == (AttemptOutcome.STORAGE, False, 9.0)
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run())
        grant = granted(store)
        with store.write() as session:
            assert ledger.end_attempt(session, grant.token, **ending.as_arguments()) is RunStatus.PENDING
            run = session.get(Run, "a" * 16)
            assert (run.failures, run.reason) == (0, "No space left")
    assert slot.is_free
    for seconds in (2, 4, 8, 16, 32, 60, 60):
        slot.rest()
        slot.rest()  # of another run of its pack
        clock.at_work(seconds - 1)
        assert not slot.is_free
        clock.at_work(1)
        assert slot.is_free
    slot.rest()
    slot.has_stored()
    assert slot.is_free
    slot.rest()
    clock.at_work(2)
    assert slot.is_free


def test_workers_that_end_before_they_begin_are_not_started_at_every_tick(clock):
    starts, workload, other = StartRetries(), Workload("s", Resources("cpu", 1)), Workload("t", Resources("cpu", 1))
    for _ in range(2):
        starts.failed(workload, "No module named 'orchestrator'")
        starts.check(workload)
    starts.failed(workload, "No module named 'orchestrator'")
    with pytest.raises(ClusterError, match="3 workers for 1 cpu core have ended before they began: No module"):
        starts.check(workload)
    starts.check(other)
    clock.at_work(61)
    starts.check(workload)
    starts.failed(workload, "again")
    with pytest.raises(ClusterError, match="again"):
        starts.check(workload)
    starts.succeeded(workload)
    starts.succeeded(workload)
    starts.check(workload)


def test_what_a_worker_does_not_know_any_more_is_in_the_attempts_folder(tmp_path):
    """A database that was put back has an attempt open that its worker settled since: its steps are charged."""
    worker = Said()
    worker.adopt = lambda scheduler: []
    worker.ready = lambda references, seconds: references
    slot = slot_of(worker)
    folder = tmp_path / slot.attempts[TOKEN].grant.folder
    folder.mkdir(parents=True)
    saved = {"kind": "checkpoint", "step": 60, "train_seconds": 6.0, "checkpoint_seconds": 0.5, "elapsed": 7.0}
    lines = [saved | {"token": TOKEN}, saved | {"token": "of another", "step": 90}]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    slot.take_over("me")
    for message in slot.unheard_of(worker, tmp_path):
        slot.attempts[TOKEN].take(message)
    ending = slot.attempts[TOKEN].ending
    assert (ending.outcome, ending.last_step, ending.charge.useful) == (AttemptOutcome.INTERRUPTED, 60, 6.0)
