"""Blocks that are looped over are one array on the device, and each by itself in checkpoints: the same training either way."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import trainer.compiled
from scaling.errors import UsageError
from scaling.outcomes import AttemptOutcome
from tests.trainer.test_program import distance, stepped
from trainer import (
    DataConfig,
    Execution,
    ModelConfig,
    ScheduleConfig,
    TrainConfig,
    checkpoint,
    data,
    train,
    train_many,
)
from trainer.checkpoint.files import Piece
from trainer.checkpoint.snapshot import layers, take_snapshot
from trainer.finite import finite_leaves, leaf_names
from trainer.layout import Layout
from trainer.optimizers.masks import Masks
from trainer.optimizers.sgd_agc import SgdAgc
from trainer.program import program_for

pytestmark = pytest.mark.usefixtures("quick_compilation")

CONFIG = TrainConfig(
    DataConfig("digits", data.card("digits", {})),
    ModelConfig("nfnet", "deep", {"width": [8], "depth": [3], "group_width": 4, "stem": "small"}),
    ScheduleConfig(0.1),
    24,
    0.4,
    optimizer=SgdAgc(clip=0.02, weight_decay=1e-3),
    ema=0.5,
)


def batch():
    images, labels, _ = data.load("digits", {}).train.gather(np.arange(24))
    return images, labels, np.ones(24, np.float32)


def apart(program, state):
    """A state as a checkpoint has it: name → array."""
    snapshot = take_snapshot(state, program.layout, step=1, counters={}, life="0")
    for pieces in snapshot.pieces.values():
        assert len(pieces) == 1
        assert not any(pieces[0].start)
    assert {name: pieces[0].values.shape for name, pieces in snapshot.pieces.items()} == snapshot.shapes
    return {name: pieces[0].values for name, pieces in snapshot.pieces.items()}


LOOPED = Execution(scan=True, micro_batch=12)
"""Gradients are accumulated on top."""


def trained(execution, config=CONFIG):
    """A program, and the state after two steps on a batch, as a checkpoint would have it."""
    program = program_for(config, execution)
    states, _ = stepped(program, batch(), learning_rate=4.0)
    return program, apart(program, jax.tree.map(jax.numpy.asarray, states[-1]))


@pytest.fixture(scope="module")
def unrolled():
    return trained(Execution(scan=False))


def test_a_loop_trains_as_the_unrolled_network_does(unrolled):
    """With clipping, decay and an average, of each layer by itself, and gradients accumulated on top."""
    program, state = trained(LOOPED)
    assert (program.layout.stacks, unrolled[0].layout.stacks) == ({"block1-2": ("block1", "block2")}, {})
    assert state.keys() == unrolled[1].keys()
    assert distance([state[name] for name in state], [unrolled[1][name] for name in state]) < 1e-6


def test_clipping_a_stack_as_one_would_be_seen(unrolled, monkeypatch):
    """The wrong way, planted: an optimiser that is not told which parameters are stacks."""
    monkeypatch.setattr(trainer.compiled, "Masks", lambda stacked, *rules: Masks())
    _, state = trained(LOOPED, replace(CONFIG, ema=0.51))  # a shape that is not compiled yet
    names = [name for name in state if name.startswith(("params/block1/", "params/block2/"))]
    assert distance([state[name] for name in names], [unrolled[1][name] for name in names]) > 1e-4


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of the unrolled network: its result and its folder."""
    folder = tmp_path_factory.mktemp("alone")
    return train(CONFIG, directory=folder, execution=Execution(scan=False)), folder


@pytest.mark.parametrize("scan", [True, False])
def test_a_checkpoint_moves_between_a_loop_and_the_unrolled_network(alone, tmp_path, scan):
    polls, events = iter(range(100)), []
    before, after = (LOOPED, Execution(scan=False)) if scan else (Execution(scan=False), LOOPED)
    begun = {"directory": str(tmp_path / "begun"), "step": 2}
    train(CONFIG, directory=begun["directory"], execution=before, should_stop=lambda: next(polls) == 2)
    moved = train(CONFIG, directory=tmp_path / "moved", resume_from=begun, execution=after, on_event=events.append)
    assert (moved.outcome, moved.first_step) == (AttemptOutcome.FINISHED, 2)
    changed = next(event["changed"] for event in events if event["kind"] == "started")
    assert changed == {"scan": [scan, not scan], "micro_batch": [12, 24] if scan else [24, 12]}
    assert moved.val_loss == pytest.approx(alone[0].val_loss, rel=1e-5)
    one, other = (checkpoint.restore(folder)[0].arrays for folder in (alone[1], tmp_path / "moved"))
    assert one.keys() == other.keys()
    assert distance([other[name] for name in one], [one[name] for name in one]) < 1e-5


def test_a_process_saves_the_parts_of_the_layers_that_lie_on_it():
    """A stack of three layers `[3, 2, 4]`, of which two half layers are here."""
    whole = np.arange(24.0).reshape(3, 2, 4)
    parts = dict(layers(["a", "b", "c"], Piece((1, 0, 2), whole[1:, :, 2:])))
    assert list(parts) == ["b", "c"]
    for name, layer in (("b", 1), ("c", 2)):
        assert parts[name].start == (0, 2)
        np.testing.assert_array_equal(parts[name].values, whole[layer, :, 2:])
    gains = dict(layers(["a", "b", "c"], Piece((2,), np.array([7.0]))))
    assert (list(gains), gains["c"].start, gains["c"].values.shape, float(gains["c"].values)) == (["c"], (), (), 7.0)


@pytest.mark.parametrize(
    ("stacks", "says"),
    [
        ({"conv0": ("block1", "block2")}, "something else is called conv0"),
        ({"trace": ("block1", "block2")}, "something else is called trace"),
        ({"blocks": ("block1", "block9")}, "blocks is to hold block9, which is no entry"),
        ({"blocks": ("block0", "final_conv")}, "block0, final_conv, which differ in shape"),
    ],
)
def test_stacks_that_do_not_fit_a_model_are_refused(stacks, says, unrolled):
    shapes = unrolled[0].compiler.saved_shapes
    Layout({"blocks": ("block1", "block2")}).check(shapes)
    with pytest.raises(UsageError, match=says):
        Layout(stacks).check(shapes)


def test_the_layer_that_left_the_finite_numbers_is_named():
    program = program_for(CONFIG, LOOPED)
    state = program.initial_state(CONFIG)
    kernel = state.params["block1-2"]["conv0"]["kernel"]
    kernel = kernel.at[1, 0, 0, 0, 0].set(np.nan)
    params = state.params | {
        "block1-2": state.params["block1-2"] | {"conv0": state.params["block1-2"]["conv0"] | {"kernel": kernel}}
    }
    names = leaf_names(params, program.layout)
    flags = dict(zip(names, finite_leaves(params, program.layout).tolist(), strict=True))
    assert [name for name, finite in flags.items() if not finite] == ["block2/conv0/kernel"]
    assert set(names) == set(leaf_names(program.compiler.saved_shapes.params, Layout({})))


def test_runs_that_are_trained_at_once_may_loop_too(alone, tmp_path):
    configs = [CONFIG, replace(CONFIG, seed=1)]
    folders = [tmp_path / "first", tmp_path / "second"]
    first, _ = train_many(configs, directories=folders, execution=Execution(scan=True))
    assert first.val_loss == pytest.approx(alone[0].val_loss, rel=1e-5)
    one, other = (checkpoint.restore(folder)[0].arrays for folder in (alone[1], folders[0]))
    assert distance([other[name] for name in one], [one[name] for name in one]) < 1e-5
