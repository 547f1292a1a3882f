"""`scaling logs`: what a run has printed, of its last attempt or another, as it comes."""

import threading
import time

import pytest
from typer.testing import CliRunner

from orchestrator.store import Store, ledger
from scaling.cli.app import app
from scaling.errors import UnknownName
from scaling.outcomes import AttemptOutcome
from tests.orchestrator.rows import a_run, accepted, granted


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        accepted(store, a_run(), a_run("b" * 16))
        yield store


def attempt(store, tmp_path, text):
    grant = granted(store, home=str(tmp_path / "runs"))
    folder = tmp_path / "runs" / grant.folder
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text(text)
    return grant


def end(store, grant):
    with store.write() as session:
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.PREEMPTED, reason="", charge=ledger.Charge())


def logs(store, *arguments):
    return CliRunner().invoke(app, ["logs", *arguments, "--db", store.name], catch_exceptions=True)


def test_the_last_lines_of_the_last_attempt_or_of_another(store, tmp_path):
    end(store, attempt(store, tmp_path, "old\n"))
    attempt(store, tmp_path, "one\ntwo\nthree\n")
    assert logs(store, "aaaa").output == "one\ntwo\nthree\n"
    assert logs(store, "aaaa", "-n", "1").output == "three\n"
    assert logs(store, "aaaa", "--attempt", "1").output == "old\n"
    assert isinstance(logs(store, "aaaa", "--attempt", "7").exception, UnknownName)


def test_a_run_that_was_not_tried_says_so(store):
    assert "has not been tried yet (pending)" in str(logs(store, "bbbb").exception)


def test_following_ends_with_the_attempt(store, tmp_path):
    grant, said = attempt(store, tmp_path, "one\n"), []
    thread = threading.Thread(target=lambda: said.append(logs(store, "aaaa", "--follow").output))
    thread.start()
    time.sleep(0.3)
    with (tmp_path / "runs" / grant.folder / "log.txt").open("a") as log:
        log.write("two\n")
    time.sleep(0.8)
    assert thread.is_alive()
    end(store, grant)
    thread.join(timeout=20)
    assert said == ["one\ntwo\n"]
