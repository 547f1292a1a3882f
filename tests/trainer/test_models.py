"""What a model family offers: model cards, blocks as one loop, rematerialisation, families from elsewhere."""

import json
import re
import sys
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import scaling
from scaling.cli.app import app
from scaling.errors import UnknownName, UsageError
from scaling.outcomes import AttemptOutcome
from tests.trainer.conftest import QUICK
from tests.trainer.test_nfnet_exact import TINY, tiny_reference
from trainer import DataConfig, ModelConfig, ScheduleConfig, TrainConfig, data
from trainer.models import family
from trainer.models.card import model_card
from trainer.models.initial import initial_params
from trainer.models.nfnet import Variant, build, variant
from trainer.models.protocol import REMAT
from trainer.optimizers.sgd_agc import SgdAgc

pytestmark = pytest.mark.usefixtures("quick_compilation")

DEEP = Variant("deep", width=(12,), depth=(3,), strides=(2,), group_width=3, stem="small")
"""A block with a shortcut of its own, then two that are alike, which can be a loop."""


@cache
def loss_and_gradients(scan, remat):
    """Of a network whose blocks all matter, in training, with stochastic depth; and the bytes of temporaries that it takes."""
    module = build(DEEP, num_classes=5, stochastic_depth=0.6, dropout=0.2, scan=scan, remat=remat)
    params = initial_params(module, seed=0, image_shape=(8, 8, 1))
    params = jax.tree_util.tree_map_with_path(lambda path, leaf: leaf + 0.5 if path[-1].key == "skip_gain" else leaf, params)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(64, 8, 8, 1)), jnp.float32)

    def loss(params):
        logits = module.apply({"params": params}, images, train=True, rngs={"dropout": jax.random.key(1)})
        return jnp.mean(jnp.square(logits - 0.1)), logits

    compiled = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(params).compile(QUICK)
    return compiled(params), compiled.memory_analysis().temp_size_in_bytes


@pytest.fixture(scope="module")
def unrolled():
    return loss_and_gradients(scan=False, remat="none")


@pytest.mark.parametrize(("scan", "remat"), [(True, "none"), (True, "block"), (True, "dots"), (False, "block")])
def test_a_loop_and_rematerialisation_leave_values_gradients_and_layout_alone(unrolled, scan, remat):
    (((loss, logits), gradients), _), (((expected, expected_logits), expected_gradients), _) = (
        loss_and_gradients(scan=scan, remat=remat),
        unrolled,
    )
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-6)
    assert jax.tree.structure(gradients) == jax.tree.structure(expected_gradients)
    for ours, theirs in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6 * max(1.0, float(jnp.abs(theirs).max())))


def test_rematerialisation_takes_less_memory():
    memory = {remat: loss_and_gradients(scan=True, remat=remat)[1] for remat in REMAT}
    assert memory["block"] < memory["dots"] < memory["none"]
    with pytest.raises(UnknownName, match='did you mean "block"'):
        loss_and_gradients(scan=True, remat="blocks")


def test_a_loop_lowers_one_block_for_many():
    """The size of the program does not grow with the depth of a stage."""

    def operations(depth, scan):
        module = build(
            Variant("net", width=(8,), depth=(depth,), strides=(1,), group_width=4, stem="small"), num_classes=2, scan=scan
        )
        params = initial_params(module, seed=0, image_shape=(4, 4, 1))
        text = jax.jit(lambda params, x: module.apply({"params": params}, x)).lower(params, jnp.zeros((1, 4, 4, 1))).as_text()
        return text.count("convolution") + text.count("dot_general")

    assert operations(7, scan=True) == operations(3, scan=True)
    assert operations(7, scan=False) > 2 * operations(3, scan=False)


# Outputs of all convolutions and dense layers, summed by hooks on timm 1.0.31's dm_nfnet models.
TIMM_ACTIVATIONS = {
    ("F0", 224): 13_822_056, ("F0", 256): 18_046_056, ("F1", 224): 22_939_112, ("F1", 256): 29_947_112,
    ("F3", 224): 41_173_224, ("F3", 256): 53_749_224,
}  # fmt: skip


@pytest.mark.parametrize(("name", "px"), TIMM_ACTIVATIONS)
def test_activations_are_those_that_timm_counts(name, px):
    card = model_card(name, image_shape=(px, px, 3))
    assert card.activations == TIMM_ACTIVATIONS[name, px]
    assert card.train_flops_per_image == 6 * card.macs
    assert card.total_stride == 32


def test_memory_on_the_card_is_float32_state_and_what_the_policy_keeps():
    cards = {remat: model_card("F7", batch_size=32, dtype="bfloat16", remat=remat) for remat in REMAT}
    memory = cards["none"].memory
    assert memory.params_bytes == memory.gradients_bytes == memory.momentum_bytes == 4 * 499_504_088
    assert memory.activations_bytes == 2 * 2 * 32 * cards["none"].activations
    assert cards["block"].memory.total_bytes < cards["dots"].memory.total_bytes < memory.total_bytes
    assert model_card("F7", ema=True).memory.ema_bytes == memory.params_bytes


def test_memory_on_the_card_is_near_what_the_compiler_takes(unrolled):
    estimate = model_card("deep", options={"width": [12], "depth": [3], "strides": [2], "group_width": 3, "stem": "small"}, batch_size=64,
                          image_shape=(8, 8, 1), num_classes=5).memory.activations_bytes  # fmt: skip
    assert 0.5 < unrolled[1] / estimate < 2


