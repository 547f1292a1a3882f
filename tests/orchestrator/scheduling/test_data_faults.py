"""One bad image ends three runs, not all of them; it is said once, and mending it lets the rest go on."""

import os
import re
import socket
import threading
from contextlib import contextmanager

import pytest
import uvicorn
from typer.testing import CliRunner

from api import create_app
from orchestrator.scheduling.data_faults import ENOUGH, HELD, DataFaults, data_of
from orchestrator.scheduling.queue import Queue
from orchestrator.store import Store, ledger, queries
from orchestrator.store.grid import explain
from orchestrator.store.ledger import Charge
from orchestrator.store.models import Run
from scaling.cli.app import app
from scaling.cli.endings import endings, skipped
from scaling.outcomes import AttemptOutcome, RunStatus
from tests.orchestrator.rows import a_run, accepted, granted
from tests.orchestrator.scheduling.test_end_to_end import Study
from tests.trainer import pictures

REASON = "validation example 2 (ant/002.jpg): damaged JPEG (mend it)"


def of(data, *numbers):
    config = {"data": {"name": "imagefolder", "options": {"path": data}, "card": {"fingerprint": data}}}
    return [a_run(f"{data}{number:015d}", config=config, seed=number) for number in numbers]


def fail(store, faults, row, reason=REASON):
    grant = granted(store, row["id"])
    with store.write() as session:
        ledger.end_attempt(session, grant.token, outcome=AttemptOutcome.RAISED, reason=reason, charge=Charge())
    return faults.note(row["id"], row["config"], reason)


def waiting(store, faults):
    """What may start, and what is held back."""
    queue = Queue()
    with store.read() as session:
        queue.refresh(session, lambda run: None, faults.held)
    free = {run.id for group in queue.workloads() for run in queue._runs[group]}
    return free, queue.left_out


def test_the_third_run_that_fails_of_one_fault_holds_the_others_of_its_data_back(store):
    rows, others, faults = of("a", *range(6)), of("b", 0, 1), DataFaults()
    accepted(store, *rows)
    accepted(store, *others, name="another")
    assert [fail(store, faults, row) for row in rows[:3]] == [False, False, True]
    free, held = waiting(store, faults)
    assert free == {row["id"] for row in others}
    assert held == {row["id"]: HELD for row in rows[3:]}
    assert faults.faulty == {data_of(rows[0]["config"])}


def test_other_words_are_another_fault_and_one_run_counts_once(store):
    rows, faults = of("a", *range(6)), DataFaults()
    accepted(store, *rows)
    for number, row in enumerate(rows[:5]):
        assert not fail(store, faults, row, f"{REASON} {number // 2}")
    for _ in range(3):
        assert not faults.note(rows[5]["id"], rows[5]["config"], REASON)
    assert waiting(store, faults) == ({rows[5]["id"]}, {})


def test_which_training_example_a_run_meets_first_does_not_matter(store):
    rows, faults = of("a", *range(6)), DataFaults()
    accepted(store, *rows)
    said = [f"train example {number} (b/{number}.png): damaged PNG (mend it)" for number in range(3)]
    assert [fail(store, faults, row, reason) for row, reason in zip(rows, said, strict=False)] == [False, False, True]
    assert set(waiting(store, faults)[1]) == {row["id"] for row in rows[3:]}
    with store.write() as session:
        explain(session, waiting(store, faults)[1])
    following = DataFaults()
    with store.read() as session:
        following.restore(session)
    assert following.faulty == faults.faulty


def test_the_next_scheduler_knows_and_a_new_submit_tries_anew(store):
    rows, faults = of("a", *range(6)), DataFaults()
    accepted(store, *rows)
    for row in rows[:ENOUGH]:
        fail(store, faults, row)
    with store.write() as session:
        explain(session, waiting(store, faults)[1])
    following = DataFaults()
    with store.read() as session:
        following.restore(session)
    assert waiting(store, following) == (set(), {row["id"]: HELD for row in rows[3:]})
    accepted(store, *rows)
    assert waiting(store, following) == ({row["id"] for row in rows}, {})  # the three are tried again
    with store.read() as session:
        assert {run.reason for run in session.query(Run)} == {""}
        afresh = DataFaults()
        afresh.restore(session)
    assert not afresh.faulty


def test_a_run_of_the_three_that_is_tried_again_lets_all_go_on(store):
    rows, faults = of("a", *range(5)), DataFaults()
    accepted(store, *rows)
    for row in rows[:ENOUGH]:
        fail(store, faults, row)
    with store.write() as session:
        session.get(Run, rows[1]["id"]).status = RunStatus.PENDING
    assert waiting(store, faults)[1] == {}
    assert fail(store, faults, rows[1])  # it was not mended
    assert set(waiting(store, faults)[1]) == {rows[3]["id"], rows[4]["id"]}


