"""The leash of a user's program, with real processes: whoever dies, nothing of the program stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.cluster.leash import end_group

PROGRAM = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '1000']).pid, flush=True); time.sleep(1000)"


@pytest.fixture
def leash(tmp_path):
    """A leash, its program and the program's child, which sleeps."""
    command = [sys.executable, "-P", "-m", "orchestrator.cluster.leash", str(tmp_path / "group"), sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        yield process, int((tmp_path / "group").read_text()), child
        end_group(tmp_path / "group")
        process.kill()


def gone(pid):
    """Whether a process ends within five seconds; a zombie has ended."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_an_owner_that_lets_go_ends_the_group(leash):
    process, program, child = leash
    process.stdin.close()
    assert gone(program)
    assert gone(child)


def test_a_program_that_is_killed_takes_its_group_along(leash):
    process, program, child = leash
    os.kill(program, signal.SIGKILL)
    assert process.wait(timeout=5) == 128 + signal.SIGKILL
    assert gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_a_leash_that_is_killed_takes_its_program_along_and_its_owner_ends_the_rest(leash, tmp_path):
    process, program, child = leash
    process.kill()
    assert process.wait(timeout=5) == -signal.SIGKILL
    assert gone(program)
    end_group(tmp_path / "group")
    assert gone(child)


def test_a_file_that_names_no_group_ends_nothing(tmp_path):
    end_group(tmp_path / "missing")
    for content in ("", "no number", "0", "-1", "1"):
        (tmp_path / "group").write_text(content)
        end_group(tmp_path / "group")  # a group of 0 is our own, and 1 everybody
