"""`train` on real digits: it learns, it resumes bit for bit, it says how it ended."""

import json

import jax
import numpy as np
import pytest

from scaling.errors import DataError, UnknownName
from scaling.outcomes import AttemptOutcome
from trainer import DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig, TrainResult, checkpoint, data, train
from trainer.program import program_for


def make_config(**changes):
    fields = {
        "data": DataConfig("digits", data.card("digits", {})),
        "model": ModelConfig("nfnet", "nano-F0"),
        "schedule": ScheduleConfig(epochs=1.5),
        "batch_size": 64,
        "learning_rate": 1.6,
    }
    return TrainConfig(**fields | changes)


def state_of(directory, step):
    """Every bit of a checkpoint's arrays, by name."""
    restored, _ = checkpoint.restore(directory, at_most=step)
    assert restored.step == step
    return {name: array.tobytes() for name, array in restored.arrays.items()}


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
    assert state_of(tmp_path / "2", second.last_step) == state_of(directory, result.last_step)


def test_divergence_is_an_outcome_with_its_reason(tmp_path):
    config = make_config(learning_rate=1e30, optimizer=OptimizerConfig(clip=None), schedule=ScheduleConfig(epochs=1.0))
    result = train(config, directory=tmp_path)
    assert result.outcome is AttemptOutcome.DIVERGED
    assert "training loss is" in result.reason
    assert result.val_loss is None
    json.loads((tmp_path / "result.json").read_text(), parse_constant=lambda text: pytest.fail(f"{text} in JSON"))


def test_learning_rate_schedule_and_seed_share_one_program():
    programs = {
        id(program_for(make_config(**change)))
        for change in ({}, {"learning_rate": 0.1}, {"seed": 7}, {"schedule": ScheduleConfig(9.0, "constant", 0.5)})
    }
    assert len(programs) == 1


def test_padding_does_not_count(tmp_path):
    """A last batch of 3 real examples gives the mean loss of those three."""
    config = make_config()
    program = program_for(config)
    state = program.initial_state(config)
    images, labels = data.load("digits", {}).train.gather(np.arange(64))
    weights = np.zeros(64, np.float32)
    weights[:3] = 1
    logits = program.module.apply({"params": state.params}, images)
    expected = -jax.nn.log_softmax(logits)[np.arange(3), labels[:3]].mean()
    _, metrics = program.train_step(state, images, labels, weights, np.float32(0), np.uint32(0), np.uint32(0))
    assert float(metrics.loss) == pytest.approx(float(expected), rel=1e-5)


def test_label_smoothing_changes_the_training_loss_and_not_the_validation_loss():
    plain, smooth = (program_for(make_config(label_smoothing=smoothing)) for smoothing in (0.0, 0.1))
    state = plain.initial_state(make_config())
    images, labels = data.load("digits", {}).train.gather(np.arange(64))
    log_p = np.asarray(jax.nn.log_softmax(plain.module.apply({"params": state.params}, images)), np.float64)
    targets = 0.9 * np.eye(10)[labels] + 0.01
    ones, scalars = np.ones(64, np.float32), (np.float32(0), np.uint32(0), np.uint32(0))
    _, metrics = smooth.train_step(smooth.initial_state(make_config()), images, labels, ones, *scalars)
    assert float(metrics.loss) == pytest.approx(-(targets * log_p).sum(1).mean(), rel=1e-5)
    padded = [np.resize(part, (smooth.eval_batch, *part.shape[1:])) for part in (images, labels)]
    weights = np.zeros(smooth.eval_batch, np.float32)
    weights[:64] = 1
    sums = smooth.eval_step(state.params, *padded, weights)
    assert float(sums.loss) / 64 == pytest.approx(-log_p[np.arange(64), labels].mean(), rel=1e-5)


def test_resuming_at_the_last_step_only_evaluates(whole, tmp_path):
    result, directory, _ = whole
    again = train(make_config(), directory=tmp_path, resume_from={"directory": str(directory), "step": result.last_step})
    assert (again.first_step, again.last_step, again.val_loss) == (result.last_step, result.last_step, result.val_loss)


def test_a_checkpoint_that_is_gone_is_a_fresh_start_that_says_so(whole, tmp_path):
    events = []
    resume = {"directory": str(tmp_path / "nowhere"), "step": 9}
    again = train(make_config(), directory=tmp_path / "2", resume_from=resume, on_event=events.append)
    assert (again.first_step, again.val_loss) == (0, whole[0].val_loss)
    assert next(event["step"] for event in events if event["kind"] == "started") == 0


def test_other_data_than_the_run_was_planned_with_is_refused(tmp_path):
    import dataclasses

    card = dataclasses.replace(data.card("digits", {}), fingerprint="f" * 16)
    with pytest.raises(DataError, match="the run is of ffff"):
        train(make_config(data=DataConfig("digits", card)), directory=tmp_path)


def test_an_optimizer_that_does_not_exist(tmp_path):
    with pytest.raises(UnknownName, match="optimizer"):
        train(make_config(optimizer=OptimizerConfig(name="adam")), directory=tmp_path)
