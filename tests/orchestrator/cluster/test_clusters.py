"""Real clusters of several Ray nodes: slices of two hosts, nodes that are taken away, workers that do not answer, schedulers that die.

The nodes are processes of this machine, and two of them say that they are hosts of a TPU slice; everything else is the real thing. Where it does not
matter what is trained, the runs are rehearsals.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from orchestrator.cluster import DeviceRequest, RayCluster
from orchestrator.cluster.ray_cluster import WorkerLost
from orchestrator.detach import detach, marked_there
from orchestrator.resources import Resources, RunOptions
from orchestrator.scheduling.policy import SchedulingPolicy
from orchestrator.scheduling.scheduler import Scheduler
from orchestrator.store import Store, lease
from orchestrator.store.lineage import lineage_of
from orchestrator.store.models import Allocation, Attempt, Run
from scaling.accelerators import accelerator
from scaling.errors import ClusterError, StoreError
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, rehearsals
from tests.orchestrator.small_cluster import NODE, small_cluster, tpu_host
from tests.trainer import small_run
from trainer import audit, data

SCALING = str(Path(sys.executable).with_name("scaling"))


@pytest.fixture(scope="module")
def cluster():
    with small_cluster() as cluster:
        cluster.hosts = [tpu_host(cluster, "slice-A", index) for index in range(2)]
        yield cluster


@pytest.fixture
def ray_cluster(cluster):
    with RayCluster(cluster.address, alone_seconds=30) as connected:
        yield connected


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        yield store


def scheduler(store, cluster, tmp_path, *, identity="one", checkpoint_seconds=10.0, **policy):
    with store.write() as session:
        assert lease.take(session, identity)
    how = SchedulingPolicy(checkpoint_seconds=checkpoint_seconds, **policy)
    return Scheduler(store, cluster, identity=identity, home=tmp_path / "runs", working_directory=Path.cwd(), policy=how)


def attempts(store):
    with store.read() as session:
        session.expire_on_commit = False
        return list(session.scalars(select(Attempt).order_by(Attempt.id)))


def runs(store):
    with store.read() as session:
        session.expire_on_commit = False
        return list(session.scalars(select(Run).order_by(Run.seed)))


def test_one_host_of_a_slice_dies_and_both_start_again_together(cluster, ray_cluster, store, tmp_path):
    """One attempt on two hosts, joined by `jax.distributed`; the node of one is killed and comes back, and the run goes on until it is asked to stop."""
    config = small_run.config(epochs=400, plain=True, depth=1)
    how = {"resources": Resources("TPU-v4", 8, topology="2x2x2"), "options": RunOptions(execution={"fsdp": True})}
    row = a_run(config.run_id(), config=config.to_dict(), shape=config.shape_id(), steps=2400, **how)
    accepted(store, row)
    killed = []

    def kill_a_host(running):
        if not killed and any(attempt.checkpoint_step for attempt in attempts(store)):
            killed.append(True)
            cluster.remove_node(cluster.hosts[1], allow_graceful=False)
            cluster.hosts[1] = tpu_host(cluster, "slice-A", 1)

    def has_gone_on():
        return any(attempt.number > 1 and attempt.checkpoint_step for attempt in attempts(store))

    assert not scheduler(store, ray_cluster, tmp_path, checkpoint_seconds=0.5).run("study", has_gone_on, kill_a_host)
    [run], [first, second] = runs(store), attempts(store)
    assert second.reason == "asked to stop"
    assert (run.status, run.accelerator, run.cores) == (RunStatus.PAUSED, "TPU-v4", 16)
    assert first.outcome is AttemptOutcome.LOST
    assert first.reason.startswith("host 1 of 2: ")
    assert 0 < second.first_step == first.checkpoint_step < second.checkpoint_step == second.last_step
    assert (second.outcome, second.devices) == (AttemptOutcome.INTERRUPTED, 2)
    assert run.core_hours == pytest.approx(16 * (first.useful_seconds + second.useful_seconds) / 3600)
    with store.read() as session:
        for allocation in session.scalars(select(Allocation)):
            assert allocation.cores == 16
            assert allocation.held_seconds >= sum(attempt.charged_seconds for attempt in allocation.attempts) - 0.05
        shares = lineage_of(session, run.id).shares
    stretches = [audit.Stretch(share.directory, share.first_step, share.stop_step, hosts=2) for share in shares]
    assert audit.check(stretches, data.Order.of(config)).clean


def test_a_notice_makes_runs_checkpoint_and_go_on_elsewhere_at_no_cost_to_their_retries(cluster, ray_cluster, store, tmp_path):
    import ray
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    node = cluster.add_node(**NODE, num_cpus=1, resources={"spare": 1})
    accepted(
        store, *rehearsals(5, 5, 5)
    )  # the new node's worker is to start, and the notice to be seen, before the others are through
    told = []

    def drain(running):
        there = [entry for entry in attempts(store) if entry.ended_at is None and entry.node == node.node_id]
        if not told and there and (there[0].last_step or 0) > 20:
            told.append(True)
            gcs = ray._private.worker.global_worker.gcs_client  # what `ray drain-node` calls, without the seconds it takes to start
            deadline = int(1000 * (time.time() + 20))
            gcs.drain_node(node.node_id, DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"), "spot", deadline)

    assert scheduler(store, ray_cluster, tmp_path).run("study", on_tick=drain)
    cluster.remove_node(node)
    assert {(run.status, run.failures) for run in runs(store)} == {(RunStatus.FINISHED, 0)}
    [preempted] = [attempt for attempt in attempts(store) if attempt.outcome is AttemptOutcome.PREEMPTED]
    assert preempted.node == node.node_id
    assert preempted.reason == "its node is being taken away; asked to stop"
    again = next(entry for entry in attempts(store) if (entry.run_id, entry.number) == (preempted.run_id, 2))
    assert again.first_step == preempted.last_step == preempted.checkpoint_step > 20
    assert again.node != node.node_id


class Unreachable(RayCluster):
    """Its workers are healthy, but the first `failures` questions to them come back as Ray's own `ActorUnavailableError`."""

    def __init__(self, address, failures):
        super().__init__(address, alone_seconds=30)
        self.left = failures

    def new_worker(self, request, *, owner):
        import ray

        @ray.remote(num_cpus=0, max_retries=0)
        def fails():
            raise ray.exceptions.ActorUnavailableError("The actor is temporarily unavailable: RpcError", None)

        cluster, worker = self, super().new_worker(request, owner=owner)
        asked = worker.next_events

        def next_events(*arguments):
            if cluster.left > 0 and worker_has_begun:
                cluster.left -= 1
                return failed
            worker_has_begun.append(True)
            return asked(*arguments)

        worker_has_begun, failed = [], fails.remote()
        worker.next_events = next_events
        return worker


