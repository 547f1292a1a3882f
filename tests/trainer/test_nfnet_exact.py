"""The NFNet is the published one: counts to the integer, logits and gradients to 1e-6 of the released code's."""

import hashlib
import json
import re
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.errors import DataError, UnknownName, UsageError
from tests.conftest import REFERENCE
from tests.trainer.conftest import QUICK
from trainer.models.initial import initial_params
from trainer.models.nfnet import Variant, build, counts, load_released, resolve, variant
from trainer.models.nfnet.network import expected_stds
from trainer.models.nfnet.released import released_path

FOLDER = REFERENCE / "nfnet"
ROWS = json.loads((FOLDER / "nfnet_params_flops.json").read_text())
TINY = Variant("tiny", width=(32, 64, 96, 96), depth=(1, 2, 3, 2), group_width=(8, 8, 16, 16))
SMALL = Variant("small", width=(8,), depth=(2,), strides=(1,), group_width=4, stem="small")


def released_weights(shapes):
    """Weights by the rule that the reference was computed with: each from a stream keyed by its own path."""
    params = {}
    for path, shape in shapes.items():
        module, name = path.removeprefix("param/").rsplit("/", 1)
        key = int.from_bytes(hashlib.sha256(f"0:{module}:{name}".encode()).digest()[:16], "little")
        v = np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, np.float64)
        if name == "w":
            v = v / np.sqrt(np.prod(shape[:-1]))
        else:
            v = {"gain": 1 + 0.1 * v, "skip_gain": 0.5 + 0.1 * v}.get(name, 0.1 * v)
        params.setdefault(module, {})[name] = np.asarray(v, np.float32)
    return load_released(params)


@cache
def tiny_reference():
    """Variables of the tiny net by the reference's rule, and the reference's numbers."""
    shapes = json.loads((FOLDER / "tiny_official_shapes.json").read_text())
    variables = released_weights({path: shape for path, shape in shapes.items() if path.startswith("param/")})
    return variables, np.load(FOLDER / "tiny_official.npz")


@cache
def tiny_answers():
    """Loss with label smoothing 0.1, what the network gave on the way (logits, pooled), and gradients; compiled once for all tests."""
    variables, reference = tiny_reference()
    targets = 0.9 * jax.nn.one_hot(reference["y"], 10) + 0.01
    module = build(TINY, num_classes=10)

    def loss(variables):
        logits, kept = module.apply(variables, jnp.asarray(reference["x"]), mutable=["intermediates"])
        return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)), (logits, kept["intermediates"]["pooled"][0])

    with jax.default_matmul_precision("highest"):
        (value, given), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=QUICK)(variables)
    return value, given, gradients["params"]


@pytest.fixture(scope="module")
def tiny():
    return tiny_reference()


@pytest.mark.parametrize("row", ROWS, ids=[row["variant"] for row in ROWS])
def test_params_and_macs_equal_the_released_code_to_the_integer(row):
    built = variant(row["variant"], width="released_code")
    assert counts.params(built, num_classes=1000) == row["params_1000"]
    for px in (224, row["train_res"], row["test_res"]):
        key = {224: "macs_224", row["train_res"]: "macs_train_res", row["test_res"]: "macs_test_res"}[px]
        assert counts.macs(built, num_classes=1000, height=px, width=px) == row[key]
    assert (built.train_px, built.test_px, built.dropout) == (row["train_res"], row["test_res"], row["drop"])


@pytest.mark.parametrize(("name", "params", "gmacs"), [("F3+", 425_082_408, 56.922), ("F7+", 832_885_080, 111.181)])
def test_paper_width_is_the_default_of_the_plus_variants(name, params, gmacs):
    assert counts.params(variant(name), num_classes=1000) == params
    assert counts.macs(variant(name), num_classes=1000, height=224, width=224) / 1e9 == pytest.approx(gmacs, abs=5e-4)


@pytest.mark.parametrize("name", ["F0", "F1+", "nano-F0", "nano-F3", "nano-F1+"])
def test_counted_params_are_those_of_the_module(name):
    module = build(name, num_classes=17)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    assert counts.params(variant(name), num_classes=17) == sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_tiny_logits_and_pool(tiny):
    _, reference = tiny
    _, (logits, pooled), _ = tiny_answers()
    np.testing.assert_allclose(logits, reference["out64/logits"], atol=1e-6)
    np.testing.assert_allclose(pooled, reference["out64/pool"], atol=1e-6)


