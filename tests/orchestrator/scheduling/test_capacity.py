"""Whether one worker more is wanted and fits, and which idle one goes or takes another workload."""

from types import SimpleNamespace

from orchestrator.resources import Resources, RunOptions
from orchestrator.scheduling.capacity import capacity_for, is_done, is_short, reusable
from orchestrator.scheduling.queue import Queue, Workload
from orchestrator.store import Store
from tests.orchestrator.rows import a_run, accepted
from tests.orchestrator.workers import Said, answered, slot_of


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