def test_two_hundred_failed_probes_of_healthy_runs_restart_nothing(cluster, store, tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.scheduling.worker_slot._AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("orchestrator.scheduling.scheduler._TICK_SECONDS", 0.05)
    accepted(store, *rehearsals(2, 2))
    with Unreachable(cluster.address, failures=200) as unreachable:
        assert scheduler(store, unreachable, tmp_path).run("study")
        assert unreachable.left == 0
    assert [(run.status, run.failures) for run in runs(store)] == [(RunStatus.FINISHED, 0)] * 2
    assert [attempt.number for attempt in attempts(store)] == [1, 1]


def test_only_after_its_lease_is_a_silent_worker_given_up_and_what_it_says_later_does_not_count(ray_cluster, store, tmp_path):
    accepted(store, *rehearsals(3))
    stopped, silent_for = [], []

    def stop_the_actor(running):
        for attempt in running:
            if not stopped and attempt.step > 50:
                stopped.append(_actor_process(attempt.grant.token, tmp_path))
                os.kill(stopped[0], signal.SIGSTOP)
                silent_for.append(time.monotonic())
            elif stopped and len(silent_for) == 1 and attempt.grant.number == 2:
                silent_for.append(time.monotonic())
                os.kill(stopped[0], signal.SIGCONT)

    assert scheduler(store, ray_cluster, tmp_path, worker_timeout_seconds=2.0).run("study", on_tick=stop_the_actor)
    first, second = attempts(store)
    assert (first.outcome, second.outcome) == (AttemptOutcome.LOST, AttemptOutcome.FINISHED)
    assert "no answer for" in first.reason
    assert 2.0 <= silent_for[1] - silent_for[0] < 8.0
    [run] = runs(store)
    assert (run.status, run.failures, run.token) == (RunStatus.FINISHED, 1, None)


def _actor_process(token, home):
    """The Ray worker process whose child trains the attempt of this token: the parent of whoever has its log open."""
    for host in subprocess.run(["pgrep", "-f", "orchestrator.cluster.host"], capture_output=True, text=True).stdout.split():
        for descriptor in Path(f"/proc/{host}/fd").iterdir():
            spool = Path(os.readlink(descriptor)) if descriptor.is_symlink() else None
            if spool is not None and spool.name == "events.jsonl" and spool.is_relative_to(home) and token in spool.read_text():
                return int(Path(f"/proc/{host}/stat").read_text().rsplit(")", 1)[1].split()[1])
    raise AssertionError("nobody trains it")


STUDY = """\
name: rehearsed
dataset: {name: declared, title: T, train_examples: 1000, validation_examples: 100, num_classes: 10, image_shape: [64, 64, 3]}
models: [F0]
epochs: [1]
batch_size: 100
learning_rate: {grid: [0.4, 0.8, 1.6]}
resources: {accelerator: TPU-v4, topology: 2x2x2, mfu: 0.36}
simulate: {speed: SPEED, chips: 16}
"""


def test_a_new_scheduler_takes_over_what_runs(cluster, tmp_path):
    """Killed outright while runs wait and go on; the next `submit` finds them where they are, restarts none, and hears of the one that ended
    while nobody listened."""
    from orchestrator.experiments_file import read_spec
    from orchestrator.planning.plan import make_plan

    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("SPEED", "1"))
    seconds = make_plan(*read_spec(file)).runs[0].estimated_seconds
    file.write_text(STUDY.replace("SPEED", str(seconds / 4)))  # a run takes 4 s
    environment = os.environ | {"SCALING_DB": str(tmp_path / "s.db"), "SCALING_HOME": str(tmp_path / "runs"), "NO_COLOR": "1"}
    command = [SCALING, "submit", str(file), "--address", cluster.address, "--yes"]

    def ask(question):
        with sqlite3.connect(f"file:{tmp_path / 's.db'}?mode=ro", uri=True) as connection:
            return connection.execute(question).fetchall()

    first = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.1)
        is_made = (tmp_path / "s.db").exists() and ask("SELECT count(*) FROM sqlite_master WHERE name = 'attempts'")[0][0]
        if is_made and ask("SELECT count(*) FROM attempts WHERE ended_at IS NULL AND last_step > 1")[0][0]:
            break
    first.kill()
    _, err = first.communicate()
    running = ask("SELECT token FROM attempts WHERE ended_at IS NULL AND last_step > 1")
    assert running, err
    time.sleep(4.5)  # what runs ends meanwhile
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert ask("SELECT status, failures FROM runs") == [("finished", 0)] * 3
    assert set(running) <= set(ask("SELECT token FROM attempts WHERE outcome = 'finished' AND number = 1"))
    # Nothing was trained twice: an order that its scheduler could not give any more is no training.
    assert set(ask("SELECT outcome, coalesce(last_step, 0) FROM attempts WHERE outcome <> 'finished'")) <= {("interrupted", 0)}
    assert ask("SELECT count(*) FROM allocations WHERE ended_at IS NULL") == [(0,)]
    # The second took over what the first held, but for a worker that had not been told anything yet.
    assert len(ask("SELECT DISTINCT scheduler FROM allocations WHERE id IN (SELECT allocation_id FROM attempts)")) == 1


