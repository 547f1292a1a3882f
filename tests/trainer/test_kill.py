"""Killed with SIGKILL by another process at the worst moments, then resumed: the same bits, and each example once an epoch."""

import subprocess
import sys

import jax
import pytest

from tests.trainer import small_run
from tests.trainer.killed_trainer import POINTS
from tests.trainer.small_run import STEPS, STEPS_AN_EPOCH, bits
from trainer import Execution, train
from trainer.audit import Stretch, check
from trainer.data import Order


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Programs compiled here are loaded by the processes that get killed."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs", "jax_persistent_cache_min_entry_size_bytes")
    before = [getattr(jax.config, name) for name in names]
    folder = str(tmp_path_factory.mktemp("cache"))
    for name, value in zip(names, (folder, 0.0, -1), strict=True):
        jax.config.update(name, value)
    yield folder
    for name, value in zip(names, before, strict=True):
        jax.config.update(name, value)


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory):
    """The run that nobody disturbs: its result and the bits of its last checkpoint."""
    folder = tmp_path_factory.mktemp("whole")
    result = train(small_run.config(), directory=folder)
    return result, bits(folder, STEPS)


@pytest.fixture(scope="module")
def killed(cache, whole, tmp_path_factory):
    """Point → folder of a run that was killed there. All of them at once, since they mostly start."""
    step = STEPS_AN_EPOCH * 2
    processes = {}
    for number, point in enumerate(POINTS):
        folder = tmp_path_factory.mktemp(f"killed-{number}")
        command = [sys.executable, "-m", "tests.trainer.killed_trainer", str(folder), cache, point, str(step)]
        processes[point] = folder, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for point, (_, process) in processes.items():
            assert process.stdout.readline() == "there\n", point
    finally:
        for _, process in processes.values():
            process.kill()
    assert {process.wait() for _, process in processes.values()} == {-9}
    return {point: folder for point, (folder, _) in processes.items()}


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_ends_with_the_same_bits(point, killed, whole, tmp_path):
    """Every second one resumes with two processes that read and augment."""
    workers = 2 * (list(POINTS).index(point) % 2)
    folder, events = killed[point], []
    result = train(
        small_run.config(),
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

    order = Order.of(small_run.config())
    report = check([Stretch(folder, 0, result.first_step), Stretch(tmp_path, result.first_step, STEPS)], order)
    assert report.clean, report.faults
    assert report.complete
    assert [(epoch.used, epoch.exact) for epoch in report.epochs] == [(small_run.EXAMPLES, True)] * small_run.EPOCHS
