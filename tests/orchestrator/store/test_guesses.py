"""A run that does no better than guessing says so with a code, wherever it is shown and wherever it enters a law."""

import json
import math
import sqlite3

import jax
import numpy as np
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

import analysis
from api import create_app
from orchestrator.experiments_file import read_spec
from orchestrator.main_job import ending
from orchestrator.planning.accept import accept_plan
from orchestrator.planning.plan import make_plan
from orchestrator.store import Store, ledger, queries, schema
from orchestrator.store.ledger import Charge
from scaling.cli.app import app
from scaling.cli.closing import close
from scaling.outcomes import NO_BETTER_THAN_GUESSING, AttemptOutcome
from tests.orchestrator.rows import a_run, accepted
from tests.trainer.test_train import make_config
from trainer import DataConfig, ModelConfig, ScheduleConfig, data, train
from trainer.evaluate import Scores, evaluate
from trainer.program import program_for

FILE = """\
name: study
dataset: {name: digits}
models: [nano-F0, nano-F1]
epochs: [1, 2, 4]
batch_size: 64
learning_rate: {nano-F0: 1.0, nano-F1: {grid: [1.0e-9], epochs: [1], otherwise: 1.0}}
"""

TINY = ModelConfig("nfnet", "tiny", {"width": [8], "depth": [1], "group_width": 4, "stem": "medium"})


def test_an_evaluation_knows_its_error_and_the_loss_of_guessing():
    config, digits = make_config(model=TINY), data.load("digits", {})
    program = program_for(config)
    params = program.initial_state(config).params
    scores = evaluate(program, {"params": params}, digits)
    images, labels, _ = digits.validation.gather(np.arange(len(digits.validation)))
    losses = -np.asarray(jax.nn.log_softmax(program.module.apply({"params": params}, images)))[np.arange(len(labels)), labels]
    shares = np.bincount(labels) / len(labels)
    assert scores.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert scores.standard_error == pytest.approx(losses.std() / math.sqrt(len(labels)), rel=1e-3)
    assert scores.chance_loss == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-12)


@pytest.mark.parametrize(("loss", "is_guess"), [(2.30, True), (2.28, True), (2.27, False)])
def test_two_standard_errors_decide(loss, is_guess):
    assert Scores(loss, 0.1, 0.5, 450, 1.0, standard_error=0.01, chance_loss=2.299).is_guess is is_guess


def test_a_run_that_learnt_nothing_is_finished_with_the_code(tmp_path):
    config = make_config(
        model=TINY,
        data=DataConfig("digits", data.card("digits", {})),
        schedule=ScheduleConfig(epochs=0.1),
        learning_rate=1e-9,
    )
    result = train(config, directory=tmp_path)
    assert result.outcome is AttemptOutcome.FINISHED
    assert result.reason.startswith(f"{NO_BETTER_THAN_GUESSING}: val_loss 2.30")
    assert result.val_loss > result.chance_loss - 0.01


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A grid whose runs have ended, one of them where it began: plan and store."""
    folder = tmp_path_factory.mktemp("ended")
    (folder / "e.yaml").write_text(FILE)
    plan, store = make_plan(*read_spec(folder / "e.yaml")), Store.open(str(folder / "scaling.db"))
    accept_plan(store, plan)
    reason = (
        f"{NO_BETTER_THAN_GUESSING}: val_loss 2.302 is not two standard errors (0.001) below chance_loss 2.301, which guessing has"
    )
    for run in plan.runs:
        learnt = run.config.learning_rate > 0.1
        with store.write() as session:
            allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=1)
            grant = ledger.begin_attempt(session, run.id, allocation_id=allocation, home="/home")
            result = {"val_loss": 50 * run.train_flops**-0.2 if learnt else 2.302, "val_top1": 0.5, "chance_loss": 2.301}
            ledger.end_attempt(
                session,
                grant.token,
                outcome=AttemptOutcome.FINISHED,
                reason="" if learnt else reason,
                charge=Charge(useful=run.train_flops / 1e7),
                result=result,
            )
    yield plan, store
    store.close()


def test_the_code_is_in_every_answer(ended, capsys):
    plan, store = ended
    (guess,) = [run.id for run in plan.runs if run.config.learning_rate < 0.1]

    def told(*arguments):
        return CliRunner().invoke(app, [*arguments, "--db", store.name], env={"COLUMNS": "250"}, catch_exceptions=False).stdout

    assert f"study: {NO_BETTER_THAN_GUESSING}: 1 finished run ({guess})" in told("status")
    assert json.loads(told("status", "--json"))["experiments"][0]["no_better_than_guessing"] == [guess]
    rows = {row["id"]: row for row in json.loads(told("runs", "--json"))["runs"]}
    assert {row["chance_loss"] for row in rows.values()} == {2.301}
    assert [row["id"] for row in rows.values() if row["reason"].startswith(NO_BETTER_THAN_GUESSING)] == [guess]
    fits = json.loads(told("fit", "--json", "--on", "all"))["fits"]
    assert len(fits) == 2
    assert all(NO_BETTER_THAN_GUESSING in [entry["code"] for entry in fit["diagnostics"]] for fit in fits)
    client = TestClient(create_app(store.name))
    assert all(NO_BETTER_THAN_GUESSING in client.get(page).text for page in (f"/runs/{guess}", "/runs", "/experiments/study"))
    close(ending(store, plan.spec.name, "done"), as_json=True)
    assert f"finished: {guess} (nano-F1, 1 epochs, lr 1e-09): {NO_BETTER_THAN_GUESSING}" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_table_without_the_reasons_is_judged_by_its_numbers(ended):
    runs = ended[1].runs()
    codes = [entry.code.value for entry in analysis.fit(runs.drop(columns="reason"), law="power").diagnostics]
    assert "chance-level" in codes
    assert NO_BETTER_THAN_GUESSING not in codes


def test_a_store_of_the_version_before_gets_the_column(tmp_path, monkeypatch):
    from alembic import command

    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0003"))
    Store.open(str(tmp_path / "old.db")).close()
    monkeypatch.undo()
    with Store.open(str(tmp_path / "old.db")) as store:
        accepted(store, a_run())
        with store.read() as session:
            assert queries.runs(session)[0]["chance_loss"] is None
    with sqlite3.connect(tmp_path / f"old.db.before-{schema.head_revision()}") as copy:
        assert "chance_loss" not in [row[1] for row in copy.execute("PRAGMA table_info(runs)")]