def test_a_cluster_without_what_a_run_needs_says_what_it_has(ray_cluster):
    for request, told in (
        (
            DeviceRequest(accelerator("TPU-v4"), 16),
            "needs 16 TPU-v4 chips (2x2x4) on 4 hosts; the cluster of 3 nodes at .* has .*1 TPU slice v4-16",
        ),
        (DeviceRequest(accelerator("TPU-v4"), 4), "needs 4 TPU-v4 chips (2x2x1) on one node; .* has .*1 TPU slice v4-16"),
        (DeviceRequest(accelerator("TPU-v5e"), 8), "needs 8 TPU-v5e chips (2x4) on one node"),
        (DeviceRequest(accelerator("H100"), 2), "needs 2 H100 chips on one node; .* no GPU"),
    ):
        with pytest.raises(ClusterError, match=told.replace("(", r"\(").replace(")", r"\)")):
            ray_cluster.capacity(request)
    assert ray_cluster.capacity(DeviceRequest(accelerator("TPU-v4"), 8)) == 8


def test_handing_over_needs_a_store_that_the_cluster_reaches_and_a_ray_that_takes_jobs(cluster, store, tmp_path):
    """The Ray of the tests has no dashboard, so it takes none; a store of that name elsewhere is not this one."""
    accepted(store, *rehearsals(1))
    options = {"address": cluster.address, "home": tmp_path / "runs", "policy": SchedulingPolicy()}
    with pytest.raises(ClusterError, match="takes no Ray jobs"):
        detach(store, "study", **options)
    with pytest.raises(StoreError, match=r"does not reach the store .*: the store there has no experiment another"):
        detach(store, "another", **options)
    assert marked_there(str(tmp_path / "nothing.db"), "study")[0] is None
    assert marked_there(str(tmp_path / "scaling.db"), "study")[0] is not None


def test_what_is_handed_over_is_seen_through_with_the_policy_of_the_command(cluster, store, tmp_path):
    """The very command that the Ray job runs."""
    accepted(store, *rehearsals(0.1))
    policy = SchedulingPolicy(checkpoint_seconds=1.0, order="cheapest-first", hang_seconds=40.0, worker_timeout_seconds=50.0)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "scaling.cli.detached", "study", str(tmp_path / "runs"), json.dumps(policy.to_dict())],
        env=os.environ | {"SCALING_DB": str(tmp_path / "scaling.db"), "RAY_ADDRESS": cluster.address},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "1 run"), done.stderr
    assert "no law yet: " in done.stdout
    assert [run.status for run in runs(store)] == [RunStatus.FINISHED]


