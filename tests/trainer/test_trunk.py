"""One trunk, many budgets: a run that starts from a longer one's checkpoint ends with the bits of a run done alone."""

import itertools
import json
from dataclasses import replace

import pytest

from scaling.errors import DataError
from scaling.outcomes import AttemptOutcome
from tests.trainer import small_run
from trainer import ScheduleConfig, audit, checkpoint, train
from trainer.data import Order
from trainer.rehearsal import rehearse
from trainer.schedules import learning_rate_at
from trainer.schedules.warmup_stable_decay import WarmupStableDecay
from trainer.surface import Surface
from trainer.trunk import foreign_to_trunk, trunk_steps

pytestmark = pytest.mark.usefixtures("quick_compilation")

LONG, SHORT = 4, 2.1
BRANCH = 11
"""Of the short run's 13 steps the last 2.6 decay."""


def config(epochs, **changes):
    changes.setdefault("schedule", ScheduleConfig(epochs, "warmup-stable-decay", warmup_epochs=0.5))
    return small_run.config(epochs=epochs, **changes)


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.2, 1 / 3, 0.5, 0.9])
def test_the_trunk_is_every_step_whose_rate_does_not_hang_on_the_budget(warmup, share):
    """By brute force: at each step, the rate is that of a run without end."""
    for steps in (8, 10, 19, 20, 55, 333):
        decay = ScheduleConfig(1, "warmup-stable-decay", decay_fraction=share)
        plan = replace(config(1), schedule=decay, batch_size=1)
        plan = replace(plan, schedule=replace(decay, epochs=steps / small_run.EXAMPLES, warmup_epochs=warmup / small_run.EXAMPLES))
        assert Order.of(plan).steps == steps
        known = {"peak": 0.3, "warmup_steps": warmup}
        endless = [learning_rate_at(step, steps=10**9, schedule=WarmupStableDecay(1e-9), **known) for step in range(steps)]
        rates = [learning_rate_at(step, steps=steps, schedule=WarmupStableDecay(share), **known) for step in range(steps)]
        same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(rates, endless, strict=True))))
        assert trunk_steps(plan) == same


def test_a_last_batch_that_is_not_full_is_no_part_of_the_trunk():
    nothing_decays = ScheduleConfig(SHORT, "warmup-stable-decay", decay_fraction=0.01)
    assert Order.of(config(SHORT)).steps == 13
    assert trunk_steps(config(SHORT, schedule=nothing_decays)) == 12
    assert trunk_steps(config(SHORT)) == BRANCH
    assert trunk_steps(small_run.config()) == 0, "a cosine hangs on the budget throughout"


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """The long run, with a checkpoint after the short one's last common step, and many after it."""
    directory, events = tmp_path_factory.mktemp("runs") / "long" / "1", []
    train(config(LONG), directory=directory, checkpoint_at=[BRANCH, 12], checkpoint_seconds=0.0, on_event=events.append)
    written = [event["step"] for event in events if event["kind"] == "checkpoint"]
    assert {BRANCH, 12, 24} <= set(written)
    kept = {int(path.name) for path in (directory / "checkpoints").iterdir()}
    assert kept == {BRANCH, 12, *written[-2:]}, "those of stated steps, and the newest two"
    return directory


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    directory = tmp_path_factory.mktemp("alone")
    return train(config(SHORT), directory=directory), directory


def steps_of(count):
    """Stop after so many steps."""
    polls = iter(range(10**6))
    return lambda: next(polls) >= count


def start_from(parent, step=BRANCH):
    return {"directory": str(parent), "step": step, "parent": config(LONG).run_id()}


def test_branched_off_and_alone_are_the_same_run(parent, alone, tmp_path):
    branched = train(config(SHORT), directory=tmp_path, resume_from=start_from(parent))
    whole, directory = alone
    assert (branched.first_step, branched.outcome) == (BRANCH, AttemptOutcome.FINISHED)
    assert small_run.bits(tmp_path, 13) == small_run.bits(directory, 13)
    assert (branched.val_loss, branched.val_top1) == (whole.val_loss, whole.val_top1)
    shares = [audit.Stretch(parent, 0, BRANCH), audit.Stretch(tmp_path, BRANCH, 13)]
    assert audit.check(shares, Order.of(config(SHORT))).clean


def test_a_branch_that_was_interrupted_goes_on_from_its_own(parent, alone, tmp_path):
    polls = iter(range(100))
    first = train(config(SHORT), directory=tmp_path / "1", resume_from=start_from(parent), should_stop=lambda: next(polls) == 1)
    assert (first.outcome, first.last_step) == (AttemptOutcome.INTERRUPTED, BRANCH + 1)
    second = train(config(SHORT), directory=tmp_path / "2", resume_from={"directory": str(tmp_path / "1"), "step": BRANCH + 1})
    assert second.val_loss == alone[0].val_loss
    assert small_run.bits(tmp_path / "2", 13) == small_run.bits(alone[1], 13)


