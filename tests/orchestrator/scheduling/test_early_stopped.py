"""Runs that cannot matter are stopped when the file allows it: never in silence, never one that others need, and not twice."""

from dataclasses import replace

import pytest

from analysis.selection import usable_runs
from orchestrator.resources import EarlyStop, RunOptions
from orchestrator.scheduling.early_stop import stop_dominated
from orchestrator.store import ledger, open_readonly, steering
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Intent, Run
from orchestrator.store.steering import Steer
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, granted
from tests.orchestrator.scheduling.test_end_to_end import Study, assert_ledger_adds_up
from trainer.surface import Surface

OPTIONS = RunOptions(evaluate_at=(0.25, 0.5), early_stop=EarlyStop(confidence=0.99, after=0.5))
RUN = "a" * 16


def evaluated(store, grant, step, loss):
    row = {"step": step, "split": "validation", "loss": loss, "top1": 0.5, "top5": 0.9, "examples": 10, "seconds": 0.0}
    with store.write() as session:
        assert ledger.record(session, grant.token, step=step, evaluations=[row])


def ended(store, grant, outcome=AttemptOutcome.FINISHED, loss=None, useful=36.0):
    with store.write() as session:
        ledger.end_attempt(session, grant.token, outcome=outcome, reason="", charge=Charge(useful), result={"val_loss": loss})


def grid(store, finished=8, **changes):
    """Runs that were at 1 … 2 nats half-way and ended at half of it, and one that is half-way now."""
    others = [a_run(f"{n:016d}", options=OPTIONS, seed=n) for n in range(1, finished + 1)]
    accepted(store, a_run(RUN, options=OPTIONS, **changes), *others)
    for n, row in enumerate(others):
        grant, loss = granted(store, row["id"]), 1 + n / (finished - 1)
        evaluated(store, grant, 50, loss)
        ended(store, grant, loss=0.5 * loss * (1 + 0.01 * (-1) ** n))
    return granted(store, RUN)


def asked(store):
    with store.write() as session:
        return stop_dominated(session)


def look(store):
    with store.read() as session:
        run = session.get(Run, RUN)
        return run.status, run.reason


def test_a_dominated_run_is_stopped_with_the_numbers(store):
    grant = grid(store)
    evaluated(store, grant, 25, 3.0)
    assert not asked(store), "too early"
    evaluated(store, grant, 50, 1.8)
    assert asked(store)
    assert not asked(store), "once is enough"
    with store.write() as session:
        assert steering.carry_out(session) == [RUN], "the scheduler lets it checkpoint first"
    ended(store, grant, AttemptOutcome.INTERRUPTED)
    with store.write() as session:
        assert steering.carry_out(session) == []
    status, reason = look(store)
    assert status is RunStatus.STOPPED
    assert reason.startswith("stopped after 50% of its steps: final loss 0.8981 expected")
    assert "at 99 % by 8 finished runs; run 0000000000000001 ended at 0.5050 for 0.0200 core-hours" in reason


@pytest.mark.parametrize("loss", [1.0, 1.05])
def test_one_that_may_yet_be_the_best_goes_on(store, loss):
    grant = grid(store)
    evaluated(store, grant, 50, loss)
    assert not asked(store)


def test_what_the_file_does_not_allow_is_not_done(store):
    grant = grid(store)
    with store.write() as session:
        run = session.get(Run, RUN)
        run.options = replace(OPTIONS, early_stop=None)
    evaluated(store, grant, 50, 1.8)
    assert not asked(store)


def test_too_few_finished_runs_say_nothing(store):
    grant = grid(store, finished=7)
    evaluated(store, grant, 50, 1.8)
    assert not asked(store)


def test_one_that_others_start_from_goes_on_until_they_can(store):
    grant = grid(store)
    accepted(store, a_run("c" * 16, options=OPTIONS, parent_id=RUN, parent_step=80), name="child")
    evaluated(store, grant, 50, 1.8)
    assert not asked(store)
    with store.write() as session:
        run = session.get(Run, RUN)
        run.options = replace(OPTIONS, checkpoint_at=(80,))
        ledger.record(session, grant.token, checkpoint_step=80, checkpoints=[(80, 30.0)])
    assert asked(store)


def test_a_run_in_a_pack_goes_on(store):
    grant = grid(store)
    evaluated(store, grant, 50, 1.8)
    with store.write() as session:
        session.get(Run, RUN).attempts[-1].packed = 2
    assert not asked(store)


def test_retry_lets_it_go_on_to_its_end_whatever_the_file_says(store):
    grant = grid(store)
    evaluated(store, grant, 50, 1.8)
    assert asked(store)
    ended(store, grant, AttemptOutcome.INTERRUPTED)
    with store.write() as session:
        steering.carry_out(session)
        steering.ask(session, Steer.RETRY, runs=[RUN])
    assert look(store) == (RunStatus.PENDING, "")
    accepted(store, a_run(RUN, options=OPTIONS))  # the same file again, to start a scheduler
    granted(store, RUN)
    assert not asked(store)
    with store.read() as session:
        assert session.query(Intent).filter(Intent.kind == "stop").count() == 1


def test_through_the_real_command(tmp_path):
    """A rehearsed grid of twelve learning rates, four at a time: the last ones are judged half-way, by the first eight."""
    study = Study(tmp_path, "early", quickly=True)  # the experiment's name, too
    rates = [0.05 * 2.0**k for k in range(12)]
    loss = {"noise": 0.001, "curvature": 0.05, "diverges_above": 1e6}
    speed = 22 * 0.003 / 5  # about five seconds a run, of which half are left when it is judged
    extra = f"early_stop: {{}}\nsimulate: {{speed: {speed}, chips: 4, loss: {loss}}}".replace("'", "")
    file = study.write(epochs="[1]", learning_rate=f"{{grid: {rates}}}", extra=extra)
    _, err = study.run("submit", file)
    rows = list(study.rows().values())
    stopped = [row for row in rows if row["status"] == "stopped"]
    assert {row["status"] for row in rows} == {"stopped", "finished"}
    assert 1 <= len(stopped) <= 4
    best = min(row["val_loss"] for row in rows if row["status"] == "finished")
    for row in stopped:
        assert row["step"] < row["steps"]
        truth = Surface(**loss).loss(row["params"], row["examples_seen"], 1.0, row["learning_rate"])
        assert truth > best, "it would not have been on the frontier"
        assert f"stopped: {row['id']}" in err
        assert "of its steps: final loss" in row["reason"]
    assert_ledger_adds_up(study.db)
    left_out = usable_runs(open_readonly(str(study.db)).runs("early"), metric="val_loss", x="core_hours").excluded
    assert {entry.id: (entry.kind, entry.reason) for entry in left_out} == {
        row["id"]: ("stopped", row["reason"]) for row in stopped
    }
