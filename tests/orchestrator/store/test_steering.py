"""Pausing, cancelling, priorities, exclusions and budgets: on the store alone, and while a scheduler runs rehearsals on real Ray."""

import tempfile
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import select

import analysis
from orchestrator.experiments_file import read_spec
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.plan import make_plan
from orchestrator.resources import Resources
from orchestrator.scheduling.see_through import see_through
from orchestrator.store import Store, changes, ledger, queries, steering
from orchestrator.store.budget import affordable
from orchestrator.store.estimates import Rates, estimate_error, measured_rates
from orchestrator.store.grid import accept, explain, waiting_runs
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Allocation, Attempt, Intent, Run
from orchestrator.store.steering import Steer
from scaling.accelerators import estimate_core_hours
from scaling.errors import TooFewPoints, UnknownName
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, granted

REHEARSAL = """\
name: {name}
dataset: {{name: declared, title: T, train_examples: 100000, validation_examples: 1000, num_classes: 10, image_shape: [64, 64, 3]}}
models: [F0, F1]
epochs: [1, 2, 4, 8]
batch_size: 256
learning_rate: 1.6
resources: {{accelerator: TPU-v4, topology: 2x2x2, mfu: 0.36}}
simulate: {{speed: {speed}, chips: 16}}
{extra}
"""
A, B, C = ("a" * 16, "b" * 16, "c" * 16)