def test_tiny_gradients(tiny):
    variables, reference = tiny
    value, _, gradients = tiny_answers()
    assert float(value) == pytest.approx(float(reference["loss_ls0.1"]), rel=1e-6)
    differences, heads = [], []
    for key in reference:
        if key.startswith("grad/") and key.endswith("#head"):
            leaf = gradients
            for part in released_path(*key.removeprefix("grad/").removesuffix("#head").rsplit("/", 1)):
                leaf = leaf[part]
            norm = float(reference[key.replace("#head", "#norm")])
            # The smallest norms are float32 noise of sums of large numbers, in an order that depends on the CPU: 2.2e-5 was seen on one.
            assert np.linalg.norm(np.asarray(leaf, np.float64)) == pytest.approx(norm, rel=1e-4), key
            heads.append(reference[key])
            differences.append(np.ravel(leaf)[:16] - reference[key])
    assert len(heads) == len(jax.tree.leaves(variables))
    assert np.linalg.norm(np.concatenate(differences)) <= 1e-6 * np.linalg.norm(np.concatenate(heads))


def test_full_f0_logits():
    """As a loop over the blocks of a stage, which compiles in half the time of the unrolled network."""
    shapes = json.loads((FOLDER / "f0_official_shapes.json").read_text())
    reference = np.load(FOLDER / "f0_official_logits.npz")
    with jax.default_matmul_precision("highest"):
        forward = jax.jit(build("F0", num_classes=1000, scan=True).apply, compiler_options=QUICK)
        logits = forward(released_weights(shapes), jnp.asarray(reference["x"]))
    np.testing.assert_allclose(logits, reference["logits"], rtol=0, atol=1e-6)  # seen: 5.4e-7; either is 5e-7 from float64


def test_beta_of_f0_is_the_published_sequence():
    published = [1, 1.0198, 1.0198, 1.0392, 1.0198, 1.0392, 1.0583, 1.0770, 1.0954, 1.1136, 1.0198, 1.0392]
    np.testing.assert_allclose(expected_stds(variant("F0")), published, atol=5e-5)


def test_names_and_dimensions_that_do_not_exist_are_refused():
    with pytest.raises(UnknownName, match='did you mean "F3"'):
        variant("NF3")
    with pytest.raises(UnknownName, match="width rule"):
        variant("F0", width="wide")
    with pytest.raises(UsageError, match="one entry a stage"):
        resolve("mine", {"width": [8, 16], "depth": [1]})
    with pytest.raises(UsageError, match="does not split"):
        resolve("mine", {"width": [20], "depth": [1], "group_width": 3})
    with pytest.raises(DataError, match="batch_norm"):
        load_released({"NFNet/~/batch_norm": {"w": np.zeros(1)}})


def test_stochastic_depth_and_dropout_act_in_training_only():
    module = build(SMALL, num_classes=10, dropout=0.5, stochastic_depth=0.5)
    x, keys = jnp.ones((4, 8, 8, 1)), [jax.random.key(seed) for seed in (0, 1)]
    params = initial_params(module, seed=0, image_shape=x.shape[1:])
    variables = {"params": jax.tree.map(lambda leaf: leaf + np.float32(0.1), params)}

    @partial(jax.jit, static_argnames="train", compiler_options=QUICK)
    def forward(variables, x, key, train):
        return module.apply(variables, x, train=train, rngs={"dropout": key})

    assert not np.allclose(*[forward(variables, x, key, train=True) for key in keys])
    np.testing.assert_array_equal(*[forward(variables, x, key, train=False) for key in keys])


def test_bfloat16_computes_in_bfloat16_and_answers_in_float32():
    module = build("nano-F0", num_classes=10, dtype=jnp.bfloat16)
    x = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}
    assert jax.eval_shape(module.apply, variables, x).dtype == jnp.float32
    traced = str(jax.make_jaxpr(module.apply)(variables, x))
    assert re.findall(r"(\w+)\[[^]]*\] = conv_general_dilated", traced)
    assert set(re.findall(r"(\w+)\[[^]]*\] = conv_general_dilated", traced)) == {"bf16"}
