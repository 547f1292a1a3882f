"""`train` on real digits: it learns, it resumes bit for bit, it says how it ended."""

import errno
import json
import os
import re
import subprocess
import uuid

import jax
import numpy as np
import pytest

from scaling.errors import DataError, OutOfMemory, UsageError
from scaling.outcomes import AttemptOutcome
from tests.trainer import small_run
from tests.trainer.small_run import STEPS
from trainer import (
    DataConfig,
    Execution,
    ModelConfig,
    ScheduleConfig,
    TrainConfig,
    TrainResult,
    audit,
    checkpoint,
    data,
    models,
    train,
)
from trainer.data.loader import Loader
from trainer.loop import Loop
from trainer.program import Program, program_for
from trainer.storage import Disk, storage_at

pytestmark = pytest.mark.usefixtures("quick_compilation")


def make_config(**changes):
    fields = {
        "data": DataConfig("digits", data.card("digits", {})),
        "model": ModelConfig("nfnet", "nano-F0"),
        "schedule": ScheduleConfig(epochs=1.5),
        "batch_size": 64,
        "learning_rate": 1.6,
    }
    return TrainConfig(**fields | changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One undisturbed run, its folder and its events."""
    directory, events = tmp_path_factory.mktemp("whole"), []
    return train(make_config(), directory=directory, on_event=events.append), directory, events


def test_it_learns_and_tells(whole):
    result, directory, events = whole
    steps = -(-round(1.5 * 1347) // 64)
    assert result.outcome is AttemptOutcome.FINISHED
    assert (result.first_step, result.last_step, result.checkpoint_step) == (0, steps, steps)
    assert result.examples_seen == round(1.5 * 1347)
    assert result.val_loss < 1.6 < np.log(10)
    assert [event["kind"] for event in events][:2] == ["compiled", "started"]
    assert [event["kind"] for event in events][-2:] == ["checkpoint", "ended"]
    assert [event["step"] for event in events if event["kind"] == "progress"] == list(range(1, steps + 1))
    assert TrainResult.from_dict(json.loads((directory / "result.json").read_text())) == result


def test_an_interrupted_run_ends_with_the_same_bits(whole, tmp_path):
    result, directory, _ = whole
    polls = iter(range(100))
    first = train(make_config(), directory=tmp_path / "1", should_stop=lambda: next(polls) == 9)
    assert (first.outcome, first.last_step, first.checkpoint_step) == (AttemptOutcome.INTERRUPTED, 9, 9)
    second = train(make_config(), directory=tmp_path / "2", resume_from={"directory": str(tmp_path / "1"), "step": 9})
    assert (second.first_step, second.val_loss) == (9, result.val_loss)
    assert small_run.bits(tmp_path / "2", second.last_step) == small_run.bits(directory, result.last_step)


def test_divergence_is_an_outcome_with_its_reason(tmp_path):
    config = small_run.config(learning_rate=1e38)
    result = train(config, directory=tmp_path)
    assert result.outcome is AttemptOutcome.DIVERGED
    assert re.fullmatch(r"the .* is not finite at step \d of 24; there is no checkpoint", result.reason)
    assert result.val_loss is None
    json.loads((tmp_path / "result.json").read_text(), parse_constant=lambda text: pytest.fail(f"{text} in JSON"))


def test_learning_rate_schedule_and_seed_share_one_program():
    programs = {
        id(program_for(make_config(**change)))
        for change in ({}, {"learning_rate": 0.1}, {"seed": 7}, {"schedule": ScheduleConfig(9.0, "constant", 0.5)})
    }
    assert len(programs) == 1


LINEAR = ModelConfig("tests.trainer.strangers_models:perceptron", "one")
"""What a loss must be does not depend on the network."""


def test_padding_does_not_count():
    """A last batch of 3 real examples gives the mean loss of those three."""
    config = make_config(model=LINEAR)
    program = program_for(config)
    state = program.initial_state(config)
    images, labels, _ = data.load("digits", {}).train.gather(np.arange(64))
    weights = np.zeros(64, np.float32)
    weights[:3] = 1
    logits = program.module.apply({"params": state.params}, images)
    expected = -jax.nn.log_softmax(logits)[np.arange(3), labels[:3]].mean()
    _, metrics = program.train_step(state, images, labels, weights, np.float32(0), np.uint32(0), np.uint32(0))
    assert float(metrics.loss) == pytest.approx(float(expected), rel=1e-5)


def test_label_smoothing_changes_the_training_loss_and_not_the_validation_loss():
    config = make_config(model=LINEAR, label_smoothing=0.1)
    smooth = program_for(config)
    state = smooth.initial_state(config)
    images, labels, _ = data.load("digits", {}).train.gather(np.arange(64))
    log_p = np.asarray(jax.nn.log_softmax(smooth.module.apply({"params": state.params}, images)), np.float64)
    targets = 0.9 * np.eye(10)[labels] + 0.01
    ones, scalars = np.ones(64, np.float32), (np.float32(0), np.uint32(0), np.uint32(0))
    _, metrics = smooth.train_step(smooth.initial_state(config), images, labels, ones, *scalars)
    assert float(metrics.loss) == pytest.approx(-(targets * log_p).sum(1).mean(), rel=1e-5)
    padded = [np.resize(part, (smooth.eval_batch, *part.shape[1:])) for part in (images, labels)]
    weights = np.zeros(smooth.eval_batch, np.float32)
    weights[:64] = 1
    sums = smooth.eval_step(state.evaluated, *padded, weights)
    assert float(sums.loss) / 64 == pytest.approx(-log_p[np.arange(64), labels].mean(), rel=1e-5)


def test_a_stop_after_the_last_step_leaves_the_evaluation_to_the_next_attempt(small, tmp_path):
    events = []
    first = train(
        small_run.config(), directory=tmp_path / "1", on_event=events.append, should_stop=lambda: events[-1]["step"] == STEPS
    )
    assert (first.outcome, first.last_step, first.checkpoint_step) == (AttemptOutcome.INTERRUPTED, STEPS, STEPS)
    second = train(small_run.config(), directory=tmp_path / "2", resume_from={"directory": tmp_path / "1", "step": STEPS})
    assert (second.outcome, second.first_step, second.val_loss) == (AttemptOutcome.FINISHED, STEPS, small[0].val_loss)


def test_resuming_at_the_last_step_only_evaluates(whole, tmp_path):
    result, directory, _ = whole
    again = train(make_config(), directory=tmp_path, resume_from={"directory": str(directory), "step": result.last_step})
    assert (again.first_step, again.last_step, again.val_loss) == (result.last_step, result.last_step, result.val_loss)


def test_a_checkpoint_that_is_gone_is_a_fresh_start_that_says_so(whole, tmp_path):
    events = []
    resume = {"directory": str(tmp_path / "nowhere"), "step": 9}
    with pytest.raises(DataError, match="nowhere is not there, and the run is to go on from its step 9"):
        train(make_config(), directory=tmp_path / "2", resume_from=resume)
    checkpoint.describe_attempt(storage_at(tmp_path / "nowhere"), None, {})
    again = train(make_config(), directory=tmp_path / "2", resume_from=resume, on_event=events.append)
    assert (again.first_step, again.val_loss) == (0, whole[0].val_loss)
    started = next(event for event in events if event["kind"] == "started")
    assert (started["step"], started["passed_over"]) == (0, [f"{tmp_path / 'nowhere'}: no checkpoint there"])


def test_other_data_than_the_run_was_planned_with_is_refused(tmp_path):
    import dataclasses

    card = dataclasses.replace(data.card("digits", {}), fingerprint="f" * 16)
    with pytest.raises(DataError, match="the run is of ffff"):
        train(make_config(data=DataConfig("digits", card)), directory=tmp_path)


# -- what can go wrong, on a run of a second -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An undisturbed small run: its result, the bits of its end, and its folder."""
    directory = tmp_path_factory.mktemp("small")
    return train(small_run.config(), directory=directory), small_run.bits(directory, STEPS), directory


def test_a_number_that_is_none_is_found_at_its_step_and_never_saved(small, tmp_path, monkeypatch):
    """Also when the loop hears of it late. The run goes on from the last good checkpoint once the cause is mended."""
    settle, read = Loop._settle, Loader.__next__

    def poisoned(loader):
        batch = read(loader)
        if batch.step == 11:
            batch.images[3, 2, 1] = np.nan
        return batch

    monkeypatch.setattr(Loader, "__next__", poisoned)
    monkeypatch.setattr(Loop, "_settle", lambda self, wait=False: settle(self, wait=wait) if wait or self.step % 8 == 0 else None)
    polls = iter(range(100))
    first = train(small_run.config(), directory=tmp_path / "1", should_stop=lambda: next(polls) == 9)
    assert first.checkpoint_step == 9
    second = train(small_run.config(), directory=tmp_path / "2", resume_from={"directory": tmp_path / "1"}, checkpoint_seconds=3600)
    assert (second.outcome, second.last_step, second.checkpoint_step) == (AttemptOutcome.DIVERGED, 12, 9)
    assert second.reason == "the loss (nan) is not finite at step 12 of 24; the last good checkpoint is of step 9"
    assert checkpoint.committed(storage_at(tmp_path / "2")) == []
    monkeypatch.setattr(Loader, "__next__", read)
    train(small_run.config(), directory=tmp_path / "3", resume_from={"directory": tmp_path / "2"})
    assert small_run.bits(tmp_path / "3", STEPS) == small[1]


def test_a_last_checkpoint_that_holds_a_nan_ends_the_run_as_diverged(tmp_path, monkeypatch):
    """Parameters and gradients are looked at in each step; the rest of a state only when it is written."""

    def check_finite(snapshot):
        raise checkpoint.NotFinite("momentum")

    monkeypatch.setattr("trainer.checkpoint.writer.check_finite", check_finite)
    result = train(small_run.config(), directory=tmp_path, checkpoint_seconds=3600)
    assert (result.outcome, result.last_step, result.val_loss) == (AttemptOutcome.DIVERGED, STEPS, None)
    assert result.reason == f"momentum is not finite after step {STEPS}; there is no checkpoint"


def test_evaluations_on_the_way_are_told_once_and_change_nothing(small, tmp_path):
    """One that is interrupted is made up for when the run goes on."""
    fractions, events = (0.25, 0.5, 0.75), []
    first = train(
        small_run.config(),
        directory=tmp_path / "1",
        evaluate_at=fractions,
        on_event=events.append,
        should_stop=lambda: events[-1]["step"] >= 12,
    )
    assert (first.outcome, first.last_step, first.checkpoint_step) == (AttemptOutcome.INTERRUPTED, 12, 12)
    assert [event["step"] for event in events if event["kind"] == "evaluated"] == [6]
    second = train(
        small_run.config(),
        directory=tmp_path / "2",
        evaluate_at=fractions,
        on_event=events.append,
        resume_from={"directory": tmp_path / "1", "step": 12},
    )
    evaluated = [event for event in events if event["kind"] == "evaluated"]
    assert [event["step"] for event in evaluated] == [6, 12, 18, 24]
    assert evaluated[0]["loss"] > evaluated[-1]["loss"] == second.val_loss == small[0].val_loss
    assert small_run.bits(tmp_path / "2", STEPS) == small[1]
    assert second.train_loss == small[0].train_loss
    restored, _ = checkpoint.restore(tmp_path / "1")
    assert restored.counters["train_seconds"] <= first.seconds.train
    assert second.useful_seconds == pytest.approx(restored.counters["train_seconds"] + second.seconds.train)


def test_a_run_tells_how_fast_it_is(small, tmp_path):
    events = []
    train(small_run.config(), directory=tmp_path, on_event=events.append)
    progress = [event for event in events if event["kind"] == "progress"]
    macs = models.family("nfnet").macs("small", small_run.config().model.options, num_classes=4, image_shape=(8, 8, 1))
    for event in progress:
        assert event["examples_per_second"] * event["step_seconds"] == pytest.approx(small_run.BATCH)
        assert event["mfu"] == pytest.approx(6 * macs * event["examples_per_second"] / (int(os.environ["NPROC"]) * 100e9))
        assert 0 <= event["input_stall"] < 1
        assert event["memory_bytes"] > 1e7
    assert progress[-1]["train_seconds"] == pytest.approx(sum(event["step_seconds"] for event in progress))
    ended = events[-1]
    assert sum(ended["seconds"].values()) > ended["seconds"]["train"] >= progress[-1]["train_seconds"]


def test_a_refused_checkpoint_is_told_and_tried_again(small, tmp_path, monkeypatch):
    """A disk that is full for a while costs checkpoints, not the run; at the end it does."""
    create, events = Disk.create, []

    def refuse(until):
        def refused(self, name):
            if name.startswith("checkpoints/") and int(name.split("/")[1]) < until:
                raise OSError(errno.ENOSPC, "No space left on device")
            return create(self, name)

        monkeypatch.setattr(Disk, "create", refused)

    refuse(until=12)
    train(small_run.config(), directory=tmp_path / "1", checkpoint_seconds=0.0, on_event=events.append)
    told = [(event["kind"], event["step"] < 12) for event in events if event["kind"].startswith("checkpoint")]
    assert ("checkpoint_failed", True) in told
    assert ("checkpoint", False) in told
    assert {kind for kind, early in told if early} == {"checkpoint_failed"}
    assert small_run.bits(tmp_path / "1", STEPS) == small[1]

    refuse(until=100)
    with pytest.raises(OSError, match=r"the checkpoint of the last step, 24, cannot be written: .*No space left"):
        train(small_run.config(), directory=tmp_path / "2")
    polls = iter(range(100))
    stopped = train(small_run.config(), directory=tmp_path / "3", should_stop=lambda: next(polls) == 5)
    assert (stopped.outcome, stopped.last_step, stopped.checkpoint_step) == (AttemptOutcome.INTERRUPTED, 5, None)
    assert "cannot be written" in stopped.reason


def test_a_folder_that_is_away_for_a_while_costs_a_checkpoint_and_not_the_run(small, tmp_path):
    home, away, kinds = tmp_path / "home", tmp_path / "away", []

    def on_event(event):
        kinds.append(event["kind"])
        if event["kind"] == "progress" and event["step"] == 6:
            home.rename(away)
        if event["kind"] == "checkpoint_failed" and away.exists():
            assert not home.exists(), "nothing was made in its place"
            away.rename(home)

    result = train(small_run.config(), directory=home / "1", checkpoint_seconds=0.0, on_event=on_event)
    assert (result.outcome, result.val_loss) == (AttemptOutcome.FINISHED, small[0].val_loss)
    assert kinds.count("checkpoint_failed") == 1
    assert small_run.bits(home / "1", STEPS) == small[1]
    order = data.Order.of(small_run.config())
    assert audit.check([audit.Stretch(str(home / "1"), 0, STEPS)], order).clean


def test_a_folder_that_cannot_be_written_is_refused_before_a_step(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    events = []
    with pytest.raises(OSError, match="Not a directory"):
        train(small_run.config(), directory=tmp_path / "file" / "1", on_event=events.append)
    assert "progress" not in {event["kind"] for event in events}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_file_system_is_refused_before_a_step(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(OSError, match="Read-only file system"):
            train(small_run.config(), directory=tmp_path / "1")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_seed": 1}, "data set source has changed since the checkpoint of step 24"),
        ({"learning_rate": 0.2}, r"is of another run: learning_rate 0.4 → 0.2"),
    ],
)
def test_a_checkpoint_of_another_run_or_of_other_data_is_refused(small, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        train(small_run.config(**changes), directory=tmp_path, resume_from={"directory": small[2]})


def test_a_folder_may_be_gone_on_with_but_not_started_anew(small, tmp_path):
    polls = iter(range(100))
    train(small_run.config(), directory=tmp_path, should_stop=lambda: next(polls) == 7)
    with pytest.raises(UsageError, match="holds checkpoints already"):
        train(small_run.config(), directory=tmp_path)
    (state,) = (tmp_path / "checkpoints" / "7").glob("state.*")
    state.write_bytes(b"")  # damaged: the same folder begins again at the start
    events = []
    train(small_run.config(), directory=tmp_path, resume_from={"directory": tmp_path}, on_event=events.append)
    started = next(event for event in events if event["kind"] == "started")
    assert started["step"] == 0
    assert "has 0 bytes" in started["passed_over"][0]
    assert small_run.bits(tmp_path, STEPS) == small[1]
    report = audit.check([audit.Stretch(tmp_path, 0, STEPS)], data.Order.of(small_run.config()))
    assert (report.clean, report.complete) == (True, True)


def test_an_attempt_may_lie_on_an_object_store(small):
    home, polls = f"memory://{uuid.uuid4().hex}", iter(range(100))
    train(small_run.config(), directory=f"{home}/1", should_stop=lambda: next(polls) == 7)
    result = train(small_run.config(), directory=f"{home}/2", resume_from={"directory": f"{home}/1", "step": 7})
    assert (result.first_step, small_run.bits(f"{home}/2", STEPS)) == (7, small[1])
    with storage_at(f"{home}/2").open("result.json") as file:
        assert TrainResult.from_dict(json.loads(file.read())) == result
    stretches = [audit.Stretch(f"{home}/1", 0, 7), audit.Stretch(f"{home}/2", 7, STEPS)]
    report = audit.check(stretches, data.Order.of(small_run.config()))
    assert (report.clean, report.complete) == (True, True)


def test_out_of_memory_says_what_fits_or_goes_on_with_it(small, tmp_path, monkeypatch):
    """A step that fails once on its device: half the micro-batch from the last checkpoint on, to the same loss."""
    step, failures = Program.train_step, []

    def failing(self, state, *arguments):
        if self.micro_batch == small_run.BATCH and int(arguments[-1]) == 9:
            failures.append(self.micro_batch)
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")
        return step(self, state, *arguments)

    monkeypatch.setattr(Program, "train_step", failing)
    with pytest.raises(OutOfMemory, match="on 16 examples at once ran out of memory"):
        train(small_run.config(), directory=tmp_path / "1")
    events = []
    result = train(
        small_run.config(),
        directory=tmp_path / "2",
        execution=Execution(on_out_of_memory="halve"),
        checkpoint_seconds=0.0,
        on_event=events.append,
    )
    assert failures == [16, 16]
    assert next(event["micro_batch"] for event in events if event["kind"] == "out_of_memory") == 8
    assert result.first_step > 0
    assert result.val_loss == pytest.approx(small[0].val_loss, rel=1e-4)
    report = audit.check([audit.Stretch(tmp_path / "2", 0, STEPS)], data.Order.of(small_run.config()))
    assert (report.clean, report.complete) == (True, True)


def test_an_attempt_that_only_evaluates_has_trained_for_no_time(whole, tmp_path):
    """Its process was killed between the last checkpoint and the result: no step is taken, and no second of training charged."""
    result, folder, _ = whole
    events = []
    again = train(
        make_config(),
        directory=tmp_path,
        resume_from={"directory": str(folder), "step": result.last_step},
        on_event=events.append,
    )
    assert (again.outcome, again.first_step, again.last_step) == (AttemptOutcome.FINISHED, result.last_step, result.last_step)
    assert again.val_loss == result.val_loss
    assert again.seconds.train == 0.0
    restored, _ = checkpoint.restore(folder)
    assert again.useful_seconds == restored.counters["train_seconds"] <= result.useful_seconds
    assert not [event for event in events if event["kind"] == "checkpoint"]