def test_another_version_of_the_code_is_refused_before_anything_is_trained(ray_cluster, store, tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.scheduling.scheduler._MISSING_NODES_SECONDS", 0.5)
    accepted(store, *rehearsals(1))
    one = scheduler(store, ray_cluster, tmp_path)
    one._code_version = "0.0.1"
    with pytest.raises(ClusterError, match=r"the node \S+ has scaling \S+, the scheduler has 0\.0\.1"):
        one.run("study")
    [run] = runs(store)
    assert (run.status, run.failures, attempts(store)) == (RunStatus.PENDING, 0, [])
    assert not (tmp_path / "runs" / run.id).exists()


def test_a_node_that_is_avoided_gets_no_worker(cluster, ray_cluster):
    import ray

    one, other = (host.node_id for host in cluster.hosts)
    request = DeviceRequest(accelerator("cpu"), 1)
    before = ray_cluster.capacity(request)
    ray_cluster.avoid([one])
    assert ray_cluster.capacity(request) == before - 1
    worker = ray_cluster.new_worker(request, owner="me")
    said = ray.get(worker.next_events(0.0), timeout=60)
    ray_cluster.close([worker])
    assert said["nodes"] == [other]
    ray_cluster.avoid([other])
    with pytest.raises(ClusterError):
        ray_cluster.capacity(request)
    rehearsed = DeviceRequest(accelerator("TPU-v4"), 4, stated=16)
    assert ray_cluster.capacity(rehearsed) == 16, "the head is left, and chips that are only stated need no more"
    ray_cluster.avoid([cluster.head_node.node_id])
    with pytest.raises(ClusterError, match="may be given a worker"):
        ray_cluster.capacity(rehearsed)


def test_an_idle_worker_makes_room_for_one_that_waits(cluster, ray_cluster, store, tmp_path, monkeypatch):
    """The cluster seems to have room for two, but somebody else holds one of its cores."""
    import ray

    monkeypatch.setattr("orchestrator.scheduling.worker_slot._PLACING_SECONDS", 3.0)
    one, other = rehearsals(1, 1.5)
    accepted(store, one, other | {"shape": "t"})

    @ray.remote(num_cpus=1)
    class Foreign:
        def is_there(self):
            return True

    foreign = Foreign.remote()
    assert ray.get(foreign.is_there.remote(), timeout=60)
    assert ray_cluster.capacity(DeviceRequest(accelerator("cpu"), 1)) == 2
    assert scheduler(store, ray_cluster, tmp_path).run("study")
    ray.kill(foreign)
    first, second = attempts(store)
    assert {first.outcome, second.outcome} == {AttemptOutcome.FINISHED}
    assert first.ended_at <= second.started_at, "none begins without devices"
    assert first.node == second.node


@pytest.mark.parametrize(
    ("born", "told"),
    [
        ("import os; os._exit(3)", "worker process has died"),
        ("raise ModuleNotFoundError('No module named orchestrator')", "ModuleNotFoundError: No module named orchestrator"),
        (
            "import os, threading; threading.Timer(0.2, os._exit, [3]).start(); __import__('time').sleep(9)",
            "worker process has died",
        ),
    ],
)
def test_why_a_worker_did_not_come_to_be_is_told(ray_cluster, born, told):
    """Ray's first line is that the actor died unexpectedly, and nothing else."""
    import ray

    @ray.remote(num_cpus=0)
    class Stillborn:
        def __init__(self):
            exec(born)

        def is_there(self):
            return True

    with pytest.raises(WorkerLost) as lost:
        ray_cluster.answer(Stillborn.remote().is_there.remote())
    assert told in str(lost.value)
    assert "\n" not in str(lost.value)


def test_hosts_of_a_worker_that_was_killed_are_given_back(tmp_path):
    """Ray of this process alone, whose actors are not detached: what such a one has reserved outlives it. It has no processes that nobody asks."""
    import ray

    with RayCluster("local") as local:
        started = ray._private.worker._global_node.all_processes
        assert {kind for kind, processes in started.items() if processes} <= {"gcs_server", "raylet", "reaper"}
        worker = local.new_worker(DeviceRequest(accelerator("cpu"), 2, wanted_hosts=2), owner="me")
        assert len(ray.get(worker.next_events(0.0), timeout=120)["events"]) == 0
        reserved = ray.util.placement_group_table().values()
        assert [entry["state"] for entry in reserved] == ["CREATED"]
        worker.kill()
        deadline = time.monotonic() + 30
        while any(entry["state"] != "REMOVED" for entry in ray.util.placement_group_table().values()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
