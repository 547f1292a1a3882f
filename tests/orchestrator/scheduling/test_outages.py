"""What a command and its readers do while something that they need is away: the database's server, the Ray of a rehearsal, the terminal, the scheduler."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api import create_app
from benchmarks.faults.server import Server
from orchestrator.store import Store, lease, queries
from orchestrator.store.models import Lease, Run
from scaling.cli.app import app
from scaling.errors import StoreAway, StoreError
from tests.orchestrator.rows import a_run, accepted, granted
from tests.orchestrator.scheduling.test_end_to_end import Study, assert_ledger_adds_up

REHEARSAL = """\
name: away
dataset: {name: declared, title: rehearsal, train_examples: 200000, validation_examples: 100, num_classes: 10, image_shape: [32, 32, 3]}
models: [F0]
epochs: [20, 21, 22]
batch_size: 100
learning_rate: 0.1
resources: {accelerator: TPU-v4, topology: 1x1x1}
simulate: {chips: 2, speed: 0.1}
"""

# -- the database's server -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(postgres):
    """A server that may be stopped, and a store in it. (`postgres` skips or fails where there is none.)"""
    server = Server()
    try:
        with Store.open(server.url(server.new_database())) as store:
            accepted(store, a_run())
            yield server, store
    finally:
        server.close()


def test_a_server_that_is_away_is_waited_for_and_what_it_cut_off_is_said(served, caplog):
    server, store = served

    def write():
        with store.write() as session:
            session.get(Run, "a" * 16).reason = "never written"
            session.flush()
            server.stop()
            session.scalar(sa.select(Run.id))

    with pytest.raises(StoreAway, match="went away") as cut_off:
        write()
    assert "is it running" in cut_off.value.hint
    assert "disk" not in cut_off.value.hint
    for door in (store.read, store.write):
        with pytest.raises(StoreError, match="refuses: ") as refused, door():
            pass
        assert not isinstance(refused.value, StoreAway)
        assert "is it running" in refused.value.hint
    with pytest.raises(StoreError, match="refuses") as at_first, Store.open_readonly(store.url.render_as_string()):
        pass
    assert "is it running" in at_first.value.hint

    store.wait_for_server()
    assert store.wait_seconds >= 600
    back = threading.Timer(1.0, server.start)
    back.start()
    with store.read() as session:
        assert session.get(Run, "a" * 16).reason == ""
    back.join()
    assert store.away_seconds >= 0.9
    assert "cannot be reached; it is waited for" in caplog.text
    assert "is back after" in caplog.text


def test_a_file_is_waited_for_as_before(tmp_path):
    with Store.open(str(tmp_path / "scaling.db")) as store:
        store.wait_for_server()
        assert store.wait_seconds == lease.LEASE_SECONDS


def test_nobody_takes_over_from_a_scheduler_that_could_not_renew(store, monkeypatch):
    """While the store was away from both, the one who waits for the lease learnt nothing about its holder."""
    clock, away = {"at": 0.0}, {"seconds": 0.0}
    monkeypatch.setattr(lease.time, "monotonic", lambda: clock["at"])
    watch = lease.Watch(lambda: away["seconds"])
    with store.write() as session:
        assert lease.take(session, "one")
        assert not lease.take(session, "two", watch)
    clock["at"], away["seconds"] = 301.0, 300.0
    with store.write() as session:
        assert not lease.take(session, "two", watch)
    clock["at"] = 301.0 + lease.LEASE_SECONDS  # it did not come back with the store
    with store.write() as session:
        assert lease.take(session, "two", watch)


@pytest.fixture
def hears_hangups():
    """Commands that are started here inherit SIGHUP as a terminal has it, also where these tests run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


# -- the Ray of a rehearsal, a second command, and the terminal ------------------------------------------------------------------------


@contextmanager
def running(study, *arguments):
    """A command that does not outlive the test."""
    process = study.start(*arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def child_of(pid, name):
    listed = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(pid)], capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0]) for line in listed.splitlines() if line.split()[1] == name)


