"""Packs: several runs of one shape on one slot, from the queue to the ledger, with real processes."""

import json
import os
import sqlite3
import time

import pytest
from sqlalchemy import select

from orchestrator.cluster.worker import Worker
from orchestrator.experiments_file import read_spec
from orchestrator.messages import Assignment, Died, Message, Raised, Resume
from orchestrator.planning.plan import make_plan
from orchestrator.resources import RunOptions
from orchestrator.scheduling.attempt import AttemptLog
from orchestrator.scheduling.queue import Queue
from orchestrator.store import Store, ledger
from orchestrator.store.models import Attempt, Run
from scaling.errors import SpecError
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, an_assignment
from tests.orchestrator.scheduling.test_end_to_end import FAMILIES, TINY, Study, assert_ledger_adds_up
from tests.trainer import small_run
from trainer import TrainConfig, audit, data, train
from trainer.checkpoint import committed
from trainer.events import Checkpoint, Started
from trainer.storage import storage_at

EPOCHS, STEPS = 60, 360


# -- which runs go together ----------------------------------------------------------------------------------------------------------


def packable(number, pack=4, alike="x", **changes):
    options = RunOptions(pack=pack, alike=alike, execution=changes.pop("execution", {}))
    rest = {
        "priority": 0,
        "resume_step": 0,
        "failures": 0,
        "status": RunStatus.PENDING,
    }  # rows are written many at a time, all alike
    return a_run(f"{number:016x}", options=options, **rest | changes)


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        yield store


def packs_of(store):
    """Every pack that the queue gives, in order: lists of the runs' numbers."""
    queue, found = Queue(), []
    with store.read() as session:
        queue.refresh(session, lambda run: None)
    while queue:
        found.append([int(run.id, 16) for run in queue.take(queue.workloads()[0])])
    return found


def test_runs_that_differ_in_learning_rate_and_seed_alone_go_together(store):
    alike = [packable(number) for number in range(1, 7)]
    longer = [packable(number, alike="y", train_flops=2e9) for number in (11, 12)]
    single = [packable(21, pack=1, alike="z", train_flops=3e9), packable(22, pack=1, alike="z", train_flops=3e9)]
    accepted(store, *alike, *longer, *single)
    found = [sorted(pack) for pack in packs_of(store)]
    assert len(found[0]) == 4  # the cheapest, a canary, with three others
    assert sorted(map(len, found)) == [1, 1, 2, 2, 4]
    assert sorted(number for pack in found for number in pack if number < 10) == [1, 2, 3, 4, 5, 6]
    assert [11, 12] in found
    queue = Queue()
    with store.read() as session:
        queue.refresh(session, lambda run: None)
    [workload] = queue.workloads()
    assert queue.workers(workload) == len(found)


@pytest.mark.parametrize(
    "other",
    [
        {"alike": "y"},
        {"execution": {"remat": "block"}},
        {"priority": 1},
        {"resume_step": 5},
        {"failures": 2},
        {"pack": 1},
    ],
)
def test_runs_that_do_not_go_together(store, other):
    """Another schedule, another execution, a priority of its own, another step to start at, two deaths."""
    accepted(store, packable(1), packable(2, **other))
    assert sorted(packs_of(store)) == [[1], [2]]


# -- what each is charged ------------------------------------------------------------------------------------------------------------


def granted_pack(store, numbers, home="/home"):
    with store.write() as session:
        allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=2)
        return ledger.begin_attempts(session, {f"{number:016x}": None for number in numbers}, allocation_id=allocation, home=home)


def test_a_death_is_a_death_of_all_each_charged_its_share(store):
    accepted(store, packable(1), packable(2), packable(3, status=RunStatus.CANCELLED))
    grants = granted_pack(store, [1, 2, 3])
    assert [(grant.run_id, grant.packed) for grant in grants] == [(f"{1:016x}", 2), (f"{2:016x}", 2)]
    for grant in grants:
        log = AttemptLog(grant)
        told = [(Started(steps=100), 10.0), (Checkpoint(step=60, train_seconds=6.0, checkpoint_seconds=1.0), 24.0)]
        for event, wall_seconds in [*told, (Died(reason="killed", signal=9), 30.0)]:
            log.take(Message(event=event, token=grant.token, wall_seconds=wall_seconds))
        with store.write() as session:
            log.write_progress(session)
            ledger.end_attempt(session, grant.token, **log.ending.as_arguments())
    with store.read() as session:
        attempts = list(session.scalars(select(Attempt)))
        assert [attempt.packed for attempt in attempts] == [2, 2]
        assert sum(attempt.charged_seconds for attempt in attempts) == pytest.approx(30.0)  # the wall time, once
        assert [(attempt.useful_seconds, attempt.outcome) for attempt in attempts] == [(6.0, AttemptOutcome.DIED)] * 2
        runs = list(session.scalars(select(Run).where(Run.status == RunStatus.PENDING)))
        assert [(run.failures, run.core_hours) for run in runs] == [(1, pytest.approx(2 * 6 / 3600))] * 2