def test_what_runs_say_in_the_same_words_is_said_once():
    rows = [{"id": f"{n:016d}", "status": "failed" if n < 5 else "pending", "reason": "r" if n != 2 else "s"} for n in range(7)]
    rows += [{"id": f"{n:016d}", "status": "diverged", "reason": "r"} for n in (7, 8)]
    assert endings(rows, lambda row: f"{row['id']} (tiny)") == [
        f"failed: 4 runs ({0:016d}, {1:016d}, {3:016d}, …): r",
        f"failed: {2:016d} (tiny): s",
        f"pending: 2 runs ({5:016d}, {6:016d}): r",
        f"diverged: {7:016d} (tiny): r",
        f"diverged: {8:016d} (tiny): r",
    ]


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (None, None),
        ({"runs": 1, "examples": 1}, "x: 1 run skipped 1 training image that could not be read; `scaling audit RUN` names them"),
        ({"runs": 36, "examples": 1200}, "x: 36 runs skipped up to 1,200 training images each that could not be read; `scaling audit RUN` names them"),
    ],
)  # fmt: skip
def test_skipped_images_in_a_sentence(found, line):
    assert skipped({"name": "x", "skipped": found}) == line


@contextmanager
def served(database):
    """The address of a server on the loopback interface."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(database), log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_status_and_runs_say_once_which_runs_are_held_back(tmp_path):
    url = str(tmp_path / "scaling.db")
    rows, faults = of("a", *range(8)), DataFaults()
    with Store.open(url) as store:
        accepted(store, *rows)
        for row in rows[:ENOUGH]:
            fail(store, faults, row)
        with store.write() as session:
            explain(session, waiting(store, faults)[1])
    with served(url) as address:
        for where in (["--db", url], ["--server", address]):
            for command in ("status", "runs"):
                said = " ".join(CliRunner().invoke(app, [command, *where], catch_exceptions=False).stdout.split())
                assert said.count(HELD) == said.count(REASON) == 1
                assert f"5 runs ({', '.join(row['id'] for row in rows[3:6])}, …): {HELD}" in said
                assert f"3 runs ({', '.join(row['id'] for row in rows[:3])}): {REASON}" in said


STUDY = """\
name: bad
dataset: {name: imagefolder, path: images, train_px: 24}
models: [{name: tiny, width: [8], depth: [1], group_width: 4, stem: medium}]
epochs: [1]
batch_size: 7
learning_rate: 0.1
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
execution: {on_bad_example: skip}
resources: {cores: CORES}
"""


def spoilt(folder, every):
    """The images with every so-many-th training image cut in half; how many."""
    images = pictures.small_set()
    bad = [number for number in range(len(images["train"])) if number % every == 0]
    for number in bad:
        name, content, label = images["train"][number]
        images["train"][number] = (name, content[: len(content) // 2], label)
    pictures.write_folder(folder, images)
    return len(bad)


def test_more_bad_images_than_may_be_skipped_end_three_runs_and_are_said_once(tmp_path):
    assert spoilt(tmp_path / "images", every=2) >= 10
    (tmp_path / "bad.yaml").write_text(STUDY.replace("CORES", str(len(os.sched_getaffinity(0)))))
    study = Study(tmp_path, "bad", quickly=True)
    _, err = study.run("submit", "bad.yaml", code=1)
    assert err.count("of the training examples are unreadable") == 1
    assert "failed: 3 runs" in err
    assert "pending: 5 runs" in err


def test_a_bad_image_through_the_command(tmp_path):
    """Two training images are left out and counted; a held-out one ends three runs, the rest stays pending, and it is said once."""
    images = pictures.small_set()
    for split, number in (("train", 4), ("train", 11), ("val", 2)):
        name, content, label = images[split][number]
        images[split][number] = (name, content[: len(content) // 2], label)
    pictures.write_folder(tmp_path / "images", images)
    (tmp_path / "bad.yaml").write_text(STUDY.replace("CORES", str(len(os.sched_getaffinity(0)))))  # one run at a time
    study = Study(tmp_path, "bad", quickly=True)
    _, err = study.run("submit", "bad.yaml", code=1)
    assert err.count("validation example 2 (ant/002.jpg): damaged JPEG") == 1
    said = re.search(
        r"^failed: 3 runs \(.*\): validation example 2 .*$", err.replace("\n", " ").replace("failed:", "\nfailed:"), re.M
    )
    assert said, err
    assert "pending: 5 runs" in err
    assert re.search(r"bad: 3 runs skipped up to 2 training\s+images each that could not be read", err), err
    with Store.open(str(study.db)) as store, store.read() as session:
        assert queries.status_counts(session) == {"pending": 5, "failed": 3}
        assert {run["reason"] for run in queries.runs(session, status=["pending"])} == {HELD}
        assert queries.experiments(session)[0]["skipped"] == {"runs": 3, "examples": 2}
    out, _ = study.run("status")
    assert out.count("ant/002.jpg") == 1
    assert HELD in " ".join(out.split())
    assert "bad: 3 runs skipped up to 2 training images each" in out