def test_a_rehearsal_outlives_its_raylet_and_a_dropped_line_pauses_it_and_who_follows(tmp_path, hears_hangups):
    study = Study(tmp_path, "away")
    (tmp_path / "away.yaml").write_text(REHEARSAL)
    submit = ("submit", "away.yaml", "--simulate", "--yes", "--checkpoint-seconds", "1")
    with ExitStack() as started:
        first = started.enter_context(running(study, *submit))
        study.wait_for("SELECT count(*) FROM attempts WHERE checkpoint_step > 0")
        os.kill(child_of(first.pid, "raylet"), signal.SIGKILL)
        study.wait_for("SELECT count(*) FROM attempts WHERE number = 2 AND last_step > first_step")
        # Only now: while a scheduler starts its Ray again, its lease is free for a moment, and another command may take over.
        second = started.enter_context(running(study, *submit))
        line = second.stderr.readline()
        while "this command follows it" not in line:
            line = second.stderr.readline()
            assert line, "the second command ended"
        assert f"(pid {first.pid})" in line
        first.send_signal(signal.SIGHUP)
        _, said = first.communicate(timeout=60)
        assert first.returncode == 130, said
        assert "the Ray that this command started has died (raylet ended); going on from what is in the store" in said
        _, said = second.communicate(timeout=60)
        assert second.returncode == 130, said
        assert f"(pid {first.pid}) was stopped: 3 runs of away-simulated are paused" in said
    assert {row["status"] for row in study.rows().values()} == {"paused"}
    assert_ledger_adds_up(study.db)


WAITS = """\
import sys, time
from scaling.cli.hangup import stop_on_signals
should_stop = stop_on_signals()
print("ready", flush=True)
while not should_stop():
    time.sleep(0.05)
sys.stdin.read()
sys.exit(7)
"""


@pytest.mark.parametrize(
    ("before", "sent", "code"),
    [
        ((), ("HUP",), 7),
        ((), ("HUP", "HUP"), 7),
        ((), ("HUP", "TERM"), 7),
        ((), ("INT", "HUP"), 7),
        ((), ("INT", "INT"), -signal.SIGINT),
        (("nohup",), ("HUP", "TERM"), 7),
        (("nohup",), ("HUP",), None),
    ],
)
def test_which_signals_ask_a_command_to_pause_and_which_end_it(before, sent, code, hears_hangups):
    process = subprocess.Popen(
        [*before, sys.executable, "-c", WAITS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    for name in sent:
        process.send_signal(getattr(signal, f"SIG{name}"))
        time.sleep(0.1)
    if code is None:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.kill()
    process.communicate(timeout=30)
    assert code in (None, process.returncode)


# -- a scheduler that is gone ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def left(tmp_path):
    """A store whose scheduler was killed while it ran four runs; a fifth waits."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ids = [letter * 16 for letter in "abcde"]
    path = tmp_path / "scaling.db"
    with Store.open(str(path)) as store:
        accepted(store, *[a_run(run) for run in ids])
        for run in ids[:4]:
            granted(store, run)
        with store.write() as session:
            lease.take(session, "me")
            session.get(Lease, "scheduler").pid = gone.pid
        yield store, str(path)


def test_readers_say_that_the_scheduler_is_gone_and_nothing_runs_behind_a_dead_process(left):
    store, path = left
    run = CliRunner().invoke
    status, runs = run(app, ["status", "--db", path]), run(app, ["runs", "--db", path])
    one = run(app, ["runs", "aaaa", "--db", path])
    client = TestClient(create_app(path))
    pages = [client.get(page, headers={"accept": "text/html"}).text for page in ("/experiments", "/experiments/study", "/runs")]
    for text in (status.output, runs.output):
        assert "scheduler gone, 4 interrupted" in text
    assert all("Scheduler gone, 4 interrupted" in page for page in pages)
    for text in (status.output, runs.output, one.output):
        assert "running" not in text
    assert "interrupted" in one.output
    assert json.loads(run(app, ["status", "--db", path, "--json"]).output)["experiments"][0]["runs"] == {"pending": 5}
    of_the_api = client.get("/api/v1/experiments").json()
    assert (of_the_api["scheduler"], of_the_api["interrupted"]) == (None, 4)
    rows = client.get("/api/v1/runs", params={"status": "pending"}).json()
    assert (rows["total"], sum("interrupted" in row["reason"] for row in rows["runs"])) == (5, 4)
    assert client.get("/api/v1/runs", params={"status": "running"}).json()["total"] == 0
    assert client.get("/api/v1/runs/aaaa").json()["run"]["attempt_rows"][0]["outcome"] == "interrupted"
    assert set(store.runs()["status"]) == {"pending"}


def test_a_scheduler_that_lives_runs_what_it_runs(left):
    """And a page that was remembered is not shown again once it has died, though it writes nothing as it dies."""
    store, path = left
    client = TestClient(create_app(path))
    living = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with store.write() as session:
            session.get(Lease, "scheduler").pid = living.pid
        with store.read() as session:
            assert queries.status_counts(session) == {"running": 4, "pending": 1}
            assert queries.interrupted(session) == 0
        first = client.get("/runs.json")
        assert {row["status"] for row in first.json()["runs"]} == {"running", "pending"}
    finally:
        living.kill()
        living.wait()
    second = client.get("/runs.json", headers={"if-none-match": first.headers["etag"]})
    assert second.status_code == 200
    assert {row["status"] for row in second.json()["runs"]} == {"pending"}
