"""Layers near the image train at a lower rate: BEiT's rule, in every family, optimiser and layout."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest

from scaling.errors import UsageError
from trainer import DataConfig, Execution, ModelConfig, ParentConfig, ScheduleConfig, TrainConfig
from trainer.compiled import Compiler
from trainer.data import DataCard
from trainer.head import path_of
from trainer.models import family
from trainer.optimizers.adamw import AdamW
from trainer.optimizers.sgd import Sgd
from trainer.sharding import Placement

pytestmark = pytest.mark.usefixtures("quick_compilation")

NFNET = ModelConfig("nfnet", "deep", {"width": [8, 8], "depth": [3, 2], "group_width": 4, "stem": "small"})
VIT = ModelConfig("vit", "nano-ViT-Ti", {"depth": 3, "pool": "token"})
RESNET = ModelConfig("resnet", "small", {"width": [8, 8], "depth": [1, 1]})


def config(model, decay, optimizer):
    data = DataConfig("digits", DataCard("digits", "0" * 16, 10, (8, 8, 1), 100, 10))
    return TrainConfig(
        data, model, ScheduleConfig(1.0), 16, 0.1, optimizer=optimizer, parent=ParentConfig("0" * 16, layer_decay=decay)
    )


def by_beit(name, depth, decay):
    """The rate by the rule of BEiT's published code (`get_num_layer_for_vit`), a list of depth + 2 values; written anew."""
    values = [decay ** (depth + 1 - layer) for layer in range(depth + 2)]
    if name.split("/")[0] in ("class_token", "positions", "embedding", "stem_conv", "stem_norm") or name.startswith("stem_conv"):
        return values[0]
    if block := re.match(r"block(\d+)/", name):
        return values[int(block[1]) + 1]
    return values[-1]


def directions(config, scan):
    """The direction that the optimiser gives to a gradient, by the parameter's name, layer by layer."""
    compiler = Compiler(config, Execution(scan=scan), Placement())
    random = np.random.default_rng(0)
    one = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), compiler.saved_shapes.params)
    params = compiler.layout.stacked(one)
    gradients = jax.tree.map(lambda leaf: np.cos(3 * leaf), params)
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(compiler.optimizer.init, params))
    found, _ = jax.jit(compiler.optimizer.update)(gradients, state, params)
    apart = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        name = "/".join(path_of(path))
        layers = compiler.layout.names(name)
        leaf = np.asarray(leaf)
        apart |= dict(zip(layers, leaf, strict=True)) if layers else {name: leaf}
    return apart


@pytest.mark.parametrize(
    ("model", "depth", "optimizer", "scan"),
    [
        (NFNET, 5, Sgd(weight_decay=1e-3), False),
        (NFNET, 5, Sgd(weight_decay=1e-3), True),
        (VIT, 3, AdamW(weight_decay=0.1), True),
        (RESNET, 2, Sgd(), None),
    ],
    ids=["nfnet", "nfnet looped", "vit looped", "resnet"],
)
def test_each_parameter_moves_at_its_layers_rate(model, depth, optimizer, scan):
    """The decoupled weight decay, too, which is times the rate of the step."""
    plain, scaled = (directions(config(model, decay, optimizer), scan) for decay in (1.0, 0.65))
    assert plain.keys() == scaled.keys()
    rates = {name: by_beit(name, depth, 0.65) for name in plain}
    assert set(rates.values()) == {0.65**power for power in range(depth + 2)}
    assert rates["classifier/kernel"] == 1
    for name, rate in rates.items():
        assert np.abs(plain[name]).max() > 0
        np.testing.assert_allclose(scaled[name], rate * plain[name], rtol=1e-5, atol=1e-9)


def test_a_family_of_ones_own_says_its_layers_or_its_names_do():
    """By name: what ends in a number is that layer and one more, what does not is the first, and the head is the last."""

    def rates(factory):
        one = ModelConfig(f"tests.trainer.strangers_models:{factory}", "one")
        plain, scaled = (directions(config(one, decay, Sgd()), None) for decay in (1.0, 0.5))
        return {name: round(float(np.median(scaled[name] / plain[name])), 6) for name in plain}

    by_name = rates("vit")  # patches, positions, Encoder_0, Encoder_1, LayerNorm_0, classifier
    expected = {"patches": 0.125, "positions": 0.125, "Encoder_0": 0.25, "Encoder_1": 0.5, "LayerNorm_0": 0.25, "classifier": 1.0}
    assert {name.split("/")[0]: rate for name, rate in by_name.items()} == expected
    by_hook = rates("layered")
    expected |= {"LayerNorm_0": 1.0, "positions": 0.25}
    assert {name.split("/")[0]: rate for name, rate in by_hook.items()} == expected
    broken = family("tests.trainer.strangers_models:wrongly_layered")
    with pytest.raises(UsageError, match=r"`layer` of model family .*wrongly_layered' gave -1 for patches/kernel"):
        broken.layer(("patches", "kernel"))
    with pytest.raises(UsageError, match=r"`layer` of model family .*wrongly_layered' raised IndexError"):
        broken.layer(("patches",))


def test_without_decay_the_program_is_that_of_any_run():
    """So the rate of the parent's layers is no reason to compile again, and another parent is none either."""
    plain, decayed = config(VIT, 1.0, Sgd()), config(VIT, 0.75, Sgd())
    assert plain.shape_id() == replace(plain, parent=None).shape_id() != decayed.shape_id()
    assert replace(decayed, parent=replace(decayed.parent, run="1" * 16, weights="ema")).shape_id() == decayed.shape_id()
