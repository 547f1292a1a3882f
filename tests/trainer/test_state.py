"""State beside the parameters (averages of BatchNorm, counters) is carried from step to step, and through all that a run goes through."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from scaling.errors import OutOfMemory, UsageError
from scaling.outcomes import AttemptOutcome
from tests.trainer import small_run
from tests.trainer.small_run import BATCH, bits
from trainer import Execution, ModelConfig, checkpoint, train, train_many
from trainer.models.initial import variable_shapes
from trainer.program import program_for

pytestmark = pytest.mark.usefixtures("quick_compilation")

MASKED = ModelConfig("tests.trainer.strangers_models:masked", "one")
UNMASKED = ModelConfig("tests.trainer.strangers_models:normalized", "one")
STEPS = 14
CONFIG = small_run.config(model=MASKED, epochs=13.5 / 6, learning_rate=0.01)
"""With an average; of its 14 batches the last is half padding."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    home = tmp_path_factory.mktemp("state")
    return train(CONFIG, directory=home), home


def arrays_of(home, step=STEPS):
    return checkpoint.restore(home, at_most=step)[0].arrays


def batches(real=(BATCH, BATCH, 5)):
    """Batches of random images, the last with padding that must not count."""
    rng = np.random.default_rng(0)
    for count in real:
        images = rng.normal(3, 2, (BATCH, 8, 8, 1)).astype(np.float32)
        images[count:] = 1e3
        yield images, rng.integers(0, 4, BATCH).astype(np.int32), (np.arange(BATCH) < count).astype(np.float32)


def stepped(config, real):
    program = program_for(config)
    state = program.initial_state(config)
    for step, arrays in enumerate(batches(real)):
        state, metrics = program.train_step(state, *program.place_batch(*arrays), np.float32(0.1), np.uint32(0), np.uint32(step))
    return program, jax.tree.map(np.array, state), metrics


def test_averages_are_numpys_over_the_real_examples_and_so_is_their_average():
    _, state, _ = stepped(CONFIG, (BATCH, BATCH, 5))
    mean, var, average = 0.0, 1.0, np.array([0.0, 1.0])
    for step, (images, _, weights) in enumerate(batches()):
        seen = images[weights > 0].astype(np.float64)
        mean, var = 0.9 * mean + 0.1 * seen.mean(), 0.9 * var + 0.1 * seen.var()
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * np.array([mean, var])
    of = lambda collections: [collections["batch_stats"]["BatchNorm_0"][name].item() for name in ("mean", "var")]  # noqa: E731
    assert of(state.collections) == pytest.approx([mean, var], rel=1e-5)
    assert of(state.ema_collections) == pytest.approx(average, rel=1e-5)
    assert state.collections["steps"]["taken"] == state.ema_collections["steps"]["taken"] == 3
    assert state.ema_collections["steps"]["taken"].dtype == np.int32


@pytest.mark.parametrize(("model", "real"), [(MASKED, 0), (UNMASKED, 5)])
def test_a_batch_that_says_nothing_leaves_them_as_they_were(model, real):
    """One without a real example; one with padding, of a network that cannot leave it out."""
    config = replace(CONFIG, model=model)
    (_, before, _), (_, after, metrics) = stepped(config, (BATCH,)), stepped(config, (BATCH, real))
    jax.tree.map(np.testing.assert_array_equal, before.collections, after.collections)
    assert bool(metrics.finite)


def test_a_held_out_loss_is_that_of_the_averages(whole):
    """Of parameters and of state; computed by Flax from the last checkpoint."""
    result, home = whole
    arrays, dataset = arrays_of(home), small_run.dataset(CONFIG.data.options)
    program = program_for(CONFIG)
    like = variable_shapes(program.module, image_shape=(8, 8, 1))
    named = {"params": "ema"} | {name: f"ema_collections/{name}" for name in like if name != "params"}
    variables = {
        name: jax.tree_util.tree_map_with_path(
            lambda path, _, name=name: arrays["/".join([named[name], *(part.key for part in path)])], tree
        )
        for name, tree in like.items()
    }
    images, labels, _ = dataset.validation.gather(np.arange(32))
    log_p = jax.nn.log_softmax(program.module.apply(variables, images))
    assert result.val_loss == pytest.approx(-float(log_p[np.arange(32), labels].mean()), rel=1e-5)
    assert set(like) == {"params", "batch_stats", "steps"}
    assert arrays["collections/steps/taken"] == STEPS


def test_an_interrupted_run_ends_with_the_same_bits(whole, tmp_path):
    polls = iter(range(100))
    first = train(CONFIG, directory=tmp_path / "1", should_stop=lambda: next(polls) == 5)
    assert first.outcome is AttemptOutcome.INTERRUPTED
    second = train(CONFIG, directory=tmp_path / "2", resume_from={"directory": tmp_path / "1", "step": 5})
    assert (second.first_step, second.val_loss) == (5, whole[0].val_loss)
    assert bits(tmp_path / "2", STEPS) == bits(whole[1], STEPS)


@pytest.mark.parametrize("form", ["looped", "vectorised"])
def test_packed_runs_have_each_its_own(whole, tmp_path, monkeypatch, form):
    monkeypatch.setattr("trainer.packed.default_form", lambda: form)
    folders = [tmp_path / "0", tmp_path / "1"]
    results = train_many([CONFIG, replace(CONFIG, seed=1)], directories=folders)
    assert results[0].val_loss == pytest.approx(whole[0].val_loss, rel=1e-5)
    ours, theirs = arrays_of(whole[1]), arrays_of(folders[0])
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(theirs[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
    mean = "collections/batch_stats/BatchNorm_0/mean"
    assert arrays_of(folders[1])[mean] != arrays_of(folders[0])[mean]


@pytest.mark.parametrize("execution", [Execution(micro_batch=4), Execution(on_out_of_memory="halve")])
def test_accumulation_is_refused_since_a_part_of_a_batch_has_other_statistics(execution):
    with pytest.raises(
        UsageError, match=r"one keeps state \(batch_stats, steps\) that is of whole batches, so execution\."
    ) as refused:
        program_for(CONFIG, execution)
    assert "leave execution." in refused.value.hint


def test_out_of_memory_does_not_propose_a_micro_batch():
    program = program_for(CONFIG)
    for fails in (
        lambda: program_for(CONFIG, memory_limit_bytes=program.memory_bytes // 2),
        lambda: program.on_less_memory(Execution()),
    ):
        with pytest.raises(OutOfMemory) as refused:
            fails()
        assert "micro_batch:" not in f"{refused.value} {refused.value.hint}"


def test_a_step_names_the_state_that_is_not_finite():
    """The variance of numbers about 1e20 is none of float32, and the loss is finite all the same."""
    program = program_for(CONFIG)
    images, labels, weights = next(batches())
    images = 1e20 * np.sign(images - 3)
    _, metrics = program.train_step(
        program.initial_state(CONFIG), images, labels, weights, np.float32(0), np.uint32(0), np.uint32(0)
    )
    assert bool(np.isfinite(metrics.loss))
    assert not bool(metrics.finite)
    assert program.name_non_finite(metrics) == "the state batch_stats/BatchNorm_0/var"
