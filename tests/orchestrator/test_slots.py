"""What a scheduler makes of workers that say nothing: waiting for devices, out of reach, hung, or not heard because it was stopped itself."""

import json
from types import SimpleNamespace

import pytest

from orchestrator import attention, slots
from orchestrator.attempt import AttemptLog
from orchestrator.attention import Attention
from orchestrator.cluster import WorkerLost, host
from orchestrator.messages import Message, Raised
from orchestrator.patience import Patience
from orchestrator.queue import Group, Order, Queue
from orchestrator.resources import Resources, RunOptions
from orchestrator.room import follower, is_done, is_short, room_for, yields
from orchestrator.slots import Slot
from orchestrator.starts import Starts
from orchestrator.store import Store, ledger
from orchestrator.store.ledger import Grant
from orchestrator.store.models import Run
from orchestrator.store.steering import Steer, ask
from scaling.errors import ClusterError
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, an_assignment, granted
from trainer.events import Progress, Started

TOKEN = "t"
ROWS = [("a", "s", 1e9), ("b", "s", 9e9), ("c", "s", 8e9), ("d", "t", 1e9), ("e", "t", 3e9), ("f", "u", 1e9), ("g", "u", 2e9)]
"""Letter of the run, its shape, its cost."""


class Clock:
    """Seconds that pass when the test says so, each of them looked at unless the process is stopped."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(attention.time, "monotonic", lambda: self.now)
        self.attended = Attention()
        monkeypatch.setattr("orchestrator.slots.attended", self.attended)
        monkeypatch.setattr("orchestrator.attempt.attended", self.attended)

    def at_work(self, seconds):
        for _ in range(round(seconds)):
            self.now += 1.0
            self.attended()

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
    slot = Slot(worker, Group("s", Resources("cpu", 1)), 1, **changes)
    grant = Grant("a" * 16, 1, TOKEN, {}, Resources("cpu", 1), RunOptions(), None, 0)
    slot.attempts[TOKEN] = AttemptLog(grant, patience=Patience(hang_seconds=60.0, start_seconds=600.0))
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
    slot.check_lease(300.0)
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
    assert worker.asked == [0.0, slots._WAIT_SECONDS]
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
    slot.check_lease(300.0)
    clock.at_work(2)
    with pytest.raises(WorkerLost, match="no answer for 301 s"):
        slot.check_lease(300.0)


def test_one_that_was_taken_over_and_never_answers_is_given_up_too(clock):
    slot = slot_of(Said())
    clock.at_work(100)
    slot.take_over("another")
    clock.at_work(299)
    slot.take_over("another")  # asked again
    slot.check_lease(300.0)
    assert not slot.waits
    clock.at_work(2)
    with pytest.raises(WorkerLost):
        slot.check_lease(300.0)


def test_what_a_stopped_scheduler_did_not_hear_is_nobody_elses_silence(clock):
    worker = Said()
    slot = answered(worker)
    progress = Progress(step=1, steps=9, train_loss=1.0, train_seconds=1.0)
    slot.attempts[TOKEN].take(Message(event=progress, token=TOKEN))
    clock.stopped(7200)
    slot.check_lease(300.0)
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


def test_a_broken_gang_refuses_the_next_run_which_costs_it_nothing():
    import threading

    from orchestrator.cluster.gang import Gang
    from orchestrator.cluster.mailbox import Mailbox

    gang = Gang.__new__(Gang)  # without the hosts, of which one is gone
    gang._lock, gang._taken, gang._owner, gang._mailbox = threading.RLock(), set(), None, Mailbox()
    gang._broken, gang._attempt = "host 1 is gone", None
    gang.start(an_assignment(TOKEN).to_dict())
    [message] = gang._mailbox.take(0)
    log = slot_of(SimpleNamespace()).attempts[TOKEN]
    log.take(message)
    assert (str(log.ending.outcome), log.ending.reason) == ("interrupted", "host 1 is gone")
    assert gang._attempt is None


def test_an_idle_worker_goes_when_others_wait_for_devices_and_no_run_for_it(clock, tmp_path):
    idle, waiting = answered(Said()), slot_of(Said())
    for slot in (idle, waiting):
        slot.attempts.clear()
    waiting.group = Group("t", Resources("cpu", 1))
    cluster = SimpleNamespace(room=lambda hold: 3)
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run("a" * 16, shape="t"), a_run("b" * 16, shape="t"), a_run("c" * 16, shape="u"))
        queue = Queue()
        with store.read() as session:
            queue.refresh(session, lambda run: None)

    def done():
        return [slot for slot in (idle, waiting) if is_done(slot, (idle, waiting), queue, cluster)]

    assert done() == [], "the other one is starting"
    assert is_short(waiting.group, [waiting], queue, {waiting.group})
    assert not is_short(waiting.group, [waiting], queue, ()), "it has to compile first"
    assert room_for(waiting.group, (idle, waiting), queue, cluster) == ([], True)
    clock.at_work(60)
    assert done() == [idle]
    cluster.room = lambda hold: 2
    assert room_for(waiting.group, (idle, waiting), queue, cluster) == ([idle], True)
    cluster.room = lambda hold: 1
    assert room_for(waiting.group, (idle, waiting), queue, cluster) == ([idle], False)
    cluster.room = lambda hold: 0
    assert done() == [idle, waiting], "its node is gone"
    cluster.room = lambda hold: 3
    while queue.has(waiting.group):
        queue.take(waiting.group)
    assert done() == [idle, waiting], "others were quicker"
    assert not is_short(waiting.group, [waiting], queue, {waiting.group})


def test_a_free_worker_goes_on_with_another_shape_in_its_process(tmp_path):
    """Not while it has runs of its own and need not give way, not on other devices, and not where a user's module is involved."""
    idle = answered(Said())
    idle.attempts.clear()
    other, there = Group("t", Resources("cpu", 1)), [idle]
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run("a" * 16, shape="s"), a_run("b" * 16, shape="t"))
        queue = Queue()
        with store.read() as session:
            queue.refresh(session, lambda run: None)
    assert follower(other, there, [], queue) is None
    assert follower(other, there, [idle], queue) is idle
    queue.take(idle.group)
    assert follower(other, there, [], queue) is idle
    for unlike in (
        Group("t", Resources("cpu", 2)),
        Group("t", Resources("TPU-v4", 1, stated=4)),
        Group("t", Resources("cpu", 1), users_family="mine:make"),
    ):
        assert follower(unlike, there, [], queue) is None
    idle.leave("its node goes")
    assert follower(other, there, [], queue) is None