def test_a_damaged_branch_point_falls_back_down_the_trunk(alone, tmp_path):
    """To an earlier checkpoint of the parent; and with none, to the first step. A home that was moved is found again."""
    home = tmp_path / "home"
    long, short = home / config(LONG).run_id(), home / config(SHORT).run_id()
    train(config(LONG), directory=long / "1", checkpoint_at=[6, BRANCH])
    train(config(SHORT), directory=short / "1", resume_from=start_from(long / "1"))
    for step, expected in ((13, BRANCH), (BRANCH, 6), (6, 0)):
        moved = home.rename(tmp_path / f"home-{step}")
        home = moved
        for owner in (moved / long.name, moved / short.name):
            for part in (owner / "1" / "checkpoints" / str(step)).glob("state.*"):
                part.write_bytes(part.read_bytes()[:-1])
        restored, faults = checkpoint.restore(moved / short.name / "1")
        assert (restored.step if restored else 0) == expected
        assert len(faults) >= 1
        again = train(
            config(SHORT),
            directory=moved / short.name / f"after-{step}",
            resume_from={"directory": str(moved / short.name / "1"), "parent": long.name},
        )
        assert (again.first_step, again.val_loss) == (expected, alone[0].val_loss)


@pytest.mark.parametrize(
    ("schedule", "common"),
    [
        ({"name": "constant", "warmup_steps": 3}, 11),  # of 12 steps it takes the last itself
        ({"name": "rsqrt", "warmup_steps": 3, "decay_fraction": 0.25}, 10),  # at step 9 the cool-down has come down by nothing yet
        ({"name": "constant", "warmup_share": 0.25}, 0),
        ({"name": "cosine", "warmup_steps": 3}, 0),
    ],
    ids=["constant", "rsqrt", "warm-up by share", "cosine"],
)
def test_every_schedule_with_a_part_in_common_has_a_trunk(tmp_path, schedule, common):
    long, short = (config(epochs, schedule=ScheduleConfig(epochs, **schedule)) for epochs in (4, 2))
    assert (trunk_steps(short), trunk_steps(long) > common) == (common, common > 0)
    if not common:
        return
    train(long, directory=tmp_path / "long", checkpoint_at=[common], should_stop=steps_of(common + 1))
    alone = train(short, directory=tmp_path / "alone")
    start = {"directory": str(tmp_path / "long"), "step": common, "parent": long.run_id()}
    branched = train(short, directory=tmp_path / "short", resume_from=start)
    assert (branched.first_step, branched.val_loss) == (common, alone.val_loss)
    assert small_run.bits(tmp_path / "short", 12) == small_run.bits(tmp_path / "alone", 12)


@pytest.mark.parametrize(
    ("changes", "step", "what"),
    [
        ({"seed": 1}, BRANCH, "its seed is other"),
        ({"learning_rate": 0.2, "seed": 1}, BRANCH, "its learning_rate, seed are other"),
        ({}, 12, "this run's steps depend on its epochs from step 11 on"),
        ({"schedule": ScheduleConfig(SHORT, "warmup-stable-decay", 0.5, 0.3)}, BRANCH, "its schedule is other"),
    ],
)
def test_a_checkpoint_that_is_not_in_common_is_refused(parent, tmp_path, changes, step, what):
    with pytest.raises(DataError, match=what):
        train(config(SHORT, **changes), directory=tmp_path, resume_from=start_from(parent, step))


def test_a_parent_must_be_named(parent, tmp_path):
    with pytest.raises(DataError, match="of another run: schedule"):
        train(config(SHORT), directory=tmp_path, resume_from={"directory": str(parent), "step": BRANCH})


def test_the_shorter_of_two_can_be_the_parent():
    """A budget that is added later goes on from where the longest so far began to decay."""
    assert foreign_to_trunk(config(LONG), config(SHORT).to_dict(), BRANCH) is None
    earlier = config(SHORT).to_dict()
    del earlier["data"]["card"]["corrections"], earlier["data"]["card"]["evaluation_margin_px"]
    assert foreign_to_trunk(config(LONG), earlier, BRANCH) is None, "an earlier version wrote the checkpoint"
    assert "that run's steps depend" in foreign_to_trunk(config(LONG), config(SHORT).to_dict(), BRANCH + 1)


def test_a_rehearsal_branches_off_as_well(tmp_path):
    surface = {"noise": 0.01}

    def rehearsed(epochs):
        model = replace(small_run.config().model, surface=Surface(**surface))
        return config(epochs, model=model)

    known, events = {"params": 1000, "step_seconds": 1.0, "speed": 100.0}, []
    rehearse(rehearsed(LONG), directory=tmp_path / "long", checkpoint_at=[BRANCH], on_event=events.append, **known)
    assert [event["step"] for event in events if event["kind"] == "checkpoint"] == [BRANCH, 24]
    branched = rehearse(rehearsed(SHORT), directory=tmp_path / "short", resume_from=start_from(tmp_path / "long"), **known)
    whole = rehearse(rehearsed(SHORT), directory=tmp_path / "alone", **known)
    assert (branched.first_step, branched.val_loss) == (BRANCH, whole.val_loss)
    digests = [json.loads((tmp_path / name / "result.json").read_text())["digest"] for name in ("short", "alone")]
    assert digests[0] == digests[1]