@pytest.fixture
def ray_folder():
    """Short: the paths of Ray's sockets may not exceed 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        yield folder


def statuses(store):
    with store.read() as session:
        return {run.id: run.status for run in session.scalars(select(Run))}


def ask(store, steer, **what):
    with store.write() as session:
        intent = steering.ask(session, steer, **what)
    with store.read() as session:
        return steering.result_of(session, intent)


def told(store):
    with store.read() as session:
        return {run.id: run.reason for run in session.scalars(select(Run))}


def budgeted(store, name, *rows, limit):
    resolved = {"budget": limit and {"core_hours": limit}, "runs": [row["id"] for row in rows]}
    with store.write() as session:
        accept(session, name=name, file="f", text="", resolved=resolved, shared={}, runs=rows)


# -- on the store alone ------------------------------------------------------------------------------------------------------------


def test_without_a_scheduler_the_command_itself_does_it(store):
    accepted(store, a_run(A), a_run(B), a_run(C))
    assert ask(store, Steer.PAUSE, runs=[A, B]) == "2 paused"
    assert ask(store, Steer.CANCEL, runs=[B, C]) == "2 cancelled"
    assert statuses(store) == {A: RunStatus.PAUSED, B: RunStatus.CANCELLED, C: RunStatus.CANCELLED}
    assert ask(store, Steer.RESUME, experiment="study") == "1 resumed; 2 were not: 2 cancelled"
    assert ask(store, Steer.RETRY) == "2 pending again; 1 was not: 1 pending"
    assert set(statuses(store).values()) == {RunStatus.PENDING}
    with pytest.raises(UnknownName, match="did you mean"):
        ask(store, Steer.PAUSE, experiment="studdy")


def test_a_run_in_training_is_stopped_first_and_the_intent_stays_open_until_then(store):
    accepted(store, a_run(A), a_run(B))
    grant = granted(store, A)
    assert ask(store, Steer.CANCEL, experiment="study") is None
    assert statuses(store)[B] is RunStatus.CANCELLED
    with store.write() as session:
        assert steering.carry_out(session) == [A]  # again: nothing is lost when the first scheduler dies
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.INTERRUPTED, reason="", charge=Charge(useful=7.0))
        assert steering.carry_out(session) == []
        assert not steering.open_intents(session)
        assert session.get(Run, A).core_hours > 0, "what it cost stays"
    assert statuses(store)[A] is RunStatus.CANCELLED


def test_what_is_asked_of_thousands_of_runs_takes_a_few_statements_and_waits_without_writing(store):
    many = [f"{number:016x}" for number in range(2000)]
    accepted(store, a_run(A), *map(a_run, many))
    grant = granted(store, A)
    statements = []
    with store.write() as session:

        @sqlalchemy.event.listens_for(session.connection(), "before_cursor_execute")
        def _count(_connection, _cursor, statement, *_rest):
            statements.append(statement.split()[0])

        intent = steering.ask(session, Steer.PAUSE, experiment="study")
        assert len(statements) < 12
        assert len(str(session.get(Intent, intent).payload)) < 200
    assert statuses(store)[many[-1]] is RunStatus.PAUSED
    with store.write() as session:
        before = changes.number(session)
        assert steering.carry_out(session) == [A]
        assert changes.number(session) == before, "the queue is not read anew while a run checkpoints"
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.INTERRUPTED, reason="", charge=Charge(useful=7.0))
        assert steering.carry_out(session) == []
        assert steering.result_of(session, intent) == "2001 paused"
    assert ask(store, Steer.PAUSE) == "0 paused; 2001 were not: 2001 paused"


def test_an_excluded_run_is_left_out_of_fits_with_its_reason(store):
    accepted(store, a_run(A))
    with store.write() as session:
        steering.exclude(session, A, "loader was broken")
    frame = store.runs().assign(status="finished", core_hours=1.0, val_loss=2.0)
    with pytest.raises(TooFewPoints, match="1 excluded by a user"):
        analysis.frontier(frame)
    with store.write() as session:
        steering.include(session, A)
    assert len(analysis.frontier(store.runs().assign(status="finished", core_hours=1.0, val_loss=2.0)).points) == 1


def test_estimates_come_from_the_nearest_measurement(store):
    accepted(store, a_run(A, train_flops=1e12), a_run(B, train_flops=4e12), a_run(C, shape="other", train_flops=2e12))
    with store.write() as session:
        allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=2)
        grant = ledger.begin_attempt(session, A, allocation_id=allocation, home="/home", estimated_core_hours=0.5)
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.FINISHED, reason="", charge=Charge(useful=720.0))
        rates = measured_rates(session)
        assert estimate_error(session) == pytest.approx(abs(0.4 / 0.5 - 1))
    stated, a_cpu = 9e-12, Resources("cpu", 1)
    assert estimate_core_hours(4e12, *rates.nearest("s", "nfnet", a_cpu), stated) == pytest.approx(1.6)  # 0.4 core-hours for 1e12
    assert estimate_core_hours(2e12, *rates.nearest("other", "nfnet", a_cpu), stated) == pytest.approx(0.8)
    assert estimate_core_hours(1e12, *rates.nearest("new", "vit", a_cpu), stated) == 9.0
    assert estimate_core_hours(1e12, *Rates().nearest("s", "nfnet", a_cpu), stated) == 9.0
    assert estimate_core_hours(1e12, *Rates().nearest("s", "nfnet", a_cpu)) is None
    assert estimate_core_hours(1e12, *rates.nearest("s", "nfnet", Resources("cpu", 1, stated=8))) is None


def test_a_budget_lets_in_what_fits_and_an_experiment_without_one_pays_for_shared_runs(store):
    runs = [a_run(run_id, train_flops=cost, estimated_core_hours=cost / 1e9) for run_id, cost in ((A, 1e9), (B, 2e9), (C, 3e9))]

    budgeted(store, "small", *runs, limit=3.5)
    with store.read() as session:
        found = affordable(session, waiting_runs(session), lambda run: run.estimated_core_hours)
    assert [run.id for run in found.runs] == [A, B]
    assert found.left_out == {C: "left out by the budget of 3.5 core-hours of small: needs about 3.00, more than is left"}
    budgeted(store, "rich", runs[2], limit=None)
    with store.read() as session:
        assert not affordable(session, waiting_runs(session), lambda run: run.estimated_core_hours).left_out


def test_a_run_that_goes_on_asks_the_budget_for_its_steps_to_come_only(store):
    budgeted(store, "tight", a_run(A, estimated_core_hours=1.5), limit=2.0)
    grant = granted(store, A)  # of 2 cores
    with store.write() as session:
        ledger.record(session, grant.token, step=90, checkpoint_step=90)
        cut_short = Charge(useful=0.9 * 1.5 * 3600 / 2)
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.PREEMPTED, reason="", charge=cut_short)

    def left_out(hours):
        with store.read() as session:
            return affordable(session, waiting_runs(session), lambda run: hours).left_out

    assert not left_out(1.5)  # 1.35 were charged, 0.15 are to come, 0.65 are left
    assert left_out(6.6)


def test_what_a_budget_leaves_out_is_written_once_for_all_and_not_again_when_less_is_left(store):
    many = [a_run(f"{number:016x}", estimated_core_hours=3.0) for number in range(50)]
    budgeted(store, "capped", a_run(A, estimated_core_hours=0.5), *many, limit=2.0)

    def reasons():
        with store.read() as session:
            return affordable(session, waiting_runs(session), lambda run: run.estimated_core_hours).left_out

    before = reasons()
    assert len(before) == 50
    updates = []
    with store.write() as session:

        @sqlalchemy.event.listens_for(session.connection(), "before_cursor_execute")
        def _count(_connection, _cursor, statement, *_rest):
            updates.append(statement)

        explain(session, {**before, A: ""})
    assert len(updates) == 2
    assert {reason for run, reason in told(store).items() if run != A} == set(before.values())
    grant = granted(store, A)
    with store.write() as session:
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.FINISHED, reason="", charge=Charge(useful=900.0))
    assert reasons() == before


# -- while a scheduler is at work --------------------------------------------------------------------------------------------------


def planned(folder, name, speed, extra=""):
    file = folder / f"{name}.yaml"
    file.write_text(REHEARSAL.format(name=name, speed=speed, extra=extra))
    return make_plan(*read_spec(file))


def the_ledger_adds_up(store):
    with store.read() as session:
        for run in session.scalars(select(Run)):
            spans = [(a.first_step, a.checkpoint_step or a.first_step) for a in run.attempts]
            assert sum(end - start for start, end in spans) == (run.steps if run.status is RunStatus.FINISHED else run.resume_step)
        for allocation in session.scalars(select(Allocation)):
            charged = sum(a.charged_seconds for a in session.scalars(select(Attempt).where(Attempt.allocation_id == allocation.id)))
            assert allocation.held_seconds == pytest.approx(charged)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_pause_resume_and_cancel_while_runs_are_in_training(store, tmp_path, ray_folder):
    plan = planned(tmp_path, "steered", speed=1.0)
    accept_plan(store, plan)
    long = next(run.id for run in plan.runs if run.config.schedule.epochs == 8 and run.config.model.name == "F0")
    ended, done = [], threading.Event()

    def schedule():
        ended.append(see_through(store, "steered", home=tmp_path / "runs", temp_dir=ray_folder, should_stop=done.is_set))

    def until(wanted, seconds=90.0):
        deadline = time.monotonic() + seconds
        while not wanted(statuses(store)):
            assert time.monotonic() < deadline, statuses(store)
            time.sleep(0.05)

    with store.write() as session:
        steering.ask(session, Steer.PRIORITY, runs=[long], priority=5)
    thread = threading.Thread(target=schedule)
    thread.start()
    try:
        until(lambda now: now[long] is RunStatus.RUNNING)  # its shape's canary came first, then what was given priority
        ask(store, Steer.CANCEL, runs=[long])
        until(lambda now: now[long] is RunStatus.CANCELLED)
        ask(store, Steer.PAUSE, experiment="steered")
        until(lambda now: RunStatus.RUNNING not in now.values() and RunStatus.PENDING not in now.values())
    finally:
        done.set()
        thread.join(60)
    assert ended == ["done"]  # nothing was left to do before it was told to stop
    paused = [run for run, status in statuses(store).items() if status is RunStatus.PAUSED]
    assert paused
    assert ask(store, Steer.RESUME, runs=paused) == f"{len(paused)} resumed"
    the_ledger_adds_up(store)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("cap", "words"),
    [
        ("budget: {core_hours: 0.06}", "0.06 core-hours"),
        ("price: {TPU-v4: 3}\nbudget: {usd: 0.09}", "0.09 USD"),  # of a chip of two cores: the same cap
    ],
)
def test_a_budget_ends_the_command_with_what_it_left_out(store, tmp_path, ray_folder, monkeypatch, cap, words):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")  # what is compiled then lies in the home
    plan = planned(tmp_path, "capped", speed=100_000.0, extra=cap)
    accept_plan(store, plan)
    assert see_through(store, "capped", home=tmp_path / "runs", temp_dir=ray_folder) == "done"
    with store.read() as session:
        rows = queries.runs(session, experiment="capped")
    assert 0.03 < sum(row["core_hours"] or 0 for row in rows) <= 0.06
    by_status = {row["id"]: row["reason"] for row in rows if row["status"] == "pending"}
    assert 0 < len(by_status) < len(rows)
    assert all(reason.startswith(f"left out by the budget of {words} of capped") for reason in by_status.values())
    assert {row["accelerator"] for row in rows if row["status"] == "finished"} == {"TPU-v4"}
    assert {(row["family"], row["rehearsal"]) for row in rows} == {("nfnet", True)}
    the_ledger_adds_up(store)
    assert not Path(tmp_path / "runs" / "compile-cache").exists(), "nothing was compiled"


def test_a_budget_too_small_for_any_run_lists_them_all(tmp_path, ray_folder):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accept_plan(store, planned(tmp_path, "nothing", speed=100_000.0, extra="budget: {core_hours: 1e-9}"))
        assert see_through(store, "nothing", home=tmp_path / "runs", temp_dir=ray_folder) == "done"
        with store.read() as session:
            rows = queries.runs(session, experiment="nothing")
        assert rows
        for row in rows:
            assert (row["status"], row["attempts"]) == ("pending", 0)
            assert row["reason"].startswith("left out by the budget of 1e-09 core-hours of nothing")
