"""The worker and its trainer process, without Ray between: stops that come early, from outside, or not at all."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from orchestrator.cluster import host
from orchestrator.cluster.worker import Worker
from orchestrator.provenance import same_code
from tests.trainer.test_train import make_config
from trainer import ScheduleConfig


@pytest.fixture(scope="module")
def worker():
    """One for all tests: what a test leaves of its trainer process, the next one goes on with."""
    worker = Worker({"NPROC": "1", "JAX_PLATFORMS": "cpu"})
    worker.heard = -1
    yield worker
    worker.close()


@pytest.fixture
def order(tmp_path):
    """Orders of runs; no two tests use the same token, for they share a worker."""

    def make(token, epochs):
        return {
            "token": token,
            "config": make_config(schedule=ScheduleConfig(epochs)).to_dict(),
            "directory": str(tmp_path / token),
            "resume_from": None,
            "checkpoint_seconds": 60.0,
            "compile_cache": str(tmp_path / "compile-cache"),
            "working_directory": str(tmp_path),
        }

    return make


def events_until(worker, *kinds, seconds=120):
    """Events up to the first of one of these kinds."""
    deadline, events = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        for event in worker.next_events(1.0, worker.heard)["events"]:
            events.append(event)
            worker.heard = event["number"]
            if event["kind"] in kinds:
                return events
    raise AssertionError(f"no {kinds} among {[event['kind'] for event in events]}")


def test_a_stop_before_the_start_is_not_lost_and_spares_the_next_run(worker, order, tmp_path):
    worker.stop("never begun")
    worker.start(order("never begun", 500.0))
    ended = events_until(worker, "ended", "raised", "died")[-1]
    assert (ended["token"], ended["kind"], ended["outcome"], ended["last_step"]) == ("never begun", "ended", "interrupted", 0)
    worker.start(order("after it", 0.1))
    ended = events_until(worker, "ended", "raised", "died")[-1]
    assert (ended["token"], ended["outcome"]) == ("after it", "finished")
    left = {path.name for path in (tmp_path / "after it").iterdir()}
    assert left >= {"events.jsonl", "log.txt"}
    assert "fault_trace.jsonl" not in left  # nobody judges it


def test_a_late_abort_spares_the_next_run(worker, order):
    worker.start(order("aborted", 500.0))
    events_until(worker, "started")
    worker.abort("aborted")
    assert events_until(worker, "ended", "raised", "died")[-1]["kind"] == "died"
    worker.abort("aborted")
    worker.start(order("spared", 0.1))
    worker.abort("aborted")
    ended = events_until(worker, "ended", "raised", "died")[-1]
    assert (ended["token"], ended["kind"], ended.get("outcome")) == ("spared", "ended", "finished")


def test_a_crash_of_the_compiled_step_says_what_to_change(worker, order):
    worker.start(order("crashed", 500.0))
    events_until(worker, "placed")
    os.kill(worker._trainer._process.pid, signal.SIGSEGV)
    died = events_until(worker, "ended", "raised", "died")[-1]
    assert died["reason"].startswith(
        "the trainer process was killed by SIGSEGV: the compiled training step crashed. Change the model's width"
    )


def test_files_that_an_undone_attempt_left_in_its_folder_are_set_aside(tmp_path):
    """A backup that was copied onto the database counts the attempts since then anew."""
    folder = tmp_path / "run" / "1"
    host.set_aside(folder, "mine")  # a new folder
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_text('{"kind": "placed", "token": "theirs"}\n')
    host.set_aside(folder, "theirs")
    assert folder.exists()
    host.set_aside(folder, "mine")
    assert not folder.exists()
    assert "theirs" in (tmp_path / "run" / "1.old-1" / "events.jsonl").read_text()


def test_a_process_told_to_stop_from_outside_checkpoints_and_the_next_run_gets_a_fresh_one(worker, order):
    worker.start(order("told to stop", 500.0))
    events_until(worker, "progress")
    process = worker._trainer._process
    os.kill(process.pid, signal.SIGTERM)
    ended = events_until(worker, "ended", "raised", "died")[-1]
    assert (ended["outcome"], ended["checkpoint_step"]) == ("interrupted", ended["last_step"])
    assert process.wait(timeout=10) == 0
    worker.start(order("in a fresh one", 0.1))
    ended = events_until(worker, "ended", "raised", "died")[-1]
    assert (ended["token"], ended["outcome"]) == ("in a fresh one", "finished")
    assert worker._trainer._process.pid != process.pid


def test_a_training_that_hangs_is_ended_when_nobody_owns_it_any_more(order, tmp_path):
    """It cannot checkpoint and leave, and would keep its devices."""
    traps = tmp_path / "traps"
    traps.mkdir()
    (traps / "step").write_text("hang")
    impatient = "import sys; from orchestrator.cluster import host; host._SILENCE_SECONDS, host._LONGEST_SILENCES = 1, 0; host.main(int(sys.argv[1]))"
    receive, send = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", impatient, str(send)],
        stdin=subprocess.PIPE,
        text=True,
        pass_fds=(send,),
        env=os.environ | {"SCALING_FAULTS": str(traps), "NPROC": "1", "JAX_PLATFORMS": "cpu"},
    )
    os.close(send)
    try:
        process.stdin.write(json.dumps({"run": order("hangs", 500.0)}) + "\n")
        process.stdin.flush()
        deadline = time.monotonic() + 120
        while not (traps / "step.struck").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1.5)
        assert process.poll() is None, "it has an owner"
        process.stdin.close()
        assert process.wait(timeout=20) == 1
    finally:
        process.kill()
        process.wait()
        os.close(receive)


def test_signs_of_life_and_long_silences_before_keep_an_orphan(monkeypatch):
    """On a clock of its own: told every second for 10 s, after a silence of 4 s before; then nothing."""
    now = [100.0]
    monkeypatch.setattr(host.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(host, "_SILENCE_SECONDS", 3)
    monkeypatch.setattr(host, "_LONGEST_SILENCES", 2)
    stop = host._Stop()
    now[0] = 200.0
    stop.begin()  # what it waited for a run is no silence
    now[0] = 204.0
    stop.hear()

    def sleep(seconds):
        now[0] += seconds
        if now[0] <= 214.0:
            stop.hear()

    monkeypatch.setattr(host.time, "sleep", sleep)
    host._await_silence(stop)
    assert now[0] == 214.0 + 2 * 4.0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.1.0+4f3c2a1", "0.1.0+4f3c2a1.dirty", True),
        ("0.1.0+4f3c2a1", "0.1.0", True),
        ("0.1.0+4f3c2a1", "0.1.0+0000000", False),
        ("0.1.0", "0.2.0", False),
        (None, "0.1.0", False),
    ],
)
def test_versions_are_the_same_code_as_far_as_they_can_tell(one, other, same):
    assert same_code(one, other) is same
    assert same_code(other, one) is same
