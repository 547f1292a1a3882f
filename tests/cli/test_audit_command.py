"""`scaling audit` over the attempts of a run in a real store: clean, or exit code 1 and the ids."""

import json

import pytest
from typer.testing import CliRunner

from orchestrator.resources import Resources, RunOptions
from orchestrator.store import Store, ledger
from orchestrator.store.grid import accept
from orchestrator.store.models import Run
from scaling.cli.app import app
from tests.trainer.test_audit import attempt, double, planted, world

RUN = "ab" * 8


def audit(store, *arguments):
    return CliRunner().invoke(app, ["audit", RUN[:4], "--db", store.name, *arguments])


@pytest.fixture
def repeats():
    return 1


@pytest.fixture
def store(tmp_path, repeats):
    _, config, order = world(repeats=repeats)
    row = {
        "id": RUN, "family": "nfnet", "model": "nano-F0", "dataset": "numbers", "epochs": 2.3, "learning_rate": 1.0, "batch_size": 8,
        "seed": 4, "config": config.to_dict(), "shape": "s", "resources": Resources("cpu", 1), "options": RunOptions(), "params": 10, "steps": order.steps,
        "examples_seen": order.total, "unique_examples": 50, "train_flops": 1e9,
    }  # fmt: skip
    with Store.open(str(tmp_path / "scaling.db")) as store:
        with store.write() as session:
            accept(session, name="study", file="f", text="", resolved={}, shared={}, runs=[row], revise=False)
        yield store


def train_attempt(store, home, *, ends_at, saves, loader=None, repeats=1):
    """An attempt as the scheduler and the trainer see it: granted, recorded, checkpointed, lost or finished."""
    examples, config, order = world(repeats=repeats)
    with store.write() as session:
        allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=1)
        grant = ledger.begin_attempt(session, RUN, allocation_id=allocation, home=str(home))
    kind = {"loader": loader} if loader else {}
    attempt(home / grant.folder, examples, config, order, first=grant.resume_step, stop=ends_at, saves=saves, **kind)
    with store.write() as session:
        ledger.record(session, grant.token, checkpoint_step=max(saves))
    if ends_at is not None:
        from scaling.outcomes import AttemptOutcome

        with store.write() as session:
            charge = ledger.Charge(1.0, 0.0, 0.0, 0.0, 0.0)
            ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.PREEMPTED, reason="", charge=charge, last_step=ends_at)


def test_a_run_of_several_attempts_is_proven(store, tmp_path):
    nothing = audit(store)
    assert nothing.exit_code == 1
    assert "not audited: no checkpoint" in nothing.stdout
    train_attempt(store, tmp_path, ends_at=6, saves=(2, 5))
    so_far = audit(store)
    assert so_far.exit_code == 0
    assert "clean: every example exactly once an epoch so far" in so_far.stdout
    train_attempt(store, tmp_path, ends_at=None, saves=(9, 15))
    shown = audit(store)
    assert shown.exit_code == 0
    assert "attempt 1: steps 0 to 4" in shown.stdout
    assert "attempt 2: steps 5 to 14" in shown.stdout
    assert "epoch 1: 50 of 50 uses, each as often as it should" in shown.stdout
    assert "clean: every example exactly once an epoch\n" in shown.stdout
    answer = json.loads(audit(store, "--json").stdout)
    assert answer["audit"]["complete"]
    assert [(part["attempt"], part["first_step"], part["stop_step"]) for part in answer["attempts"]] == [(1, 0, 5), (2, 5, 15)]
    assert {part["run"] for part in answer["attempts"]} == {answer["run"]}


def test_one_that_used_an_example_twice_is_not(store, tmp_path):
    train_attempt(store, tmp_path, ends_at=None, saves=(15,), loader=planted(double))
    shown = audit(store)
    _, _, order = world()
    assert shown.exit_code == 1
    assert f"1 used too seldom ({order.ids(3)[5]}); 1 used too often ({order.ids(3)[4]})" in shown.stdout
    assert "not clean: the faults above say which examples" in shown.stdout


def test_a_lost_record_does_not_promise_names(store, tmp_path):
    train_attempt(store, tmp_path, ends_at=None, saves=(15,))
    for record in tmp_path.rglob("audit.jsonl"):
        record.unlink()
    shown = audit(store)
    assert shown.exit_code == 1
    assert "not clean: the records do not say which examples" in shown.stdout


@pytest.mark.parametrize("repeats", [4])
def test_of_repeated_augmentation_it_says_how_often_and_that_it_was_asked_for(store, tmp_path, repeats):
    train_attempt(store, tmp_path, ends_at=None, saves=(15,), repeats=repeats)
    shown = audit(store)
    assert shown.exit_code == 0
    assert "clean: every example exactly 4 times in each pass over the data, as `augment.repeats: 4` asks" in shown.stdout
    assert "once" not in shown.stdout
    assert json.loads(audit(store, "--json").stdout)["audit"]["repeats"] == 4


def test_of_a_rehearsal_it_says_that_nothing_was_trained(store):
    with store.write() as session:
        run = session.get(Run, RUN)
        run.config = run.config | {"model": {"family": "nfnet", "name": "nano-F0", "surface": {}}}
    shown = audit(store)
    assert shown.exit_code == 1
    assert "is a rehearsal: nothing was trained" in shown.stdout
    assert "once" not in shown.stdout
    answer = json.loads(audit(store, "--json").stdout)
    assert answer["simulated"]
    assert not answer["audit"]["clean"]