def test_a_pack_that_raises_is_taken_apart(store):
    """Whose fault it was shows when each is done alone."""
    accepted(store, packable(1), packable(2))
    for grant in granted_pack(store, [1, 2]):
        log = AttemptLog(grant)
        raised = Raised(reason="out of memory", out_of_memory=True, of_the_pack=True)
        log.take(Message(event=raised, token=grant.token, wall_seconds=8.0))
        assert log.ending.charge.total == 4.0
        with store.write() as session:
            assert ledger.end_attempt(session, grant.token, **log.ending.as_arguments()) is RunStatus.PENDING
    with store.read() as session:
        assert {run.reason for run in session.scalars(select(Run))} == {"the pack of 2 raised: out of memory; it goes on alone"}
        assert [run.failures for run in session.scalars(select(Run))] == [0, 0]
    assert sorted(packs_of(store)) == [[1], [2]]


# -- the file ------------------------------------------------------------------------------------------------------------------------

FILE = """\
name: packed
dataset: {{name: digits}}
models: [nano-F0]
epochs: [1, 2]
batch_size: 64
learning_rate: {{grid: [0.8, 1.6]}}
seeds: [0, 1]
execution: {{pack: {pack}{more}}}
"""


def plan_of(tmp_path, pack, more="", **options):
    path = tmp_path / "packed.yaml"
    path.write_text(FILE.format(pack=pack, more=more))
    return make_plan(*read_spec(path, **options))


def test_packing_is_no_part_of_a_runs_id(tmp_path):
    packed, plain = plan_of(tmp_path, 4), plan_of(tmp_path, 1)
    assert [run.id for run in packed.runs] == [run.id for run in plain.runs]
    assert packed.shared == plain.shared
    options = [run.row(packed.resources, packed.options)["options"] for run in packed.runs]
    assert {how.pack for how in options} == {4}
    assert [how.alike for how in options[:4]] == [options[0].alike] * 4
    assert options[4].alike != options[0].alike
    assert plain.options.pack == plan_of(tmp_path, 4, simulate=True).options.pack == 1


def test_what_packed_runs_cannot_do_is_a_fault_of_the_file(tmp_path):
    with pytest.raises(SpecError, match=r"packed.yaml:8: execution.micro_batch: runs that are packed cannot use micro_batch"):
        plan_of(tmp_path, 2, ", micro_batch: 8")
    with pytest.raises(SpecError, match=r"packed.yaml:9: resources.hosts: runs that are packed train in one process"):
        plan_of(tmp_path, 2, "}\nresources: {accelerator: cpu, cores: 2, hosts: 2")
    with pytest.raises(
        SpecError, match=r"packed.yaml:8: execution.pack: runs that are packed share one chip, and `resources` has 4"
    ):
        plan_of(tmp_path, 2, "}\nresources: {accelerator: H100, chips: 4")


# -- real processes ------------------------------------------------------------------------------------------------------------------


def assigned(config, folder, cache, resume_from=None):
    return an_assignment(
        str(folder),
        str(folder),
        config=config.to_dict(),
        resume_from=resume_from,
        checkpoint_seconds=0.05,
        compile_cache=str(cache),
        working_directory=os.getcwd(),
    )


class Listener:
    """Hears a worker; `until` gives what each token said up to the moment when all of them have said one of `kinds`."""

    def __init__(self, worker):
        self.worker, self.heard = worker, -1

    def until(self, tokens, *kinds, seconds=120):
        deadline, heard = time.monotonic() + seconds, {str(token): [] for token in tokens}
        while not all(said and set(kinds) & {event["kind"] for event in said} for said in heard.values()):
            assert time.monotonic() < deadline, heard
            for event in self.worker.next_events(1.0, self.heard)["events"]:
                assert event["kind"] != "raised", event
                self.heard = event["number"]
                heard.get(event["token"], []).append(event)
        return [heard[str(token)] for token in tokens]


