"""The loader: the same batches whoever reads them, clean ends, bad examples by the run's policy."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.errors import DataError, DataFault, UsageError
from tests.trainer import pictures
from tests.trainer.own_data import Flat, Normalised
from trainer import AugmentConfig, DataConfig, Execution, ModelConfig, ScheduleConfig, TrainConfig, data
from trainer.data.loader import _Tally, open_evaluation, open_loader
from trainer.data.order import Draws
from trainer.data.rows import Rows
from trainer.evaluate import evaluate

SIZES = {"train_px": 20, "eval_px": 24}
EVERYTHING = AugmentConfig(crop=True, flip=True, randaugment_layers=1, mixup=0.2, cutmix=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures.write_folder(tmp_path_factory.mktemp("images"), pictures.small_set())


@pytest.fixture(scope="module")
def dataset(folder):
    return data.load("imagefolder", {"path": str(folder), **SIZES})


def config_of(dataset, **changes):
    fields = {
        "data": DataConfig("imagefolder", dataset.card),
        "model": ModelConfig("nfnet", "nano-F0"),
        "schedule": ScheduleConfig(1.6),
        "batch_size": 8,
        "learning_rate": 1.0,
        "seed": 3,
        "augment": EVERYTHING,
    }
    return TrainConfig(**fields | changes)


def batches(dataset, config, *, workers=0, policy="fail", **where):
    execution = Execution(workers=workers, on_bad_example=policy)
    with open_loader(dataset.train, data.Order.of(config), config=config, execution=execution, **where) as loader:
        return list(loader)


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        for field in dataclasses.fields(one):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


@pytest.mark.parametrize("augment", [AugmentConfig(), EVERYTHING, dataclasses.replace(EVERYTHING, repeats=2)])
def test_workers_change_nothing(dataset, augment):
    config = config_of(dataset, augment=augment)
    ours = batches(dataset, config)
    order = data.Order.of(config)
    assert [batch.step for batch in ours] == list(range(order.steps))
    assert np.array_equal(np.concatenate([batch.ids for batch in ours]), np.concatenate([order.ids(s) for s in range(order.steps)]))
    assert ours[0].images.dtype == np.float32
    assert ours[0].images.shape == (8, 20, 20, 3)
    assert sum(batch.weights.sum() for batch in ours) == order.total
    assert not ours[-1].images[len(ours[-1].ids) :].any()
    assert_same(batches(dataset, config, workers=2), ours)
    assert_same(batches(dataset, config, workers=1, first_step=3), ours[3:])


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 60),
    epochs=st.floats(0.25, 2.5),
    hosts=st.sampled_from([1, 2, 4]),
    micro=st.sampled_from([1, 2]),
    repeats=st.sampled_from([1, 2]),
    mixes=st.booleans(),
    first=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_any_number_of_hosts_and_micro_batches_sees_the_same_global_batches(n, epochs, hosts, micro, repeats, mixes, first, seed):
    pixels = (np.arange(n)[:, None, None, None] * np.ones((1, 3, 3, 1))).astype(np.uint8)
    examples = data.ArrayExamples(pixels, np.arange(n) % 7, full_scale=255, mean=0.2, std=0.3)
    card = data.DataCard("numbers", "f" * 16, 7, (3, 3, 1), n, 1)
    augment = AugmentConfig(flip=True, repeats=repeats, mixup=0.5 * mixes)
    config = config_of(
        data.Dataset(card, examples, examples), schedule=ScheduleConfig(epochs), batch_size=16, augment=augment, seed=seed
    )
    order = data.Order.of(config)

    def read(shard):
        with open_loader(examples, order, config=config, execution=Execution(), first_step=first, shard=shard) as loader:
            return list(loader)

    whole = read((0, 1))
    parts = [read((host, hosts)) for host in range(hosts)]
    for step, batch in enumerate(whole):
        of_step = [part[step] for part in parts]
        for name in ("images", "labels", "other_labels", "mix", "weights", "ids"):
            joined = np.concatenate([getattr(part, name) for part in of_step])
            assert np.array_equal(joined, getattr(batch, name)), name
        assert [position for part in of_step for position in part.positions] == list(batch.positions)
        for rows in np.split(np.arange(16), micro):  # a micro-batch is a slice of rows, nothing more
            assert np.array_equal(batch.images[rows], np.concatenate([part.images for part in of_step])[rows])


def test_arrays_in_memory_come_as_gather_gives_them():
    rng = np.random.default_rng(0)
    examples = data.ArrayExamples(
        rng.integers(0, 17, (50, 8, 8, 1), np.uint8), rng.integers(0, 10, 50), full_scale=16, mean=0.3, std=0.4
    )
    card = data.DataCard("made", "f" * 16, 10, (8, 8, 1), 50, 50)
    config = config_of(data.Dataset(card, examples, examples), augment=AugmentConfig(), batch_size=16)
    order = data.Order.of(config)
    for workers in (0, 5):  # nothing to prepare: no process is started for it
        with open_loader(examples, order, config=config, execution=Execution(workers=workers)) as loader:
            for batch in loader:
                images, labels, _ = examples.gather(order.ids(batch.step))
                assert np.array_equal(batch.images[: len(labels)], images)
                assert np.array_equal(batch.labels[: len(labels)], labels)
                assert (batch.weights == (np.arange(16) < len(labels))).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_float32_pixels_come_as_they_are(workers):
    card = data.dataset.DataCard("own", "f" * 16, 3, (4, 4, 2), 12, 5)
    split, held_out, execution = Normalised(12), Normalised(5, first=100), Execution(workers=workers)
    config = config_of(data.Dataset(card, split, held_out), data=DataConfig("own", card), augment=AugmentConfig())
    with open_loader(split, data.Order.of(config), config=config, execution=execution) as loader:
        trained = list(loader)
    with open_evaluation(held_out, card=card, batch_size=8, execution=execution) as loader:
        evaluated = list(loader)
    for batches_of, examples in ((trained, split), (evaluated, held_out)):
        assert batches_of
        for batch in batches_of:
            real = int(batch.weights.sum())
            expected = np.stack([examples[int(number)]["image"] for number in batch.ids[:real]])
            assert np.array_equal(batch.images[:real], expected)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_of_arrays_are_checked_as_those_of_files_are(label):
    """Without it the loss was not a number from the first step on."""
    labels = np.arange(40) % 3
    labels[17] = label
    arrays = data.ArrayExamples(np.zeros((40, 8, 8, 1), np.uint8), labels, full_scale=16.0, mean=0.3, std=0.4)
    card = dataclasses.replace(data.card("digits", {}), num_classes=3, train_examples=40)
    for split, augment in (("train", AugmentConfig()), ("train", AugmentConfig(flip=True)), ("validation", None)):
        if augment is None:
            opened = open_evaluation(arrays, card=card, batch_size=10, execution=Execution())
        else:
            config = TrainConfig(
                DataConfig("own", card),
                ModelConfig("nfnet", "nano-F0"),
                ScheduleConfig(1.0),
                batch_size=10,
                learning_rate=0.1,
                augment=augment,
            )
            opened = open_loader(arrays, data.Order.of(config), config=config, execution=Execution())
        with opened as loader, pytest.raises(DataError, match=rf"{split} example 17: label {label} is not one of 0 … 2"):
            list(loader)


def test_every_held_out_example_once_at_the_evaluation_size(dataset):
    for workers in (0, 2):
        with open_evaluation(dataset.validation, card=dataset.card, batch_size=4, execution=Execution(workers=workers)) as loader:
            seen = list(loader)
        assert [len(batch.ids) for batch in seen] == [4, 4, 1]
        assert np.array_equal(np.concatenate([batch.ids for batch in seen]), np.arange(9))
        assert all(batch.images.shape == (4, 24, 24, 3) for batch in seen)
        assert np.concatenate([batch.labels[batch.weights > 0] for batch in seen]).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.fixture
def spoilt(folder, tmp_path):
    """The same images, two of them unreadable."""
    images = pictures.small_set()
    images["train"][4] = (images["train"][4][0], images["train"][4][1][:300], images["train"][4][2])
    images["train"][11] = (images["train"][11][0], b"", images["train"][11][2])
    return data.load("imagefolder", {"path": str(pictures.write_folder(tmp_path / "spoilt", images)), **SIZES})


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_examples_fail_the_run_by_name_or_are_left_out_and_counted(spoilt, workers):
    config = config_of(spoilt, schedule=ScheduleConfig(1.0), augment=dataclasses.replace(EVERYTHING, mixup=1.0))
    with pytest.raises(DataError, match=r"train example (4 \(ant/004.jpg\): .*JPEG|11 \(bee/011.jpg\): empty file)") as caught:
        batches(spoilt, config, workers=workers)
    assert "on_bad_example: skip" in caught.value.hint
    read = batches(spoilt, config, workers=workers, policy="skip")
    skipped = [entry for batch in read for entry in batch.skipped]
    order = data.Order.of(config)
    assert sorted(number for _, number, _ in skipped) == [4, 11]
    assert {number: reason.partition(":")[0] for _, number, reason in skipped} == {4: "ant/004.jpg", 11: "bee/011.jpg"}
    assert all(order.draws(range(position, position + 1)).ids[0] == number for position, number, _ in skipped)
    assert sum(batch.weights.sum() for batch in read) == 19
    for batch in read:
        for position, _, _ in batch.skipped:
            row = position - batch.positions.start
            assert not batch.images[row].any()
            assert batch.weights[row] == 0
        assert (batch.mix[batch.weights == 0] == 1).all()


def test_what_a_worker_dies_of_is_raised_here(dataset):
    config = config_of(dataset, data=DataConfig("own", dataclasses.replace(dataset.card, train_examples=64)))
    with pytest.raises(ZeroDivisionError, match="a defect") as caught:
        batches(data.Dataset(dataset.card, Flat("raise"), Flat()), config, workers=2)
    assert "in a reader process" in caught.value.__notes__[0]
    with pytest.raises(DataError, match="reader process has ended with exit code 7"):
        batches(data.Dataset(dataset.card, Flat("die"), Flat()), config, workers=2)
    unpicklable = Flat()
    unpicklable.trouble = lambda: None
    with pytest.raises(UsageError, match="cannot be sent to reader processes"):
        batches(data.Dataset(dataset.card, unpicklable, Flat()), config, workers=1)


def test_a_bad_held_out_example_always_fails_by_name(folder, tmp_path):
    images = pictures.small_set()
    images["val"][2] = (images["val"][2][0], b"", images["val"][2][2])
    spoilt = data.load("imagefolder", {"path": str(pictures.write_folder(tmp_path / "spoilt", images)), **SIZES})
    execution = Execution(on_bad_example="skip")
    with (
        pytest.raises(DataError, match=r"validation example 2 \(.*\): empty file") as caught,
        open_evaluation(spoilt.validation, card=spoilt.card, batch_size=4, execution=execution) as loader,
    ):
        list(loader)
    assert "never skipped" in caught.value.hint


def test_nothing_to_score_is_an_error(dataset):
    class Program:
        eval_batch, placement = 4, type("Placement", (), {"shard": (0, 1)})

    with pytest.raises(DataError, match="no example to score"):
        evaluate(Program(), None, data.Dataset(dataset.card, dataset.train, []))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_lost_mount_is_no_bad_example(dataset, workers):
    card = dataclasses.replace(dataset.card, train_examples=64)
    config = config_of(dataset, data=DataConfig("own", card))
    with pytest.raises(DataError, match=r"example 40 cannot be read: .*Stale file handle"):
        batches(data.Dataset(card, Flat("disk"), Flat()), config, workers=workers, policy="skip")
    said = set()
    for seed in (0, 1, 2):  # which example comes first is another matter of each
        with pytest.raises(DataFault, match=r"1% of the training examples are unreadable, .*: is the folder still there") as caught:
            batches(
                data.Dataset(card, Flat("gone"), Flat()), dataclasses.replace(config, seed=seed), workers=workers, policy="skip"
            )
        said.add((str(caught.value), caught.value.hint))
    assert len(said) == 1


def test_an_example_that_is_skipped_in_every_epoch_counts_once():
    tally, none = _Tally(examples=900), np.zeros(0)

    def read(ids, skipped):
        tally.add(
            Rows(0, Draws(range(len(ids)), ids, ids, ids), none, none, ids, [(number, number, "damaged") for number in skipped])
        )

    for _ in range(30):
        for first in range(0, 900, 45):
            ids = np.arange(first, first + 45)
            read(ids, ids[ids % 100 == 7])  # nine of 900
    with pytest.raises(DataFault):
        read(np.array([8]), [8])


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids, seconds=10):
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in pids if alive(pid)]


def children(pid):
    return [int(task) for task in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks processes up in /proc")
def test_workers_are_gone_after_an_exception_and_after_the_trainer_was_killed(dataset, folder):
    config = config_of(dataset)
    before = set(children(os.getpid()))
    started = []

    def fail():
        with open_loader(dataset.train, data.Order.of(config), config=config, execution=Execution(workers=2)) as loader:
            next(loader)
            started.extend(set(children(os.getpid())) - before)
            raise RuntimeError("the training fails")

    with pytest.raises(RuntimeError, match="the training fails"):
        fail()
    assert len(started) == 2
    wait_until_gone(started)

    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from tests.trainer.test_loader import config_of
        from trainer import Execution, data
        from trainer.data.loader import open_loader
        dataset = data.load("imagefolder", {{"path": {str(folder)!r}, "train_px": 20, "eval_px": 24}})
        config = config_of(dataset)
        loader = open_loader(dataset.train, data.Order.of(config), config=config, execution=Execution(workers=2))
        next(loader)
        print("reading", flush=True)
        time.sleep(60)
    """)
    trainer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout.readline() == "reading\n"
    readers = children(trainer.pid)
    assert len(readers) == 2
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    trainer.stdout.close()
    wait_until_gone(readers)


def test_waiting_for_batches_is_timed(dataset):
    config = config_of(
        dataset, data=DataConfig("own", dataclasses.replace(dataset.card, train_examples=64)), augment=AugmentConfig()
    )
    with open_loader(Flat("slow"), data.Order.of(config), config=config, execution=Execution()) as loader:
        next(loader)
        assert loader.stalled_seconds >= 8 * 0.002
        stalled = loader.stalled_seconds
        time.sleep(0.05)
        assert loader.stalled_seconds == stalled


def test_batches_that_do_not_split_are_refused(dataset):
    config = config_of(dataset, batch_size=6)
    with pytest.raises(UsageError, match=r"6 does not split over 2 hosts .* in pairs"):
        batches(dataset, config, shard=(0, 2))
    with pytest.raises(UsageError, match="with 4 copies"):
        batches(dataset, config_of(dataset, batch_size=6, augment=AugmentConfig(repeats=4)))
    with pytest.raises(UsageError, match=r"use|copies"):
        open_loader(
            dataset.train,
            data.Order(21, 1, 8, 0),
            config=config_of(dataset, augment=AugmentConfig(repeats=2)),
            execution=Execution(),
        )
