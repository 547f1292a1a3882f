"""The real command while what it writes to goes away: its database for good, its folder of runs for a while; and two stores in one home."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress

import pytest

FILE = """\
name: rehearsal
dataset: {name: declared, title: rehearsal, train_examples: 200000, validation_examples: 100, num_classes: 10, image_shape: [32, 32, 3]}
models: [F0]
epochs: [1, 1.5, 2]
batch_size: 100
learning_rate: 0.1
resources: {accelerator: TPU-v4, topology: 1x1x1}
simulate: {chips: 1, speed: 3}
"""


def submit(folder, database, home):
    (folder / "grid.yaml").write_text(FILE)
    environment = os.environ | {"SCALING_DB": str(database), "SCALING_HOME": str(home), "NO_COLOR": "1"}
    command = [sys.executable, "-P", "-m", "scaling.cli", "submit", "grid.yaml", "--simulate", "--yes", "--json"]
    command += ["--checkpoint-seconds", "1"]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def rows(database, query):
    store = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return store.execute(query).fetchall()
    finally:
        store.close()


def at_work(database):
    """Directories of attempts that have got somewhere and are open."""
    with suppress(sqlite3.Error):
        return rows(database, "SELECT directory FROM attempts WHERE ended_at IS NULL AND last_step > 0")
    return []


def until(condition, *processes, seconds=120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        for process in processes:
            assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    return found


def ended(*processes):
    """Exit codes and words of commands."""
    try:
        return [(process.communicate(timeout=150)[1], process.returncode) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()


def test_two_stores_in_one_home_at_once_while_it_goes_away_and_comes_back(tmp_path):
    home, databases = tmp_path / "runs", [tmp_path / "one.db", tmp_path / "two.db"]
    processes = [submit(tmp_path, database, home) for database in databases]
    try:
        for database in databases:
            until(lambda database=database: at_work(database), *processes)
        home.rename(tmp_path / "away")
        time.sleep(4.0)
        (tmp_path / "away").rename(home)
    finally:
        words = ended(*processes)
    assert [code for _, code in words] == [0, 0], words
    folders = []
    for database in databases:
        statuses = rows(database, "SELECT status, count(*), min(val_loss) FROM runs GROUP BY status")
        assert [status[:2] for status in statuses] == [("finished", 3)]
        outcomes = {outcome for (outcome,) in rows(database, "SELECT DISTINCT outcome FROM attempts")}
        assert outcomes <= {"finished", "storage"}
        folders.append({directory for (directory,) in rows(database, "SELECT directory FROM attempts WHERE outcome = 'finished'")})
    assert not folders[0] & folders[1]
    assert all(os.path.isfile(f"{directory}/result.json") for directory in folders[0] | folders[1])
    assert not list(home.rglob("*.old-*")), "nothing of the other was moved aside"


@pytest.mark.parametrize("vanish", ["deleted", "replaced", "without its log"])
def test_a_command_whose_database_goes_away_ends_with_an_error(tmp_path, vanish):
    database = tmp_path / "scaling.db"
    process = submit(tmp_path, database, tmp_path / "runs")
    try:
        until(lambda: at_work(database), process)
        if vanish == "replaced":
            with sqlite3.connect(database) as old, sqlite3.connect(tmp_path / "copy.db") as copy:
                old.backup(copy)
            (tmp_path / "copy.db").replace(database)
        elif vanish == "without its log":
            for side in ("-wal", "-shm"):
                (tmp_path / f"scaling.db{side}").unlink()
        else:
            database.unlink()
    finally:
        [(words, code)] = ended(process)
    assert code == 1
    assert "was deleted, moved or replaced while this command used it" in words
    assert "Traceback" not in words
    if vanish == "without its log":
        assert "was saved into the file" in words
        assert rows(database, "SELECT count(*) FROM runs") == [(3,)]