def test_killed_in_the_middle_they_go_on_together_or_alone(tmp_path):
    configs = [
        small_run.config(epochs=EPOCHS, plain=True, depth=1, seed=seed, learning_rate=rate) for seed, rate in ((0, 0.4), (1, 0.2))
    ]
    cache, folders = tmp_path / "cache", [[tmp_path / f"{life}-{index}" for index in range(2)] for life in range(2)]
    worker = Worker({"NPROC": "1", "JAX_PLATFORMS": "cpu"})
    listener = Listener(worker)

    def start_pack(life, origins):
        members = [assigned(config, folders[life][i], cache, origins[i]) for i, config in enumerate(configs)]
        worker.start(Assignment.of_all(members).to_dict())

    try:
        start_pack(0, [None, None])
        listener.until(folders[0], "checkpoint")
        worker._trainer._process.kill()
        deaths = [said[-1] for said in listener.until(folders[0], "died")]
        assert {(death["kind"], death["reason"]) for death in deaths} == {("died", "the trainer process was killed by SIGKILL")}

        # It may have come between the checkpoints of the two, of which the newest two are kept: start where both have been.
        step = min(committed(storage_at(folder))[-1] for folder in folders[0])
        origins = [Resume(directory=str(folder), step=step) for folder in folders[0]]
        start_pack(1, origins)
        together = [said[-1] for said in listener.until(folders[1], "ended")]
        alone, whole = tmp_path / "alone", tmp_path / "whole"
        worker.start(assigned(configs[1], alone, cache, origins[1]).to_dict())
        by_itself = listener.until([alone], "ended")[0][-1]
        worker.start(assigned(configs[1], whole, cache).to_dict())
        undisturbed = listener.until([whole], "ended")[0][-1]
        worker.stop(str(folders[1][0]))  # of a run that is over: nobody minds
    finally:
        worker.close()
    assert {ended["outcome"] for ended in (*together, by_itself, undisturbed)} == {"finished"}
    assert {ended["first_step"] for ended in (*together, by_itself)} == {step}
    assert 0 < step < STEPS
    # 360 steps apart, with sums in another order: still the same run.
    assert together[1]["val_loss"] == pytest.approx(undisturbed["val_loss"], rel=1e-3)
    assert by_itself["val_loss"] == pytest.approx(undisturbed["val_loss"], rel=1e-3)
    for index, end in ((0, folders[1][0]), (1, folders[1][1]), (1, alone)):
        first = together[index]["first_step"]
        stretches = [audit.Stretch(folders[0][index], 0, first), audit.Stretch(end, first, STEPS)]
        report = audit.check(stretches, data.Order.of(configs[index]))
        assert (report.clean, report.complete) == (True, True), report.faults
    for folder in folders[1]:
        tokens = {json.loads(line)["token"] for line in (folder / "events.jsonl").read_text().splitlines()}
        assert tokens == {str(folder)}
        assert (folder / "log.txt").exists()


GRID = """\
name: packed
dataset: {name: digits}
models:
  - TINY
  - {name: raising, source: "misbehaving:raises"}
epochs: [0.25]
batch_size: 64
learning_rate: {tiny: {grid: [0.2, 0.4]}, raising: 1}
seeds: [0, 1]
execution: {pack: 2}
resources: {cores: CORES}
"""


def test_a_grid_in_packs(tmp_path):
    """Through the real command. A pack whose code raises is taken apart, and each run fails by itself."""
    (tmp_path / "misbehaving.py").write_text(FAMILIES)
    (tmp_path / "packed.yaml").write_text(
        GRID.replace("TINY", TINY).replace("CORES", str(len(os.sched_getaffinity(0))))
    )  # one pack at a time
    study = Study(tmp_path, "packed")
    _, err = study.run("submit", "packed.yaml", "--yes", code=1)
    rows = study.rows()
    good = [row for key, row in rows.items() if key[0] == "tiny"]
    assert [(row["status"], row["attempts"], row["packed"]) for row in good] == [("finished", 1, 2)] * 4, err
    bad = [row for key, row in rows.items() if key[0] == "raising"]
    assert [(row["status"], row["attempts"]) for row in bad] == [("failed", 2)] * 2
    assert {row["reason"] for row in bad} == {"RuntimeError: the user's code has a mistake"}
    assert_ledger_adds_up(study.db)
    with sqlite3.connect(study.db) as connection:
        # Both of a pack were in it from its beginning to its end, so they are charged alike: half of what passed.
        charged = connection.execute(
            "SELECT a.useful_seconds, a.useful_seconds + a.redone_seconds + a.startup_seconds + a.evaluation_seconds + a.checkpoint_seconds,"
            " 86400 * (julianday(a.ended_at) - julianday(a.started_at)) FROM attempts a"
            " JOIN runs r ON r.id = a.run_id WHERE r.model = 'tiny' ORDER BY a.started_at"
        ).fetchall()
        config = connection.execute("SELECT config, val_loss FROM runs WHERE model = 'tiny' LIMIT 1").fetchone()
    for (useful, total, passed), (other, _, _) in (charged[:2], charged[2:]):
        assert other == pytest.approx(useful, rel=0.05, abs=1e-3)
        assert total == pytest.approx(passed / 2, rel=0.1)
    alone = train(TrainConfig.from_dict(json.loads(config[0])), directory=tmp_path / "alone")
    assert alone.val_loss == pytest.approx(config[1], rel=1e-4)
    out, _ = study.run("audit", good[-1]["id"])
    assert "clean: every example exactly once an epoch" in out
