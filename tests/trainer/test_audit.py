"""The audit: clean over any chain of attempts, and never clean when an example was dropped or used twice."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.errors import DataError
from trainer import AugmentConfig, DataConfig, Execution, ModelConfig, ScheduleConfig, TrainConfig, data
from trainer.audit import Recorder, Stretch, check
from trainer.audit.multiset import Multiset
from trainer.data.loader import open_loader

N = 50


def world(epochs=2.3, batch_size=8, repeats=1, n=N):
    pixels = np.zeros((n, 2, 2, 1), np.uint8)
    examples = data.ArrayExamples(pixels, np.arange(n) % 7, full_scale=255, mean=0.2, std=0.3)
    card = data.DataCard("numbers", "f" * 16, 7, (2, 2, 1), n, 1)
    config = TrainConfig(
        DataConfig("numbers", card), ModelConfig("nfnet", "nano-F0"), ScheduleConfig(epochs), batch_size, 1.0,
        seed=4, augment=AugmentConfig(repeats=repeats),
    )  # fmt: skip
    return examples, config, data.Order.of(config)


def attempt(directory, examples, config, order, *, first=0, stop=None, saves=(), shard=(0, 1), loader=open_loader):
    """What a trainer does as far as the audit sees it: steps, a flush before each checkpoint, an end at `stop`, flushed or killed."""
    recorder = Recorder(directory, order, shard=shard, first_step=first)
    with loader(examples, order, config=config, execution=Execution(), first_step=first, shard=shard) as batches:
        for batch in batches:
            if batch.step == stop:
                return  # killed: what was not flushed is lost
            recorder.record_batch(batch)
            if batch.step + 1 in saves:
                recorder.flush()
    recorder.flush()


def planted(spoil):
    """A loader whose batches go through `spoil`."""

    def loader(*arguments, **options):
        real = open_loader(*arguments, **options)
        original = type(real).__next__

        class Planted(type(real)):
            def __next__(self):
                return spoil(original(self))

        real.__class__ = Planted
        return real

    return loader


@settings(max_examples=30, deadline=None)
@given(
    epochs=st.floats(0.25, 3),
    repeats=st.sampled_from([1, 2]),
    saves=st.lists(st.integers(1, 18), max_size=4),
    cuts=st.lists(st.tuples(st.integers(1, 18), st.integers(1, 18)), max_size=3),
)
def test_any_chain_of_attempts_is_clean(tmp_path_factory, epochs, repeats, saves, cuts):
    """Each attempt is killed somewhere after a checkpoint; the next starts at that checkpoint, whatever was recorded beyond it."""
    examples, config, order = world(epochs, repeats=repeats)
    first, stretches = 0, []
    for number, (save, kill) in enumerate(sorted(cuts)):
        if not first < save < order.steps:
            continue
        directory = tmp_path_factory.mktemp(f"attempt{number}")
        attempt(directory, examples, config, order, first=first, saves={save, *saves}, stop=max(save, kill))
        stretches.append(Stretch(directory, first, save))
        so_far = check(stretches, order)
        assert so_far.clean
        assert not so_far.complete
        assert so_far.covered == save * 8
        first = save
    directory = tmp_path_factory.mktemp("last")
    attempt(directory, examples, config, order, first=first, saves=saves)
    report = check([*stretches, Stretch(directory, first, order.steps)], order)
    assert report.clean
    assert report.complete
    assert sum(epoch.used for epoch in report.epochs) == report.total == round(epochs * N)


def drop(batch):
    """An example is left out of the step, and nothing is said."""
    weights = batch.weights.copy()
    weights[5] = 0
    return dataclasses.replace(batch, weights=weights) if batch.step == 3 else batch


def shorten(batch):
    """The batch is one shorter than it should be."""
    return dataclasses.replace(batch, ids=np.delete(batch.ids, 5)) if batch.step == 3 else batch


def double(batch):
    """An example takes the place of its neighbour."""
    if batch.step != 3:
        return batch
    ids = batch.ids.copy()
    ids[5] = ids[4]
    return dataclasses.replace(batch, ids=ids)


def again(batch):
    """A whole step is read twice."""
    return dataclasses.replace(batch, ids=_first.setdefault("ids", batch.ids)) if batch.step in (2, 3) else batch


_first = {}


@pytest.mark.parametrize("spoil", [drop, shorten, double, again])
def test_a_loader_that_drops_or_doubles_is_caught_and_the_ids_are_named(tmp_path, spoil):
    _first.clear()
    examples, config, order = world()
    victims = set(map(int, order.ids(3))) if spoil is again else {int(order.ids(3)[5])}
    attempt(tmp_path, examples, config, order, saves=(2, 10), loader=planted(spoil))
    report = check([Stretch(tmp_path, 0, order.steps)], order)
    assert not report.clean
    spoilt, *sound = report.epochs
    assert sound
    assert not spoilt.exact
    assert set(spoilt.missing) == victims
    assert (
        set(spoilt.repeated)
        == {drop: set(), shorten: set(), double: {int(order.ids(3)[4])}, again: set(map(int, order.ids(2)))}[spoil]
    )
    assert all(epoch.exact for epoch in sound)
    assert "used too seldom" in report.faults[0]


class Spoilt(data.ArrayExamples):
    """Arrays in memory whose `gather` loses or doubles the sixth row of one batch; `told` says whether it returns ids."""

    def __init__(self, fault, told, victim):
        super().__init__(np.zeros((N, 2, 2, 1), np.uint8), np.arange(N) % 7, full_scale=255, mean=0.2, std=0.3)
        self.fault, self.told, self.victim = fault, told, victim

    def gather(self, ids):
        if len(ids) > 5 and ids[5] == self.victim:
            ids = np.delete(ids, 5) if self.fault == "drop" else np.concatenate([ids[:5], ids[4:5], ids[6:]])
        return super().gather(ids)[: 3 if self.told else 2]


@pytest.mark.parametrize("told", [True, False])
def test_a_row_that_arrays_in_memory_lose_stops_the_run(tmp_path, told):
    _, config, order = world(epochs=1)
    with pytest.raises(DataError, match="step 3: 7 examples came where 8 were asked for"):
        attempt(tmp_path, Spoilt("drop", told, order.ids(3)[5]), config, order)


def test_a_row_that_arrays_in_memory_double_is_caught(tmp_path):
    _, config, order = world(epochs=1)
    attempt(tmp_path, Spoilt("double", True, order.ids(3)[5]), config, order)
    (epoch,) = (report := check([Stretch(tmp_path, 0, order.steps)], order)).epochs
    assert not report.clean
    assert (epoch.missing, epoch.repeated) == ((int(order.ids(3)[5]),), (int(order.ids(3)[4]),))


def test_a_part_of_an_epoch_is_checked_too(tmp_path):
    """0.25 epochs: nobody knows beforehand which quarter, yet the wrong one is noticed."""
    examples, config, order = world(epochs=0.25, n=64)
    attempt(tmp_path / "right", examples, config, order)
    report = check([Stretch(tmp_path / "right", 0, order.steps)], order)
    assert report.clean
    assert report.epochs[0].used == 16 == len({int(n) for step in range(order.steps) for n in order.ids(step)})

    def another(batch):
        return dataclasses.replace(batch, ids=(batch.ids + 1) % 64)

    attempt(tmp_path / "wrong", examples, config, order, loader=planted(another))
    assert not check([Stretch(tmp_path / "wrong", 0, order.steps)], order).clean


def test_it_does_not_trust_the_order(tmp_path):
    """The loader follows an order that is no permutation, and the audit is given the same one: whole epochs are still held against 0 … n − 1."""

    class Wrong(data.Order):
        def draws(self, span):
            right = super().draws(span)
            return right._replace(ids=np.where(right.ids == 7, 8, right.ids))

    examples, config, order = world(epochs=1.96)
    wrong = Wrong(**dataclasses.asdict(order))
    attempt(tmp_path, examples, config, wrong)
    report = check([Stretch(tmp_path, 0, wrong.steps)], wrong)
    assert [epoch.exact for epoch in report.epochs] == [False, False]  # the second, nearly whole, has 8 twice


def test_attempts_that_overlap_or_leave_a_gap(tmp_path):
    examples, config, order = world()
    attempt(tmp_path / "1", examples, config, order, saves=(4, 6), stop=7)
    attempt(tmp_path / "2", examples, config, order, first=6, saves=(8,))
    last = Stretch(tmp_path / "2", 6, order.steps)
    assert check([Stretch(tmp_path / "1", 0, 6), last], order).clean
    gap = check([Stretch(tmp_path / "1", 0, 4), last], order)
    assert "positions 32 to 47 were used by no recorded step" in gap.faults
    overlap = check([Stretch(tmp_path / "1", 0, 6), Stretch(tmp_path / "1", 4, 6), last], order)
    assert {"positions 32 to 39 were used twice", "positions 40 to 47 were used twice"} <= set(overlap.faults)
    unaligned = check([Stretch(tmp_path / "1", 0, 5), last], order)
    assert any("steps 4 to 5 were recorded together, but only 0 to 4 count" in fault for fault in unaligned.faults)
    gone = check([Stretch(tmp_path / "nowhere", 0, 6), last], order)
    assert any("nothing says what steps 0 to 5 used" in fault for fault in gone.faults)


@pytest.mark.parametrize("hosts", [2, 4])
def test_every_host_keeps_its_own_record(tmp_path, hosts):
    examples, config, order = world()
    for host in range(hosts):
        attempt(tmp_path, examples, config, order, shard=(host, hosts), saves=(3, 9))
    assert check([Stretch(tmp_path, 0, order.steps, hosts)], order).clean
    assert check([Stretch(tmp_path, 0, order.steps)], order).clean
    assert all(len(path.read_text()) < 1500 for path in tmp_path.iterdir())  # slices at equal distances are one entry
    (tmp_path / "audit-1.jsonl").unlink()
    assert not check([Stretch(tmp_path, 0, order.steps, hosts)], order).clean


def test_skipped_examples_are_named_and_are_no_fault(tmp_path):
    examples, config, order = world(epochs=1)
    position = int(order.positions(2)[1])
    number = int(order.ids(2)[1])

    def skip(batch):
        if batch.step != 2:
            return batch
        weights = batch.weights.copy()
        weights[1] = 0
        return dataclasses.replace(batch, weights=weights, skipped=((position, number, "damaged JPEG"),))

    attempt(tmp_path, examples, config, order, loader=planted(skip))
    report = check([Stretch(tmp_path, 0, order.steps)], order)
    assert report.clean
    assert report.skipped == ((0, number, "damaged JPEG"),)
    assert (report.epochs[0].used, report.epochs[0].skipped) == (N - 1, 1)
    assert json.loads(json.dumps(report.to_dict()))["skipped"] == [{"epoch": 0, "id": number, "reason": "damaged JPEG"}]


def test_a_record_is_small(tmp_path):
    """A hundred epochs of fifty examples and two checkpoints: a line each, not a line a step."""
    examples, config, order = world(epochs=100)
    attempt(tmp_path, examples, config, order, saves=(200, 400))
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert len(lines) <= 103
    assert sum(map(len, lines)) < 20_000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**40), max_size=40), st.integers(0, 40), st.randoms())
def test_a_multiset_is_told_by_what_is_in_it_and_not_by_its_order(ids, cut, random):
    shuffled = random.sample(ids, len(ids))
    whole = Multiset.of(np.array(ids, np.int64))
    assert Multiset.of(np.array(shuffled[:cut], np.int64)) + Multiset.of(np.array(shuffled[cut:], np.int64)) == whole
    assert Multiset.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    assert Multiset.of(np.array([*ids, 5], np.int64)) != whole
    if ids:
        assert Multiset.of(np.array([*ids[1:], ids[0] + 1], np.int64)) != whole
        assert Multiset.of(np.array(ids, np.int64), times=2) == whole + whole
    assert Multiset.of_all(40, 3) == Multiset.of(np.tile(np.arange(40), 3))
