"""One step, whichever way it is computed: accumulated, padded, averaged, mixed, in bfloat16, on too little memory."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.errors import OutOfMemory, UsageError
from trainer import AugmentConfig, DataConfig, Execution, ModelConfig, NumericsConfig, ScheduleConfig, TrainConfig, data
from trainer.compilation import counted_compilation
from trainer.compiled import Compiler
from trainer.models import family
from trainer.models.initial import initial_params
from trainer.models.nfnet.layers import WSConv, standardize
from trainer.program import program_for
from trainer.sharding import Placement

pytestmark = pytest.mark.usefixtures("quick_compilation")

CARD = data.card("digits", {})
BATCH, MICRO, EMA = 24, 6, 0.3
NETWORK = {"width": [8], "depth": [2], "group_width": 4, "stem": "small"}
MODEL = ModelConfig("nfnet", "small", NETWORK | {"dropout": 0.3, "stochastic_depth": 0.5})
CONFIG = TrainConfig(
    DataConfig("digits", CARD),
    MODEL,
    ScheduleConfig(1.0),
    BATCH,
    0.4,
    label_smoothing=0.1,
    augment=AugmentConfig(mixup=0.2),
    ema=EMA,
)


@pytest.fixture(scope="module")
def whole():
    return program_for(CONFIG)


@pytest.fixture(scope="module")
def accumulating():
    return program_for(CONFIG, Execution(micro_batch=7))


def batch(real=BATCH):
    """Digits in pairs, as mixup would make them; the last places are padding, filled with what must not count."""
    images, labels, _ = data.load("digits", {}).train.gather(np.arange(BATCH))
    images[real:] = 1e3
    weights = (np.arange(BATCH) < real).astype(np.float32)
    return images, labels, weights, labels[::-1].copy(), np.linspace(0.5, 1, BATCH, dtype=np.float32)


def shaken_params(module):
    """Initial parameters with skip gains that are not 0, so that every parameter has a gradient."""
    rng = np.random.default_rng(0)
    params = initial_params(module, seed=0, image_shape=CARD.image_shape)
    return jax.tree.map(lambda leaf: leaf + 0.1 * rng.standard_normal(leaf.shape).astype(np.float32), params)


def shaken(program):
    params = shaken_params(program.module)
    state = program.initial_state(program.config)
    return program.place(jax.device_get(state)._replace(params=params, ema=params))


def stepped(program, arrays, *, steps=2, learning_rate=0.4):
    """The state after each step, in host memory, and the last step's metrics."""
    state, seen = shaken(program), []
    for step in range(steps):
        scalars = np.float32(learning_rate), np.uint32(0), np.uint32(step)
        state, metrics = program.train_step(state, *program.place_batch(*arrays), *scalars)
        seen.append(jax.tree.map(np.array, state))
    return seen, metrics


def distance(one, other):
    """‖one − other‖ / ‖other‖ over all leaves."""
    flat = lambda tree: np.concatenate([np.ravel(leaf).astype(np.float64) for leaf in jax.tree.leaves(tree)])  # noqa: E731
    return np.linalg.norm(flat(one) - flat(other)) / np.linalg.norm(flat(other))


@pytest.mark.parametrize("real", [BATCH, 13])
def test_accumulated_micro_batches_are_the_large_batch(whole, accumulating, real):
    """With dropout, stochastic depth, mixed labels, and padding in some of the micro-batches."""
    assert (accumulating.micro_batch, accumulating.micro_batches) == (MICRO, 4)
    together, one = stepped(whole, batch(real))
    in_parts, other = stepped(accumulating, batch(real))
    assert float(other.loss) == pytest.approx(float(one.loss), rel=1e-6)
    assert distance(in_parts[-1], together[-1]) < 1e-6
    moved = jax.tree.map(lambda after, before: after - before, together[0].params, jax.tree.map(np.array, shaken(whole).params))
    assert distance(jax.tree.map(np.zeros_like, moved), moved) == 1.0
    assert (
        np.linalg.norm(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(moved)])) > 1e-2
    )  # there was something to agree on


