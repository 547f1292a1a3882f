"""A rehearsed training: the stated loss to the digit, and the contract of a real one."""

import json
import math
from dataclasses import replace

import pytest

from scaling.errors import UsageError
from scaling.outcomes import AttemptOutcome
from trainer import DataConfig, ModelConfig, ParentConfig, ScheduleConfig, TrainConfig
from trainer.data.dataset import DataCard
from trainer.rehearsal import rehearse
from trainer.surface import FINETUNED, Surface

CARD = DataCard("declared", "f" * 16, 10, (8, 8, 1), train_examples=1000, validation_examples=100, provisional=True)
SURFACE = {
    "E": 1.0,
    "A": 10.0,
    "alpha": 0.5,
    "B": 20.0,
    "beta": 0.5,
    "noise": 0.0,
    "curvature": 0.1,
    "lr_best": 1.6,
    "lr_falls": 0.5,
}
N = 10_000


def config(**changes):
    model = ModelConfig("nfnet", "F0", surface=Surface(**SURFACE | changes.pop("surface", {})))
    plain = TrainConfig(DataConfig("declared", CARD), model, ScheduleConfig(epochs=4.0), batch_size=64, learning_rate=0.8)
    return replace(plain, **changes)


def run(directory, configured=None, **options):
    events = []
    settings = {"params": N, "step_seconds": 1.0, "speed": 1000.0} | options
    result = rehearse(configured or config(), directory=directory, on_event=events.append, **settings)
    return result, events


def test_the_loss_is_the_stated_one(tmp_path):
    result, events = run(tmp_path)
    # lr* = 1.6 · 4^-(0.5 + 0.03·ln(1e4/1e8)) by the defaults of the fields that are not stated
    best = 1.6 * 4 ** -(0.5 + 0.03 * math.log(N / 1e8))
    expected = (1.0 + 10.0 / 100.0 + 20.0 / math.sqrt(4000)) * math.exp(0.1 * math.log(0.8 / best) ** 2)
    assert result.outcome is AttemptOutcome.FINISHED
    assert result.val_loss == pytest.approx(expected, rel=1e-12)
    assert result.last_step == 63
    assert result.examples_seen == 4000
    assert result.seconds.train == 63.0
    assert [event["kind"] for event in events][:2] == ["compiled", "started"]
    assert events[-1]["kind"] == "ended"


def test_noise_is_a_runs_own_and_the_same_every_time(tmp_path):
    noisy = {"noise": 0.01}
    losses = [run(tmp_path / str(n), config(surface=noisy, seed=seed))[0].val_loss for n, seed in enumerate((0, 0, 1))]
    clean = run(tmp_path / "clean")[0].val_loss
    assert losses[0] == losses[1] != losses[2]
    assert all(0 < abs(math.log(loss / clean)) < 0.06 for loss in losses)


def test_too_high_a_learning_rate_diverges_early(tmp_path):
    result, _ = run(tmp_path, config(learning_rate=100.0))
    assert result.outcome is AttemptOutcome.DIVERGED
    assert 0 < result.last_step < 5
    assert result.val_loss is None


def test_a_resumed_rehearsal_does_each_step_once(tmp_path):
    polls = iter([False] * 3 + [True])
    first, _ = run(tmp_path / "1", speed=100.0, should_stop=lambda: next(polls))
    assert first.outcome is AttemptOutcome.INTERRUPTED
    assert 0 < first.last_step < 63
    second, _ = run(tmp_path / "2", resume_from={"directory": str(tmp_path / "1"), "step": first.checkpoint_step})
    whole, _ = run(tmp_path / "3")
    assert second.first_step == first.last_step
    assert second.val_loss == whole.val_loss
    digests = [json.loads((tmp_path / n / "result.json").read_text())["digest"] for n in "23"]
    assert digests[0] == digests[1] == sum(k * k for k in range(63))
    assert Surface(**SURFACE).E == 1.0


PARENT = {"params": 3_000_000, "examples_seen": 50_000, "unique_examples": 50_000, "epochs": 1.0}


def finetuned(**changes):
    surface = replace(FINETUNED, **{"noise": 0.0} | changes.pop("surface", {}))
    plain = config(parent=ParentConfig("a" * 16), learning_rate=0.2)
    return replace(plain, **{"model": ModelConfig("nfnet", "F0", surface=surface)} | changes)


def test_the_error_after_finetuning_follows_from_the_parent_alone(tmp_path):
    result, events = run(tmp_path, finetuned(), pretrained=PARENT, evaluate_at=(0.25, 0.5))
    by_size, by_examples = 1.0405 * 3e6**-0.24702, 8.1003 * 5e4**-0.32821
    error = math.sqrt(by_size + by_examples) * math.exp(0.05 * math.log(2) ** 2)  # the rate is twice the best, 0.1
    assert result.val_top1 == pytest.approx(1 - error, rel=1e-12)
    assert result.val_loss == pytest.approx(-math.log(1 - error), rel=1e-12)
    looks = [event["top1"] for event in events if event["kind"] == "evaluated"]
    assert looks == sorted(set(looks))
    assert len(looks) == 3
    longer = replace(finetuned().schedule, epochs=8.0)
    assert run(tmp_path / "8", finetuned(schedule=longer), pretrained=PARENT)[0].val_top1 == pytest.approx(1 - error)


def test_finetuning_is_no_worse_than_chance_and_diverges_by_its_own_rate(tmp_path):
    poor, _ = run(tmp_path / "poor", finetuned(surface={"A": 1e3}), pretrained=PARENT)
    assert poor.val_top1 == pytest.approx(1 / CARD.num_classes)
    high, _ = run(tmp_path / "high", finetuned(learning_rate=0.9), pretrained=PARENT)
    assert high.outcome is AttemptOutcome.DIVERGED


def test_finetuning_asks_for_its_parent(tmp_path):
    with pytest.raises(UsageError, match="needs to know its parent"):
        run(tmp_path, finetuned())
