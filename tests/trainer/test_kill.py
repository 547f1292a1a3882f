"""Killed with SIGKILL by another process at the worst moments, then resumed: the same bits, and each example once an epoch."""

import os
import signal
import subprocess
import sys

import pytest

from tests.trainer import small_run
from tests.trainer.killed_trainer import CONFIG, POINTS
from tests.trainer.small_run import STEPS, STEPS_AN_EPOCH, bits
from trainer import Execution, train
from trainer.audit import Stretch, check
from trainer.data import Order

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def whole(quick_compilation, tmp_path_factory):
    """The run that nobody disturbs: its result and the bits of its last checkpoint.

    Its program is in the cache of compiled programs (`tests.conftest`), from which the processes that get killed load it.
    """
    folder = tmp_path_factory.mktemp("whole")
    result = train(CONFIG, directory=folder)
    return result, bits(folder, STEPS)


@pytest.fixture(scope="module")
def killed(whole, tmp_path_factory):
    """Point → folder of a run that was killed there. Each is a process of its own, and all are forked from one that has imported."""
    folders = {point: tmp_path_factory.mktemp("killed") for point in POINTS}
    command = [sys.executable, "-m", "tests.trainer.killed_trainer", str(STEPS_AN_EPOCH * 2)]
    command += [part for point, folder in folders.items() for part in (str(folder), point)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        processes = dict(zip(POINTS, map(int, parent.stdout.readline().split()), strict=True))
        try:
            there = [parent.stdout.readline() for _ in POINTS]
            assert sorted(there) == sorted(f"{point}\n" for point in POINTS)
        finally:
            for process in processes.values():
                os.kill(process, signal.SIGKILL)
            ended, _ = parent.communicate()
    assert ended.split() == ["-9"] * len(POINTS)
    return folders


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_ends_with_the_same_bits(point, killed, whole, tmp_path):
    """Every second one resumes with two processes that read and augment."""
    workers = 2 * (list(POINTS).index(point) % 2)
    folder, events = killed[point], []
    result = train(
        CONFIG,
        directory=tmp_path,
        resume_from={"directory": folder},
        execution=Execution(workers=workers),
        on_event=events.append,
    )
    started = next(event for event in events if event["kind"] == "started")
    assert 0 < result.first_step <= 2 * STEPS_AN_EPOCH
    assert (started["changed"], started["passed_over"]) == ({}, [])
    if point in ("after the commit", "stopped at an epoch's end"):
        assert result.first_step == 2 * STEPS_AN_EPOCH
    assert (bits(tmp_path, STEPS), result.val_loss, result.train_loss) == (whole[1], whole[0].val_loss, whole[0].train_loss)

    order = Order.of(CONFIG)
    report = check([Stretch(folder, 0, result.first_step), Stretch(tmp_path, result.first_step, STEPS)], order)
    assert report.clean, report.faults
    assert report.complete
    assert [(epoch.used, epoch.exact) for epoch in report.epochs] == [(small_run.EXAMPLES, True)] * small_run.EPOCHS
