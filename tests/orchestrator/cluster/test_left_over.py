"""What is left of a program's attempts, with real processes in sessions of their own, as torchrun's workers are."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from orchestrator.cluster.left_over import end_processes
from orchestrator.cluster.mailbox import Mailbox
from orchestrator.cluster.worker import _Trainer
from tests.orchestrator.cluster.test_leash import gone
from tests.orchestrator.rows import an_assignment

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")

AGENT = """
import os, subprocess, sys, time
apart = {"start_new_session": True}
worker = subprocess.Popen([sys.executable, "-c", "import subprocess, time; print(subprocess.Popen(['env', '-i', 'sleep', '1000'], start_new_session=True).pid, flush=True); time.sleep(1000)"], **apart)
print(worker.pid, flush=True)
time.sleep(float(os.environ.get("STAYS", "1000")))
"""
"""Starts a worker in a session of its own, whose child has lost the environment too."""


def environment(attempt, **more):
    return os.environ | {"SCALING_RUN": str(attempt.parent / "kept"), "SCALING_ATTEMPT": attempt.name, **more}


@pytest.fixture
def sleeper():
    """A function that starts a process of an attempt in a session of its own."""
    started = []

    def start(attempt, **options):
        started.append(subprocess.Popen(["sleep", "1000"], env=environment(attempt), start_new_session=True, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def leashed(attempt, **more):
    """A leash with an agent as its program, and the numbers of its worker and of that one's child."""
    attempt.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "orchestrator.cluster.leash", str(attempt / "group"), sys.executable, "-c", AGENT]
    leash = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(attempt, **more))
    return leash, [int(leash.stdout.readline()) for _ in range(2)]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_processes_up_to_this_attempt_are_killed_and_those_of_others_are_not(tmp_path, sleeper):
    run = tmp_path / "store" / "run"
    first, second, third = (sleeper(run / str(number)) for number in (1, 2, 3))
    other = sleeper(tmp_path / "store" / "another" / "1")
    by_a_link = tmp_path / "link"
    by_a_link.symlink_to(tmp_path / "store")
    (run / "kept").mkdir(parents=True)
    linked = sleeper(by_a_link / "run" / "2")
    assert end_processes(run / "2") == 3
    assert [process.poll() is None for process in (first, second, third, other, linked)] == [False, False, True, True, False]
    assert end_processes(run / "2") == 0
    assert end_processes(run / "no number") == 0


def test_a_shell_in_which_somebody_tries_a_script_is_left_alone(tmp_path, sleeper):
    ours, theirs = pty.openpty()
    try:
        shell = sleeper(tmp_path / "run" / "1", stdin=theirs, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        assert end_processes(tmp_path / "run" / "1") == 0
        assert shell.poll() is None
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("how", ["the program ends", "the owner lets go", "the program is killed"])
def test_what_left_the_group_ends_with_the_attempt(tmp_path, how):
    leash, workers = leashed(tmp_path / "run" / "1", STAYS="1" if how == "the program ends" else "1000")
    with leash:
        if how == "the owner lets go":
            leash.stdin.close()
        elif how == "the program is killed":
            os.kill(int((tmp_path / "run" / "1" / "group").read_text()), signal.SIGKILL)
        leash.wait(timeout=20)
        assert [gone(pid) for pid in workers] == [True, True]


def test_what_a_leash_that_was_killed_leaves_is_killed_by_the_next_attempt(tmp_path):
    leash, workers = leashed(tmp_path / "run" / "1")
    with leash:
        leash.kill()
        leash.wait()
        time.sleep(0.2)
        assert [is_alive(pid) for pid in workers] == [True, True], "they are in sessions of their own"
        assert end_processes(tmp_path / "run" / "2") == 2
        assert [is_alive(pid) for pid in workers] == [False, False]


def test_a_worker_whose_trainer_process_is_killed_together_with_the_leash_ends_the_rest(tmp_path):
    """The trainer process here is one that waits for a command that never comes; the leash is killed with it."""
    attempt = tmp_path / "run" / "1"
    leash, workers = leashed(attempt)
    with leash:
        mailbox = Mailbox()
        trainer = _Trainer({}, str(tmp_path), mailbox)
        os.kill(trainer._process.pid, signal.SIGSTOP)  # or it would train, and kill them first
        trainer.take(an_assignment(directory=str(attempt), config={"program": {"command": ["true"]}}))
        leash.kill()
        leash.wait()
        os.kill(trainer._process.pid, signal.SIGKILL)
        assert [gone(pid) for pid in workers] == [True, True]
        assert mailbox.take(5.0)[0].event.kind == "died"
