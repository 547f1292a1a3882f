"""`scaling status --watch`: what `submit` shows, of a store or of a server, until nothing is left to do."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

import scaling.cli.server
from api import create_app
from orchestrator.store import Store
from orchestrator.store.models import Run
from scaling.cli import watching
from scaling.cli.fetch import Answer
from scaling.cli.status import status_command
from scaling.cli.steering import pause_command
from scaling.cli.watching import looks_at, watch
from scaling.errors import UsageError
from tests.api.small_grid import begin


@pytest.fixture
def path(tmp_path):
    begin(tmp_path / "begun.db", finished=12)
    return tmp_path / "begun.db"


@pytest.fixture
def server(path, monkeypatch):
    """The application over the store, in place of the network between."""
    client = TestClient(create_app(str(path)))

    def fetch(address, **_limits):
        answer = client.get(address.removeprefix("http://head:8000"))
        return Answer(answer.status_code, answer.content, address)

    monkeypatch.setattr(scaling.cli.server, "fetch", fetch)
    return "http://head:8000"


def test_a_server_tells_what_the_store_does(path, server):
    here, there = looks_at(str(path), None)(), looks_at("none.db", server)()
    assert here == there
    assert (here.experiment, here.sentence) == ("digits", "12 of 30")


def test_it_ends_when_nothing_is_left_to_do(path, capsys):
    with Store.open(str(path)) as store, store.write() as session:
        session.execute(update(Run).where(Run.status != "finished").values(status="cancelled"))
    watch(looks_at(str(path), None))
    assert "30 runs: 12 finished, 18 cancelled" in capsys.readouterr().err


def test_without_a_scheduler_it_says_once_that_it_waits(path, capsys, monkeypatch):
    monkeypatch.setattr(watching, "_LOOK_SECONDS", 0.0)
    look, looks = looks_at(str(path), None), iter(range(4))

    def look_four_times():
        if next(looks) == 3:
            with Store.open(str(path)) as store, store.write() as session:
                session.execute(update(Run).where(Run.status != "finished").values(status="cancelled"))
        return look()

    watch(look_four_times)
    assert capsys.readouterr().err.count("no scheduler is at work") == 1


def test_a_request_that_waits_for_a_scheduler_says_so(path, capsys):
    pause_command(everything=True, db=str(path))
    assert "no scheduler is at work, and the next one does it" in capsys.readouterr().err


def test_a_stream_is_no_json(path):
    with pytest.raises(UsageError, match="do not go together"):
        status_command(watch=True, db=str(path), as_json=True)