def test_a_padded_batch_is_the_shorter_batch(accumulating):
    """Half a batch of padding, and a program for half the batch out of the same compiled micro-batches."""
    half = replace(accumulating, config=replace(CONFIG, batch_size=BATCH // 2))
    padded, one = stepped(accumulating, batch(real=BATCH // 2))
    short, other = stepped(half, [array[: BATCH // 2] for array in batch()])
    assert float(one.loss) == pytest.approx(float(other.loss), rel=1e-6)
    assert distance(padded[-1], short[-1]) < 1e-6


def test_a_batch_without_a_real_example_changes_nothing(accumulating):
    states, metrics = stepped(accumulating, batch(real=0), steps=1)
    assert float(metrics.loss) == 0.0
    assert bool(metrics.finite)
    assert distance(states[-1].params, jax.tree.map(np.array, shaken(accumulating).params)) == 0.0


def test_the_average_is_numpys(accumulating):
    states, _ = stepped(accumulating, batch(), steps=4)
    average = jax.tree.map(lambda leaf: leaf.astype(np.float64), jax.tree.map(np.array, shaken(accumulating).params))
    for step, state in enumerate(states):
        decay = min(EMA, (1 + step) / (10 + step))
        average = jax.tree.map(lambda old, new, decay=decay: decay * old + (1 - decay) * new, average, state.params)
        assert distance(state.ema, average) < 1e-6
    assert [min(EMA, (1 + step) / (10 + step)) for step in (0, 3)] == [0.1, EMA]  # both branches were taken
    assert states[-1].evaluated["params"] is states[-1].ema
    assert states[-1]._replace(ema=None).evaluated["params"] is states[-1].params


def test_bfloat16_computes_near_float32_and_keeps_float32_weights(whole):
    low = program_for(replace(CONFIG, numerics=NumericsConfig("bfloat16")))
    precise, one = stepped(whole, batch(), steps=1)
    states, other = stepped(low, batch(), steps=1)
    assert {leaf.dtype for leaf in jax.tree.leaves(states[-1])} == {np.dtype("float32")}
    assert float(other.loss) == pytest.approx(float(one.loss), rel=1e-2)
    assert float(other.loss) != float(one.loss)
    start = jax.tree.map(np.array, shaken(whole).params)
    change = lambda state: jax.tree.map(np.subtract, state.params, start)  # noqa: E731
    assert distance(change(states[-1]), change(precise[-1])) < 0.1


def test_weights_are_standardised_in_float32_before_they_are_rounded():
    """A 1×1 convolution of unit vectors answers with its weights."""
    kernel = 3.0 + 1e-3 * np.random.default_rng(0).standard_normal((1, 1, 8, 4)).astype(np.float32)  # bfloat16 would see a constant
    params = {"kernel": jnp.asarray(kernel), "gain": jnp.ones(4), "bias": jnp.zeros(4)}
    answer = WSConv(4, 1, dtype=jnp.bfloat16).apply({"params": params}, jnp.eye(8).reshape(8, 1, 1, 8))
    expected = standardize(params["kernel"], params["gain"])[0, 0].astype(jnp.bfloat16)
    np.testing.assert_array_equal(np.asarray(answer.reshape(8, 4), np.float32), np.asarray(expected, np.float32))


def test_a_step_that_leaves_the_finite_numbers_names_the_tensor(whole):
    _, fine = stepped(whole, batch(), steps=1)
    assert bool(fine.finite)
    assert whole.name_non_finite(fine) is None
    _, bad = stepped(whole, batch(), steps=1, learning_rate=np.inf)
    assert not bool(bad.finite)
    assert whole.name_non_finite(bad).startswith("the parameter block0/conv0/bias and ")
    state = shaken(whole)
    state.params["block1"]["conv2"]["kernel"] = jnp.full_like(state.params["block1"]["conv2"]["kernel"], np.nan)
    _, bad = whole.train_step(state, *batch(), np.float32(0), np.uint32(0), np.uint32(0))
    assert not bool(bad.finite)
    assert whole.name_non_finite(bad) == "the loss (nan)"
    one_gradient = fine._replace(gradients_finite=fine.gradients_finite.at[2].set(False))
    assert whole.name_non_finite(one_gradient) == "the gradient of block0/conv0/kernel"


def test_initialisation_compiles_nothing(whole):
    with counted_compilation() as count:
        state = whole.initial_state(CONFIG)
    assert (count.compiled, count.loaded) == (0, 0)
    assert count.seconds < 5
    with counted_compilation() as count:
        jax.jit(lambda leaf: leaf * 1.2345)(state.params["classifier"]["bias"])
    assert count.compiled == 1


def test_too_little_memory_says_which_micro_batch_fits_or_goes_on_with_it(whole):
    """The limit is made up: this machine has no device that states one."""
    limit = int(0.3 * whole.memory_bytes)
    with pytest.raises(
        OutOfMemory, match=r"24 examples at once is out of memory.*a micro-batch of (12|8|6|4|3|2|1) would"
    ) as caught:
        program_for(CONFIG, memory_limit_bytes=limit)
    program = program_for(CONFIG, Execution(on_out_of_memory="halve"), memory_limit_bytes=limit)
    assert f"micro_batch: {program.micro_batch}" in caught.value.hint
    assert program.memory_bytes <= limit < whole.memory_bytes
    assert program.evaluation.memory_bytes <= limit < whole.evaluation.memory_bytes
    assert distance(stepped(program, batch())[0][-1], stepped(whole, batch())[0][-1]) < 1e-6
    halve = Execution(on_out_of_memory="halve", workers=2)
    assert whole.on_less_memory(halve) == replace(halve, micro_batch=12)
    with pytest.raises(OutOfMemory, match="on 1 examples at once ran out of memory, and it cannot be split"):
        replace(whole, micro_batch=1).on_less_memory(halve)


def test_evaluation_at_another_resolution_than_training():
    """8 px in training, 12 px in evaluation: the loss is that of the module on the larger images."""
    card = replace(CARD, evaluation_shape=(12, 12, 1))
    compiler = Compiler(replace(CONFIG, data=DataConfig("digits", card)), Execution(), Placement())
    step = compiler.evaluation(limit=None)
    params = shaken_params(compiler.module)
    images = np.random.default_rng(0).standard_normal((step.batch, 12, 12, 1)).astype(np.float32)
    labels, weights = np.arange(step.batch, dtype=np.int32) % 10, (np.arange(step.batch) < 100).astype(np.float32)
    sums = step.evaluate({"params": params}, images, labels, weights)
    log_p = np.asarray(jax.jit(lambda images: jax.nn.log_softmax(compiler.module.apply({"params": params}, images)))(images[:100]))
    rank = (log_p > log_p[np.arange(100), labels[:100], None]).sum(1)
    assert float(sums.loss) == pytest.approx(-log_p[np.arange(100), labels[:100]].sum(), rel=1e-5)
    assert (float(sums.top1), float(sums.top5)) == ((rank < 1).sum(), (rank < 5).sum())

    alike = step.evaluate(
        {"params": jax.tree.map(jnp.zeros_like, params)}, images, labels, weights
    )  # all logits equal: the first class is the guess
    assert (float(alike.top1), float(alike.top5)) == ((labels[:100] == 0).sum(), (labels[:100] < 5).sum())


def plain_family():
    """A family whose build takes neither `scan` nor `remat`."""
    nfnet = family("nfnet")
    return replace(
        nfnet, build=lambda name, *, num_classes, dtype, **options: nfnet.build(name, num_classes=num_classes, dtype=dtype)
    )


def test_a_family_that_cannot_do_what_execution_asks_for_is_named():
    theirs = replace(CONFIG, model=ModelConfig(f"{__name__}:plain_family", "nano-F0"))
    with pytest.raises(UsageError, match=r"plain_family does not know execution\.remat"):
        program_for(theirs, Execution(remat="block"))


def test_what_a_micro_batch_must_be(whole):
    assert program_for(CONFIG, Execution(workers=3)) is whole
    assert program_for(CONFIG, Execution(micro_batch=1000)) is whole
