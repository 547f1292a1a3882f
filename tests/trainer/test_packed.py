"""`train_many` on small real runs: each as `train` alone would have trained it, whatever becomes of the others.

Equality is to rounding: the program sums in another order. Seen on this network: 6e-8 of the held-out loss; allowed here: 1e-5.
"""

import time
from dataclasses import replace

import numpy as np
import pytest

from scaling.errors import OutOfMemory, UsageError
from scaling.outcomes import AttemptOutcome
from tests.trainer import small_run
from tests.trainer.small_run import STEPS, STEPS_AN_EPOCH
from trainer import Execution, ScheduleConfig, audit, checkpoint, data, train, train_many
from trainer.data.loader import Loader
from trainer.packed import packed_program
from trainer.storage import storage_at

pytestmark = pytest.mark.usefixtures("quick_compilation")

CLOSE = 1e-5
CONFIGS = [small_run.config(), small_run.config(learning_rate=0.2), small_run.config(seed=1)]
"""With dropout, stochastic depth, augmentation and an average; the first two share their batches."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The runs done one by one: results and folders."""
    folders = [tmp_path_factory.mktemp("alone") for _ in CONFIGS]
    return [train(config, directory=folder) for config, folder in zip(CONFIGS, folders, strict=True)], folders


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The runs done at once: results, folders, events, each with the place of its run, and the seconds that it took."""
    began = time.perf_counter()
    folders, events = [tmp_path_factory.mktemp("packed") for _ in CONFIGS], []
    results = train_many(
        CONFIGS, directories=folders, evaluate_at=[0.5], on_event=lambda index, event: events.append((index, event))
    )
    return results, folders, events, time.perf_counter() - began


def pack(tmp_path, name, **options):
    """The runs done at once as GPUs and TPUs do it, where one could spoil another: `packed` is the form of CPUs."""
    folders = [tmp_path / f"{name}-{index}" for index in range(len(CONFIGS))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.packed.default_form", lambda: "vectorised")
        return train_many(options.pop("configs", CONFIGS), directories=folders, **options), folders


def at_step(step, member=None):
    """`should_stop` that says True at that step: to all, or to one."""
    polls = {index: iter(range(1000)) for index in range(len(CONFIGS))}

    def should_stop(index):
        asked = next(polls[index])
        return asked >= step if member is None else index == member and asked >= step

    return should_stop


def assert_close(result, other):
    assert result.outcome is other.outcome is AttemptOutcome.FINISHED
    assert result.val_loss == pytest.approx(other.val_loss, rel=CLOSE)
    assert result.train_loss == pytest.approx(other.train_loss, rel=CLOSE)
    assert (result.val_top1, result.last_step, result.examples_seen) == (other.val_top1, other.last_step, other.examples_seen)


def assert_same_state(folder, other):
    """Parameters, momentum and average of the last checkpoints, to rounding."""
    (ours, _), (theirs, _) = checkpoint.restore(folder, at_most=STEPS), checkpoint.restore(other, at_most=STEPS)
    assert ours.step == theirs.step == STEPS
    assert ours.arrays.keys() == theirs.arrays.keys()
    for name, array in ours.arrays.items():
        np.testing.assert_allclose(array, theirs.arrays[name], rtol=1e-3, atol=1e-5, err_msg=name)


def assert_audited(config, *stretches):
    """Each example once an epoch."""
    report = audit.check([audit.Stretch(*stretch) for stretch in stretches], data.Order.of(config))
    assert (report.clean, report.complete) == (True, True), report.faults


def test_each_run_ends_as_it_would_have_alone(alone, packed):
    for index, config in enumerate(CONFIGS):
        assert_close(packed[0][index], alone[0][index])
        assert_same_state(packed[1][index], alone[1][index])
        assert_audited(config, (packed[1][index], 0, STEPS))
    assert len({result.val_loss for result in packed[0]}) == len(CONFIGS)


def test_vectorised_is_the_same_as_one_after_the_other(alone, tmp_path):
    """What GPUs and TPUs are given, on this CPU."""
    results, folders = pack(tmp_path, "vectorised")
    for index in range(len(CONFIGS)):
        assert_close(results[index], alone[0][index])
        assert_same_state(folders[index], alone[1][index])


def test_each_run_has_its_own_events_and_a_share_of_the_time(packed):
    results, folders, events, passed = packed
    for index, folder in enumerate(folders):
        own = [event for place, event in events if place == index]
        assert [event["kind"] for event in own][:2] == ["compiled", "started"]
        assert [event["step"] for event in own if event["kind"] == "evaluated"] == [STEPS // 2, STEPS]
        assert [event["kind"] for event in own][-1] == "ended"
        progress = [event for event in own if event["kind"] == "progress"]
        assert [event["step"] for event in progress] == list(range(1, STEPS + 1))
        assert max(event["learning_rate"] for event in progress) == pytest.approx(CONFIGS[index].learning_rate)
        assert progress[-1]["train_seconds"] == pytest.approx(sum(event["step_seconds"] for event in progress))
        assert (folder / "result.json").exists()
        assert checkpoint.restore(folder)[0].counters["place"]["packed"] == len(CONFIGS)
    # All of them were in it from its beginning to its end, so their shares are equal but for the writing of results.
    shares = [sum(vars(result.seconds).values()) for result in results]
    assert max(shares) == pytest.approx(min(shares), rel=0.05)
    assert sum(shares) == pytest.approx(passed, rel=0.1)
    assert 0 < sum(result.seconds.train for result in results) < passed
    assert results[0].seconds.train == pytest.approx(results[1].seconds.train, rel=0.05)


def test_one_that_diverges_does_not_stop_the_others(alone, tmp_path):
    configs, told = [CONFIGS[0], replace(CONFIGS[0], learning_rate=1e38), CONFIGS[2]], []
    results, folders = pack(
        tmp_path, "one", configs=configs, on_event=lambda index, event: told.append((index, event["kind"], event["step"]))
    )
    diverged = results[1]
    assert (diverged.outcome, diverged.val_loss, diverged.checkpoint_step) == (AttemptOutcome.DIVERGED, None, None)
    assert diverged.reason.endswith(f"is not finite at step {diverged.last_step} of {STEPS}; there is no checkpoint")
    assert checkpoint.committed(storage_at(folders[1])) == []
    assert told.index((1, "ended", diverged.last_step)) < told.index((0, "evaluated", STEPS))
    for index in (0, 2):
        assert_close(results[index], alone[0][index])
        assert_audited(configs[index], (folders[index], 0, STEPS))


def test_all_that_diverge_end_it(tmp_path):
    configs = [replace(config, learning_rate=1e38) for config in CONFIGS]
    configs[1] = replace(configs[0], learning_rate=2e38)
    results, _ = pack(tmp_path, "all", configs=configs)
    assert {result.outcome for result in results} == {AttemptOutcome.DIVERGED}
    assert max(result.last_step for result in results) < STEPS


def test_a_stop_stops_all_and_they_go_on_together_or_alone(alone, tmp_path):
    """And a run that began alone goes on in a pack."""
    at = STEPS_AN_EPOCH * 2
    first, folders = pack(tmp_path, "1", should_stop=at_step(at))
    assert {(result.outcome, result.last_step, result.checkpoint_step) for result in first} == {
        (AttemptOutcome.INTERRUPTED, at, at)
    }
    by_itself = train(CONFIGS[1], directory=tmp_path / "alone", resume_from={"directory": folders[1], "step": at})
    assert_close(by_itself, alone[0][1])
    assert_audited(CONFIGS[1], (folders[1], 0, at), (tmp_path / "alone", at, STEPS))

    polls = iter(range(100))
    train(CONFIGS[1], directory=tmp_path / "begun", should_stop=lambda: next(polls) == at)
    origins = [{"directory": folder, "step": at} for folder in (folders[0], tmp_path / "begun", folders[2])]
    second, ends = pack(tmp_path, "2", resume_from=origins)
    for index, config in enumerate(CONFIGS):
        assert second[index].first_step == at
        assert_close(second[index], alone[0][index])
        assert_audited(config, (origins[index]["directory"], 0, at), (ends[index], at, STEPS))
        restored, _ = checkpoint.restore(origins[index]["directory"], at_most=at)
        assert second[index].useful_seconds == pytest.approx(restored.counters["train_seconds"] + second[index].seconds.train)
        if index != 1:  # what came after its last checkpoint was taken, the ending, is no step
            assert restored.counters["train_seconds"] <= first[index].seconds.train


def test_one_that_is_asked_to_stop_leaves_the_others(alone, tmp_path):
    results, folders = pack(tmp_path, "1", should_stop=at_step(7, member=1))
    assert results[1].outcome is AttemptOutcome.INTERRUPTED
    assert 0 < results[1].last_step == results[1].checkpoint_step < STEPS
    for index in (0, 2):
        assert_close(results[index], alone[0][index])
        assert_audited(CONFIGS[index], (folders[index], 0, STEPS))
    assert_close(train(CONFIGS[1], directory=tmp_path / "2", resume_from={"directory": folders[1]}), alone[0][1])


def test_one_that_is_asked_to_stop_when_it_has_just_diverged_breaks_nothing(alone, tmp_path):
    """Whether its numbers were finite is heard some steps later: here, when it is asked to leave."""
    configs = [CONFIGS[0], replace(CONFIGS[0], learning_rate=1e38), CONFIGS[2]]
    for step in (1, 2, 3):
        results, _ = pack(tmp_path, str(step), configs=configs, should_stop=at_step(step, member=1))
        assert results[1].outcome in (AttemptOutcome.DIVERGED, AttemptOutcome.INTERRUPTED)
        assert_close(results[0], alone[0][0])
    assert results[1].outcome is AttemptOutcome.DIVERGED


def test_one_whose_checkpoint_is_damaged_is_left_to_go_on_without_them(alone, tmp_path):
    at = STEPS_AN_EPOCH * 2
    _, folders = pack(tmp_path, "1", should_stop=at_step(at))
    (state,) = (folders[0] / "checkpoints" / str(at)).glob("state.*")
    state.write_bytes(b"")
    results, ends = pack(tmp_path, "2", resume_from=[{"directory": folder, "step": at} for folder in folders])
    assert (results[0].outcome, results[0].last_step) == (AttemptOutcome.INTERRUPTED, 0)
    assert results[0].reason == "it goes on from step 0, the runs packed with it from 12; it is trained without them"
    for index in (1, 2):
        assert_close(results[index], alone[0][index])
    assert_close(train(CONFIGS[0], directory=tmp_path / "3", resume_from={"directory": ends[0]}), alone[0][0])


def test_a_number_that_is_none_in_one_runs_batch_is_that_runs_alone(alone, tmp_path, monkeypatch):
    read = Loader.__next__

    def poisoned(loader):
        batch = read(loader)
        if batch.step == 11 and np.array_equal(batch.ids, data.Order.of(CONFIGS[2]).ids(11)):
            batch.images[3, 2, 1] = np.nan
        return batch

    monkeypatch.setattr(Loader, "__next__", poisoned)
    results, _ = pack(tmp_path, "poisoned")
    assert (results[2].outcome, results[2].last_step) == (AttemptOutcome.DIVERGED, 12)
    assert "the loss (nan) is not finite at step 12" in results[2].reason
    for index in (0, 1):
        assert_close(results[index], alone[0][index])


def test_what_cannot_be_packed_is_refused(tmp_path):
    longer = replace(CONFIGS[0], seed=3, schedule=ScheduleConfig(9.0))
    with pytest.raises(UsageError, match="runs that differ in schedule cannot be trained at once"):
        train_many([CONFIGS[0], longer], directories=[tmp_path / "1", tmp_path / "2"])
    with pytest.raises(UsageError, match="to one folder"):
        train_many(CONFIGS[:2], directories=[tmp_path, tmp_path])
    with pytest.raises(UsageError, match=r"trained at once cannot use execution\.micro_batch"):
        train_many(CONFIGS[:2], directories=[tmp_path / "1", tmp_path / "2"], execution=Execution(micro_batch=8))
    with pytest.raises(OutOfMemory, match=r"3 runs of small at once are out of memory: they need .* GB, a device has 1e-06 GB"):
        packed_program(CONFIGS[0], runs=3, memory_limit_bytes=1000)