def test_the_model_command():
    shown = CliRunner().invoke(app, ["model", "mine", "-o", "width=[16,32]", "-o", "depth=[1,2]", "-o", "group_width=8", "-o", "stem=small",
                                     "--px", "32", "--classes", "10", "--json"])  # fmt: skip
    card = json.loads(shown.stdout)["model"]
    module = build("mine", num_classes=10, width=[16, 32], depth=[1, 2], group_width=8, stem="small")
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    assert card["params"] == sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert card["macs"] == family("nfnet").macs("mine", card["options"], num_classes=10, image_shape=(32, 32, 3))
    assert "254,924,200" in CliRunner().invoke(app, ["model", "F3"]).stdout
    assert "SMALLER" in CliRunner().invoke(app, ["model", "F0", "--px", "16"]).stdout
    for arguments, message in (
        (["model", "F3", "-o", "widht=3"], 'did you mean "width"'),
        (["model", "F3", "-o", "width"], "key=value"),
        (["model", "F3", "--dtype", "float8"], "unknown dtype"),
        (["model", "F3", "--remat", "blocks"], 'did you mean "block"'),
        (["model", "F3", "--px", "0"], "px is 0"),
    ):
        with pytest.raises(UsageError, match=re.escape(message)):
            CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.mark.parametrize("name", ["width", "depth", "strides"])
def test_dimensions_have_a_stated_limit(name):
    for value in (1_000_001, 10**400):
        with pytest.raises(UsageError, match=rf"x: {name} has an entry above 1,000,000"):
            model_card("x", options={"width": [8, 8], "depth": [1, 1], "group_width": 8, name: [1, value]})


def test_counting_takes_no_longer_for_more_blocks():
    """A block after the first of its stage adds the same each time. With 3,000,000 the command did not end."""
    options = {"width": [8, 16], "group_width": 4, "stem": "small"}
    few = [model_card("x", options=options | {"depth": [2 + n, 3]}, image_shape=(9, 9, 1)) for n in range(3)]
    many = model_card("x", options=options | {"depth": [1_000_000, 3]}, image_shape=(9, 9, 1))
    for count in ("params", "macs", "activations"):
        first, second, third = (getattr(card, count) for card in few)
        assert third - second == second - first > 0
        assert getattr(many, count) == first + (1_000_000 - 2) * (second - first)


@pytest.mark.parametrize(
    "options", [{"expansion": float("inf")}, {"expansion": "x"}, {"se_ratio": []}, {"stem": []}, {"group_width": None}]
)
def test_options_of_the_wrong_kind_are_one_error(options):
    with pytest.raises(UsageError):
        model_card("x", options={"width": [8], "depth": [1]} | options)


def test_total_stride():
    assert (variant("F0").total_stride, variant("nano-F0").total_stride) == (32, 2)


def test_bfloat16_is_near_the_reference():
    """bfloat16 keeps 8 bits, so logits agree with the released code's in float64 to a few per cent of their spread."""
    variables, reference = tiny_reference()
    forward = jax.jit(build(TINY, num_classes=10, dtype=jnp.bfloat16).apply, compiler_options=QUICK)
    logits = np.asarray(forward(variables, jnp.asarray(reference["x"])))
    assert logits.dtype == np.float32
    assert 0 < np.abs(logits - reference["out64/logits"]).max() < 0.1 * reference["out64/logits"].std()


def test_a_nano_nfnet_learns_the_digits(tmp_path, quick_compilation):
    config = TrainConfig(
        DataConfig("digits", data.card("digits", {})),
        ModelConfig("nfnet", "nano-F0"),
        ScheduleConfig(epochs=10.0),
        batch_size=32,
        learning_rate=0.2,
        optimizer=SgdAgc(clip=0.16, clip_eps=0.1, weight_decay=0.002),
    )
    assert scaling.train(config, directory=tmp_path / "run").val_top1 > 0.9


def test_the_family_of_the_how_to_learns(tmp_path, monkeypatch):
    """The example of docs/models.md is the file that `scaling init models` writes; its perceptrons with LayerNorm learn the digits."""
    root = Path(__file__).parents[2]
    (source,) = re.findall(r"```python\n(.*?)```", (root / "docs" / "models.md").read_text(), re.S)
    assert source == (root / "experiments" / "my_models.py").read_text()
    monkeypatch.syspath_prepend(root / "experiments")
    model = ModelConfig("my_models:perceptrons", "mlp-32", {"dropout": 0.1})
    config = TrainConfig(
        DataConfig("digits", data.card("digits", {})), model, ScheduleConfig(epochs=5.0), batch_size=32, learning_rate=0.2
    )
    try:
        result = scaling.train(config, directory=tmp_path / "run")
        cards = [model_card(name, family_name=model.family, image_shape=(8, 8, 1), num_classes=10) for name in ("mlp-4", "mlp-8")]
    finally:
        sys.modules.pop("my_models", None)
    assert result.outcome is AttemptOutcome.FINISHED
    assert result.val_top1 > 0.9
    assert [(card.params, card.macs) for card in cards] == [
        (65 * w + 2 * (2 * w + 4 * w * (w + 1) + w * (4 * w + 1)) + 2 * w + 10 * (w + 1), w * (64 + 2 * 8 * w + 10)) for w in (4, 8)
    ]
    assert all(card.counted for card in cards)


def test_a_family_that_cannot_be_had_is_refused():
    with pytest.raises(UsageError, match="cannot be imported"):
        family("no_such_module:family")
    with pytest.raises(UsageError, match="gave a"):
        family("collections:OrderedDict")
