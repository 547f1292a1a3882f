"""What a ViT does in training: it learns, drops by sample, loops over its blocks, computes in bfloat16, and names what is decayed."""

import re
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling
from scaling.outcomes import AttemptOutcome
from tests.trainer import pictures
from tests.trainer.conftest import QUICK
from tests.trainer.seeded_vit import weights
from trainer import DataConfig, ModelConfig, ScheduleConfig, TrainConfig, data
from trainer.models import vit
from trainer.models.card import model_card
from trainer.models.initial import param_shapes
from trainer.models.protocol import REMAT
from trainer.models.vit.layers import stochastic_depth
from trainer.optimizers.adamw import AdamW
from trainer.randomness import key_of_rows

OPTIONS = {"width": 8, "depth": 2, "heads": 2, "patch": 4, "pool": "token"}


def test_a_nano_vit_learns_the_digits(tmp_path, quick_compilation):
    config = TrainConfig(
        DataConfig("digits", data.card("digits", {})),
        ModelConfig("vit", "nano-ViT-Ti", {}),
        ScheduleConfig(epochs=30, warmup_share=0.1),
        batch_size=32,
        learning_rate=0.04,
        optimizer=AdamW(weight_decay=0.05, clip_norm=1.0),
    )
    result = scaling.train(config, directory=tmp_path / "run")
    assert result.outcome is AttemptOutcome.FINISHED
    assert result.val_top1 > 0.9


@cache
def loss_and_gradients(scan, remat):
    """In training, with dropout and stochastic depth; and the bytes of temporaries that it takes."""
    module = vit.build(
        "x", num_classes=5, image_shape=(8, 8, 1), dropout=0.2, stochastic_depth=0.6, scan=scan, remat=remat, **OPTIONS
    )
    params = weights(param_shapes(module, image_shape=(8, 8, 1)))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(64, 8, 8, 1)), jnp.float32)

    def loss(params):
        logits = module.apply({"params": params}, images, train=True, rngs={"dropout": jax.random.key(1)})
        return jnp.mean(jnp.square(logits - 0.1))

    compiled = jax.jit(jax.value_and_grad(loss)).lower(params).compile(QUICK)
    return *compiled(params), compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(("scan", "remat"), [(True, "none"), (True, "block"), (True, "dots")])
def test_a_loop_and_rematerialisation_leave_values_gradients_and_layout_alone(scan, remat):
    loss, gradients, _ = loss_and_gradients(scan, remat)
    expected_loss, expected, _ = loss_and_gradients(scan=False, remat="none")
    assert float(loss) == pytest.approx(float(expected_loss), rel=1e-6)
    assert jax.tree.structure(gradients) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, float(jnp.abs(theirs).max())))


def test_rematerialisation_takes_less_memory_and_the_card_says_so():
    memory = {remat: loss_and_gradients(True, remat)[2] for remat in REMAT}
    assert memory["block"] < memory["dots"] < memory["none"]
    cards = {remat: model_card("x", family_name="vit", options=OPTIONS, image_shape=(8, 8, 1), num_classes=5, batch_size=64, remat=remat) for remat in REMAT}  # fmt: skip
    kept = {remat: card.memory.activations_bytes for remat, card in cards.items()}
    assert kept["block"] < kept["none"]
    assert kept["dots"] < kept["none"]
    assert 0.3 < memory["none"] / kept["none"] < 3


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean():
    """The rates grow linearly to the last block; a micro-batch draws what the whole batch draws for its rows."""
    x, key = jnp.ones((4096, 3, 2)), jax.random.key(0)
    dropped = np.asarray(stochastic_depth(x, 0.75, key))
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert (dropped == dropped[:, :1, :1]).all()
    assert dropped.mean() == pytest.approx(1.0, abs=0.03)
    rows = stochastic_depth(x[:2048], 0.75, key_of_rows(key, first=1, stride=2, rows=2048))
    np.testing.assert_array_equal(rows, dropped[1::2])


def test_dropout_and_stochastic_depth_act_in_training_only():
    module = vit.build("x", num_classes=5, image_shape=(8, 8, 1), stochastic_depth=0.5, scan=True, **OPTIONS)
    x = jnp.ones((4, 8, 8, 1))
    params = weights(param_shapes(module, image_shape=(8, 8, 1)))
    forward = jax.jit(
        lambda key, train: module.apply({"params": params}, x, train=train, rngs={"dropout": key}),
        static_argnums=1,
        compiler_options=QUICK,
    )
    keys = [jax.random.key(seed) for seed in (0, 1)]
    assert not np.allclose(*[forward(key, True) for key in keys])
    np.testing.assert_array_equal(*[forward(key, False) for key in keys])


def test_bfloat16_computes_products_in_bfloat16_softmax_and_norms_in_float32():
    module = vit.build("x", num_classes=10, image_shape=(8, 8, 1), dtype=jnp.bfloat16, **OPTIONS | {"pool": "attention"})
    x = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}
    traced = str(jax.make_jaxpr(module.apply)(variables, x))
    products = re.findall(r"(\w+)\[[^]]*\] = dot_general", traced)
    attentions = OPTIONS["depth"] + 1
    assert products.count("f32") == attentions + 1  # what goes into a softmax, and the classifier
    assert products.count("bf16") == len(products) - attentions - 1 > 10
    assert set(re.findall(r":(\w+)\[[^]]*\] = (?:exp|rsqrt)\b", traced)) == {"f32"}
    assert jax.eval_shape(module.apply, variables, x).dtype == jnp.float32


def test_only_kernels_are_decayed():
    module = vit.build("x", num_classes=10, image_shape=(8, 8, 1), **OPTIONS | {"pool": "attention"})
    shapes = jax.tree_util.tree_leaves_with_path(param_shapes(module, image_shape=(8, 8, 1)))
    paths = {tuple(part.key for part in path): leaf.shape for path, leaf in shapes}
    spared = {path[-1] for path, shape in paths.items() if not vit.decayed(path, shape)}
    assert spared == {"bias", "scale", "positions", "probe"}
    assert {len(shape) for path, shape in paths.items() if vit.decayed(path, shape)} == {2}
    assert ("classifier", "kernel") in paths


def test_a_run_is_evaluated_at_another_size_than_it_was_trained(tmp_path, quick_compilation):
    """Learned positions are those of 24 px; held-out images of 32 px see them resampled."""
    folder = pictures.write_folder(tmp_path / "images", pictures.small_set())
    options = {"path": str(folder), "train_px": 24, "eval_px": 32}
    config = TrainConfig(
        DataConfig("imagefolder", data.card("imagefolder", options), options), ModelConfig("vit", "x", OPTIONS | {"depth": 1}),
        ScheduleConfig(epochs=1.0), batch_size=8, learning_rate=0.1,
    )  # fmt: skip
    result = scaling.train(config, directory=tmp_path / "run")
    assert result.outcome is AttemptOutcome.FINISHED
    assert np.isfinite(result.val_loss)