def test_runs_of_a_users_family_have_a_process_of_their_own():
    ours, theirs = (
        SimpleNamespace(shape="s", family=family, resources=Resources("cpu", 1), options=RunOptions())
        for family in ("nfnet", "mine:make")
    )
    assert Group.of(ours).may_follow(Group("t", Resources("cpu", 1)))
    assert not Group.of(theirs).may_follow(Group("t", Resources("cpu", 1)))


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
    starts, group, other = Starts(), Group("s", Resources("cpu", 1)), Group("t", Resources("cpu", 1))
    for _ in range(2):
        starts.failed(group, "No module named 'orchestrator'")
        starts.check(group)
    starts.failed(group, "No module named 'orchestrator'")
    with pytest.raises(ClusterError, match="3 workers for 1 cpu core have ended before they began: No module"):
        starts.check(group)
    starts.check(other)
    clock.at_work(61)
    starts.check(group)
    starts.failed(group, "again")
    with pytest.raises(ClusterError, match="again"):
        starts.check(group)
    starts.succeeded(group)
    starts.succeeded(group)
    starts.check(group)


@pytest.mark.parametrize(("order", "letters"), [(Order.LONGEST_FIRST, "abc"), (Order.CHEAPEST_FIRST, "acb")])
def test_runs_of_a_shape_come_by_their_cost(tmp_path, order, letters):
    """The cheapest is the canary."""
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, *[a_run(letter * 16, shape=shape, train_flops=cost) for letter, shape, cost in ROWS if shape == "s"])
        queue = Queue(order)
        with store.read() as session:
            queue.refresh(session, lambda run: None)
        (group,) = queue.groups()
        assert "".join(queue.take(group)[0].id[0] for _ in letters) == letters


def test_a_free_worker_gives_way_to_a_canary_and_to_what_has_priority(clock, tmp_path):
    """One device, three shapes: each has its canary trained before the first goes on; then what was given priority comes first."""
    done, opened, slots, cluster = [], [], [], SimpleNamespace(room=lambda hold: 1)
    compiled = set()

    def at_work(queue, rounds):
        for _ in range(rounds):
            for slot in slots:
                if queue.has(slot.group) and not yields(slot, slots, queue, compiled):
                    done.append(queue.take(slot.group)[0].id[0])
                    compiled.add(slot.group)
            for group in queue.groups({slot.group for slot in slots}):
                closing, is_room = room_for(group, slots, queue, cluster)
                if is_short(group, slots, queue, compiled) and is_room:
                    slots[:] = [slot for slot in slots if slot not in closing]
                    opened.append(group.shape)
                    slots.append(answered(Said()))
                    slots[-1].group = group
                    slots[-1].attempts.clear()

    def refreshed(queue):
        with store.read() as session:
            queue.refresh(session, lambda run: None)
        return queue

    rows = [a_run(letter * 16, shape=shape, train_flops=cost) for letter, shape, cost in ROWS]
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, *rows)
        queue = refreshed(Queue())
        at_work(queue, 5)
        assert done == ["a", "d", "f", "b"], "the canaries, and then the shape with the most work"
        with store.write() as session:
            ask(session, Steer.PRIORITY, runs=["e" * 16], priority=1)
            for letter in done:
                session.get(Run, letter * 16).status = RunStatus.FINISHED
        queue = refreshed(queue)
        at_work(queue, 2)
        assert done[-1] == "e"
        at_work(queue, 8)
    assert opened == ["s", "t", "u", "s", "t", "s", "u"]
    assert sorted(done) == [letter for letter, *_ in ROWS]


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
