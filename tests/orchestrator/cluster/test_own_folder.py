"""Temporary folders of processes that were killed go with the next one that is made; those in use, and others', stay."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack

from orchestrator.cluster.own_folder import own_folder

HOLD = """
import sys, subprocess
from orchestrator.cluster.own_folder import own_folder
with own_folder("ray-", sys.argv[1]) as folder:
    (folder / "r").mkdir()
    (folder / "r" / "log").write_text("here")
    child = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    print(folder, child.pid, flush=True)
    sys.stdin.read()
"""


def holder(place):
    """A process that has a folder, the name of the folder, and a process that it started."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    folder, child = process.stdout.readline().split()
    return process, os.path.basename(folder), int(child)


def aged(place, *names, seconds=120):
    for name in names:
        os.utime(place / name / ".scaling-lock", (time.time() - seconds,) * 2)


def there(place):
    """What is left beside a new folder."""
    with own_folder("ray-", str(place)) as own:
        return set(os.listdir(place)) - {own.name}


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(tmp_path):
    (killed, left, child), (living, used, other) = holder(tmp_path), holder(tmp_path)
    try:
        for name in ("ray-of-another-program", "scaling-other"):
            (tmp_path / name).mkdir()
        os.symlink(tmp_path / "scaling-other", tmp_path / "ray-link")
        stay = {used, "ray-of-another-program", "scaling-other", "ray-link"}
        killed.kill()
        killed.wait()
        os.kill(child, 0)  # what it started lives on, and does not hold the lock
        assert there(tmp_path) == {left, *stay}, "it is younger than a minute"
        aged(tmp_path, left, used)
        assert there(tmp_path) == stay
        living.communicate()
        assert there(tmp_path) == stay - {used}, "it goes at the end of a process"
    finally:
        for pid in (child, other):
            os.kill(pid, 9)
        for process in (killed, living):
            process.kill()
            process.wait()
            process.stdout.close()


def test_two_of_one_process_do_not_remove_each_other(tmp_path):
    with ExitStack() as both:
        first = both.enter_context(own_folder("ray-", str(tmp_path)))
        aged(tmp_path, first.name)
        second = both.enter_context(own_folder("ray-", str(tmp_path)))
        assert first.is_dir()
        assert second.stat().st_mode & 0o777 == 0o700
    assert not os.listdir(tmp_path)
