"""Registered predictions: written once, changed by nobody, scored by the runs that come after."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
import sqlalchemy as sa
import typer
import yaml
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

import scaling
from orchestrator.store import Store, open_readonly, predictions, schema
from orchestrator.store.grid import accept
from orchestrator.store.ledger import open_allocation
from orchestrator.store.models import Prediction
from scaling.cli.plan import plan_command
from scaling.cli.predict import predict_command
from scaling.cli.transfer import transfer_command
from scaling.errors import StoreError, UnknownName, UsageError
from tests.api import small_grid
from tests.conftest import upgrade

FIT = {"law": "power", "metric": "val_loss", "on": "frontier", "level": 0.95, "run_ids": ["a" * 16]}
ROW = {
    "at": {"core_hours": 10.0}, "slope": {"core_hours": -0.2}, "value": 0.5, "mean_low": 0.48, "mean_high": 0.52, "low": 0.45, "high": 0.55,
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        yield store


def register(store, name="before", rows=(ROW,), experiment=None):
    with store.write() as session:
        return predictions.register(session, name=name, experiment=experiment, fit=FIT, rows=rows, code_version="0.1.0")


def test_what_was_registered_is_read_back(store):
    register(store, rows=(ROW, ROW | {"at": {"core_hours": 20.0}, "value": 0.4}))
    register(store, "other")
    with store.read() as session:
        rows = predictions.registered(session)
        assert [(row["name"], row["number"], row["value"]) for row in rows] == [
            ("before", 1, 0.5),
            ("before", 2, 0.4),
            ("other", 1, 0.5),
        ]
        assert rows[0]["at"] == {"core_hours": 10.0}
        assert rows[0]["run_ids"] == ["a" * 16]
        assert rows[0]["created_at"].endswith("+00:00")
        assert len(predictions.registered(session, name="before")) == 2
        with pytest.raises(UnknownName, match="registered prediction 'befor'"):
            predictions.registered(session, name="befor")


def test_a_name_is_taken_for_good(store):
    register(store)
    with pytest.raises(UsageError, match="registered predictions cannot be changed"):
        register(store)
    with pytest.raises(UsageError, match="needs a name"):
        register(store, "  ")
    with pytest.raises(UnknownName, match="experiment 'nope'"):
        register(store, "third", experiment="nope")


@pytest.mark.parametrize("statement", [sa.update(Prediction).values(value=0.1), sa.delete(Prediction)])
def test_the_database_itself_refuses_changes(store, statement):
    register(store)
    with pytest.raises(IntegrityError, match="registered predictions cannot be changed"), store.write() as session:
        session.execute(statement)
    with store.read() as session:
        assert predictions.registered(session)[0]["value"] == 0.5


def test_a_store_of_the_version_before_is_brought_up_to_date(tmp_path, monkeypatch):
    from alembic import command

    head = schema.head_revision()
    up_to = command.upgrade
    monkeypatch.setattr(schema, "_upgrade", upgrade)
    monkeypatch.setattr(command, "upgrade", lambda config, _: up_to(config, "0001"))
    Store.open(str(tmp_path / "old.db")).close()
    monkeypatch.undo()
    with Store.open(str(tmp_path / "old.db")) as store:
        register(store)
    assert (tmp_path / f"old.db.before-{head}").exists()


# -- the command ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.db"
    small_grid.fill(path)
    return path


@pytest.fixture
def filled(small, tmp_path):
    return str(shutil.copy(small, tmp_path / "filled.db"))


def run(command, *arguments):
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_register_then_run_then_score(filled):
    asked = ["--db", filled, "--law", "power", "--on", "all", "--x", "flops", "--experiment", "digits"]
    flops = small_grid.run_row("nano-F3", 32, 0)["train_flops"]
    payload = json.loads(run(predict_command, *asked, "--at", str(flops), "--register", "before-32", "--json"))
    assert payload["registered"][0]["name"] == "before-32"
    assert payload["registered"][0]["value"] == payload["predictions"][0]["mean"]["value"]
    assert payload["predictions"][0]["beyond"] == pytest.approx(2.0, rel=1e-3)
    with pytest.raises(UsageError, match="cannot be changed"):
        run(predict_command, *asked, "--at", "1e12", "--register", "before-32")
    waiting = json.loads(run(predict_command, "--score", "--db", filled, "--json"))
    assert waiting["scored"] == 0
    assert waiting["waiting"][0]["reason"] == "no run near it has ended since"

    row = small_grid.run_row("nano-F3", 32, 0, number=900)
    with Store.open(filled) as store, store.write() as session:
        accept(session, name="big", file="b.yaml", text="", resolved={"name": "big"}, shared={}, runs=[row])
        allocation = open_allocation(session, scheduler="test", shape="any", accelerator="cpu", cores=1)
        small_grid._finish(session, row, allocation)
    scored = json.loads(run(predict_command, "--score", "--db", filled, "--json"))
    assert scored["scored"] == 1
    assert scored["scores"][0]["run_ids"] == [row["id"]]
    assert scored["scores"][0]["observed"] == pytest.approx(small_grid.val_loss("nano-F3", row["epochs"], 0))
    assert f"{scored['hits']} of 1 inside" in run(predict_command, "--score", "--db", filled)
    assert run(predict_command, "--score", "--db", filled, "--csv").splitlines()[0].startswith("name,registered_at,metric")


def test_predict_refusals(filled):
    with pytest.raises(UsageError, match="predict where"):
        run(predict_command, "--db", filled)
    with pytest.raises(UsageError, match="--register keeps a prediction in the store"):
        run(predict_command, "--data", "x.csv", "--at", "1", "--register", "n")
    with pytest.raises(UsageError, match="--score compares"):
        run(predict_command, "--score", "--at", "1", "--db", filled)
    with pytest.raises(UsageError, match="is not a number"):
        run(predict_command, "--at", "many", "--law", "power", "--db", filled)
    with pytest.raises(StoreError, match="no store"):
        run(predict_command, "--score", "--db", filled + ".none")


# -- candidates of an experiments file -----------------------------------------------------------------------------------------------

FILE = """
name: digits
dataset: {name: digits}
models: [nano-F0, nano-F1, nano-F3]
epochs: [1, 2, 32]
batch_size: 64
learning_rate: 1.6
seeds: [0, 1]
"""


def test_candidates_are_the_cells_that_are_not_done(filled, tmp_path):
    from orchestrator.experiments_file import read_spec
    from orchestrator.planning.candidates import candidate_cells
    from orchestrator.planning.plan import make_plan
    from orchestrator.planning.priced import price, rates_in

    path = tmp_path / "more.yaml"
    path.write_text(FILE)
    planned = make_plan(*read_spec(path))
    runs = open_readonly(filled).runs()
    cells = candidate_cells(planned, runs)
    assert len(cells) == 9  # the small grid's ids are its own
    assert cells["runs"].tolist() == cells["seeds"].tolist() == [2] * 9
    priced = candidate_cells(price(planned, rates_in(runs)).plan, runs)
    finished = runs[(runs["status"] == "finished")]
    speed = finished["core_hours"].sum() / finished["train_flops"].sum()
    row = priced[(priced["model"] == "nano-F1") & (priced["epochs"] == 32)].iloc[0]
    assert row["core_hours"] == pytest.approx(2 * row["train_flops"] * speed)
    elsewhere = runs.assign(accelerator="H100")
    assert rates_in(runs.assign(status="diverged")).by_family == {}
    assert price(planned, rates_in(elsewhere)).measured == 0
    done = runs.assign(id=[planned.runs[0].id, *runs["id"][1:]])
    assert candidate_cells(planned, done)["runs"].tolist() == [1] + [2] * 8
    assert cells["core_hours"].sum() == pytest.approx(planned.estimated_core_hours)


def test_a_cell_of_fine_tuning_is_no_cell_that_was_trained(filled, tmp_path):
    """By family, model and epochs a fine-tuning may look like a cell of the file."""
    runs = open_readonly(filled).runs()
    tuned = runs.head(1).assign(id="f" * 16, model="nano-F3", epochs=32.0, stage="finetuning", parent=runs["id"].iloc[0])
    study = {**yaml.safe_load(FILE), "learning_rate": {"policy": "two-trial", "start": 1.6}}
    asked = {"budget": 1.0, "target": 0.1, "law": "power"}
    chosen = [scaling.plan(table, study, **asked) for table in (runs, pd.concat([runs, tuned], ignore_index=True))]
    assert chosen[0].candidates == chosen[1].candidates
    with pytest.raises(UsageError, match="a plan is of runs to pre-train"):
        scaling.plan(runs, study, metric="finetune_val_loss", **asked)


def test_plan_command_prices_the_cells_of_a_file(filled, tmp_path):
    path = tmp_path / "more.yaml"
    path.write_text(FILE)
    asked = [str(path), "--budget", "1", "--target", "0.1", "--law", "power", "--experiment", "digits", "--db", filled]
    payload = json.loads(run(plan_command, *asked, "--json"))
    assert payload["candidates"] == 9
    assert payload["core_hours"] <= 1
    assert payload["chosen"]
    assert "afterwards about" in run(plan_command, *asked)
    assert run(plan_command, *asked, "--csv").splitlines()[0].startswith("family,model,epochs,params")


def test_transfer_reads_the_parent_links_of_the_store(filled):
    rows = []
    for number, (model, epochs, seed) in enumerate(small_grid._grid()):
        if seed == 0:
            own = small_grid.run_row(model, 50 + epochs, 0, number=700 + number)
            rows.append(own | {"parent_id": small_grid.run_row(model, epochs, 0, number=number)["id"], "dataset": "small"})
    with Store.open(filled) as store, store.write() as session:
        accept(session, name="finetune", file="f.yaml", text="", resolved={"name": "finetune"}, shared={}, runs=rows)
        allocation = open_allocation(session, scheduler="test", shape="any", accelerator="cpu", cores=1)
        for row in rows:
            small_grid._finish(session, row, allocation)
    payload = json.loads(
        run(transfer_command, "--db", filled, "--upstream", "val_loss", "--downstream", "finetune_val_loss", "--json")
    )
    assert len(payload["checkpoints"]) == 15
    assert (payload["x"], payload["upstream"], payload["downstream"]) == ("core_hours", "val_loss", "finetune_val_loss")
    assert {entry["runs"] for entry in payload["checkpoints"]} == {1}
    shown = run(transfer_command, "--db", filled, "--downstream", "finetune_val_loss")
    assert "Rank correlation of val_loss and finetune_val_loss over 15 checkpoints" in shown
