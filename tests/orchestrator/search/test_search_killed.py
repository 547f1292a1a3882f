"""A two-trial search of two settings, of real runs through the real command: its scheduler is killed, and nothing comes out differently."""

import os
import sqlite3
import time

from orchestrator.search.two_trial import LEAST_GAIN
from tests.orchestrator.scheduling.test_end_to_end import TINY, Study, assert_ledger_adds_up

FILE = """\
name: found
dataset: {name: digits}
models: [TINY]
epochs: [0.25, 0.5]
batch_size: 64
learning_rate: {policy: two-trial, start: 0.8, second: {weight_decay: {start: 0.002, factor: 4}}}
seeds: [0, 1]
optimizer: {clip: 0.16}
resources: {cores: CORES}
"""


def study_in(folder):
    folder.mkdir()
    text = FILE.replace("TINY", TINY).replace("CORES", str(len(os.sched_getaffinity(0))))  # all runs in one process
    (folder / "found.yaml").write_text(text)
    return Study(folder, "found", quickly=True)


def runs_and_rates(study):
    with sqlite3.connect(study.db) as connection:
        runs = connection.execute("SELECT id, epochs, learning_rate, seed, status, val_loss FROM runs ORDER BY id").fetchall()
        rates = connection.execute("SELECT epochs, state, trials, learning_rate FROM searches ORDER BY epochs").fetchall()
    return runs, rates


def finished_runs(study):
    if not study.db.exists():
        return -1
    with sqlite3.connect(f"file:{study.db}?mode=ro", uri=True) as connection:
        try:
            return connection.execute("SELECT count(*) FROM runs WHERE status = 'finished'").fetchone()[0]
        except sqlite3.OperationalError:
            return -1  # the tables are being made


def test_a_search_of_two_settings_that_is_killed_finds_the_same(tmp_path):
    undisturbed, killed = study_in(tmp_path / "undisturbed"), study_in(tmp_path / "killed")
    _, err = undisturbed.run("submit", "found.yaml")
    assert "learning rates of 2 cells found in" in err
    process, deadline = killed.start("submit", "found.yaml"), time.monotonic() + 240
    try:
        while finished_runs(killed) < 4:  # the first cell walks over the second setting, or is about to
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.communicate()
    assert [rate for *_, rate in runs_and_rates(killed)[1]].count(None) >= 1
    done = {row["id"] for row in killed.rows().values() if row["status"] == "finished"}
    killed.run("submit", "found.yaml")
    assert len(done) >= 2
    assert {row["attempts"] for row in killed.rows().values() if row["id"] in done} == {1}, "what had finished is not done again"

    assert runs_and_rates(killed) == runs_and_rates(undisturbed)
    assert {status for *_, status, _ in runs_and_rates(killed)[0]} == {"finished"}
    assert [state for _, state, *_ in runs_and_rates(killed)[1]] == ["settled"] * 2
    assert found_in(killed) == found_in(undisturbed)
    with sqlite3.connect(killed.db) as connection:
        runs = connection.execute(
            "SELECT epochs, learning_rate, json_extract(config, '$.optimizer.weight_decay'), seed, val_loss FROM runs"
        ).fetchall()
    for epochs, rate, decay in found_in(killed):
        losses = {(lr, wd): loss for budget, lr, wd, seed, loss in runs if (budget, seed) == (epochs, 0)}
        assert {(rate, decay / 4), (rate, decay * 4)} <= {(lr, wd) for lr, wd in losses}
        assert losses[rate, decay] * (1 - LEAST_GAIN) <= min(losses[rate, decay / 4], losses[rate, decay * 4])
        assert {seed for budget, lr, wd, seed, _ in runs if (budget, lr, wd) == (epochs, rate, decay)} == {0, 1}
    assert_ledger_adds_up(killed.db)


def found_in(study):
    with sqlite3.connect(study.db) as connection:
        return connection.execute("SELECT epochs, learning_rate, second FROM searches ORDER BY epochs").fetchall()
