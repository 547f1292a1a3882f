"""Runs that were rehearsed, not trained, are marked as simulated wherever runs, experiments and laws are shown."""

import html
import re

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api import create_app
from orchestrator.resources import Resources
from orchestrator.store import Store, ledger
from scaling.cli.app import app
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import a_run, accepted, granted

IDS = [digit * 16 for digit in "123456"]


def rehearse(store):
    """Write six rehearsals, all but the last finished; and an experiment that was trained."""
    changes = {"rehearsal": True, "resources": Resources("TPU-v4", 1, stated=8)}
    runs = [a_run(run, epochs=1.0 + place, train_flops=1e9 * (1 + place), **changes) for place, run in enumerate(IDS)]
    accepted(store, *runs, name="rehearsal")
    accepted(store, a_run("0" * 16), name="trained")
    for place, run in enumerate(IDS[:-1]):
        end(store, granted(store, run), AttemptOutcome.FINISHED, {"val_loss": 3.0 * 0.8**place})
    end(store, granted(store, IDS[-1]), AttemptOutcome.DIVERGED, None)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "scaling.db"
    with Store.open(str(path)) as store:
        rehearse(store)
    return str(path)


def end(store, grant, outcome, result):
    with store.write() as session:
        ledger.end_attempt(
            session, grant.token, outcome=outcome, reason="", charge=ledger.Charge(useful=1.0), last_step=100, result=result
        )


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/experiments", "rehearsal (simulated)"),
        ("/experiments/rehearsal", "rehearsal (simulated)"),
        ("/experiments/rehearsal", "diverged nano-F0 (simulated)"),
        ("/runs?experiment=rehearsal", "finished nano-F0 (simulated)"),
        (f"/runs/{IDS[0]}", "nano-F0 (simulated) · on digits · 1 epoch"),
        ("/frontier?experiment=rehearsal&x=train_flops", "These runs are simulated."),
    ],
)
def test_pages(database, path, told):
    response = TestClient(create_app(database)).get(path)
    assert response.status_code == 200
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())
    assert told in text, text


def test_commands(database):
    def printed(*arguments):
        return CliRunner().invoke(app, [*arguments, "--db", database], env={"COLUMNS": "200"}).stdout

    table = [*printed("status").splitlines(), ""]
    rehearsed, trained = (next(line for line in table if line.startswith(name)) for name in ("rehearsal", "trained"))
    assert "(simulated)" in rehearsed + table[table.index(rehearsed) + 1]  # a long cell is wrapped
    assert "(simulated)" not in trained + table[table.index(trained) + 1]
    assert f"diverged: {IDS[-1]} nano-F0 (simulated), 6 epochs" in printed("status")
    assert printed("runs").count("(simulated)") == 6
    assert printed("runs", "0" * 16).count("(simulated)") == 0
    assert "model  nano-F0 (simulated)" in printed("runs", IDS[0])
    fitted = printed("fit", "--experiment", "rehearsal", "--x", "train_flops", "--law", "power", "--on", "all")
    assert "rehearsed  these runs are simulated" in fitted
