"""The optimiser equals the released one over three steps, and each of its rules holds on its own."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.conftest import REFERENCE
from tests.trainer.test_nfnet_exact import released_weights
from trainer.models.nfnet.released import released_path
from trainer.optimizers import learning_rate_at, sgd_agc
from trainer.optimizers.sgd_agc import adaptive_gradient_clipping, unit_norm


def test_three_steps_of_the_released_optimiser():
    folder = REFERENCE / "nfnet"
    shapes = json.loads((folder / "tiny_official_shapes.json").read_text())
    reference = np.load(folder / "tiny_official.npz")
    params = released_weights({path: shape for path, shape in shapes.items() if path.startswith("param/")})["params"]
    start = jax.tree.map(jnp.asarray, params)
    gradients = _reference_gradients(start, reference)
    optimizer = sgd_agc(momentum=0.9, nesterov=True, clip=0.01, clip_eps=1e-3, weight_decay=2e-5)
    state, now = optimizer.init(start), start
    for step in range(3):
        updates, state = optimizer.update(jax.tree.map(lambda g, s=step: g * (50.0 * (s + 1)), gradients), state, now)
        now = jax.tree.map(lambda weight, update: weight - 0.4 * update, now, updates)
    names = [key for key in reference if key.endswith("#head") and not key.startswith("grad/")]
    assert names
    for key in names:
        prefix, path = key.removesuffix("#head").split("/", 1)
        leaf = now
        for part in released_path(*path.rsplit("/", 1)):
            leaf = leaf[part]
        norm = float(reference[key.replace("#head", "#norm")])
        assert np.abs(np.ravel(leaf)[:16] - reference[key]).max() <= 1e-6 * norm + 1e-8, f"{prefix} {path}"


def _reference_gradients(params, reference):
    """Gradients of the reference's loss, recomputed: the file holds only their first entries."""
    from tests.trainer.test_nfnet_exact import TINY
    from trainer.models.nfnet import build

    module = build(TINY, num_classes=10)
    targets = 0.9 * jax.nn.one_hot(reference["y"], 10) + 0.01

    def loss(params):
        logits = module.apply({"params": params}, jnp.asarray(reference["x"]))
        return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1))

    with jax.default_matmul_precision("highest"):
        return jax.jit(jax.grad(loss))(params)


def test_a_unit_is_one_output_of_a_kernel_and_a_whole_vector():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)
    expected = [np.linalg.norm(kernel[..., output]) for output in range(5)]
    np.testing.assert_allclose(np.ravel(unit_norm(jnp.asarray(kernel))), expected, rtol=1e-6)
    assert unit_norm(jnp.asarray([3.0, 4.0])) == pytest.approx(5.0)
    assert unit_norm(jnp.asarray(-2.0)) == pytest.approx(2.0)


def test_clipping_caps_each_unit_and_spares_the_classifier_kernel():
    params = {"conv": {"kernel": jnp.ones((1, 1, 4, 2))}, "classifier": {"kernel": jnp.ones((4, 2)), "bias": jnp.zeros(2)}}
    gradients = jax.tree.map(lambda leaf: 100.0 * jnp.ones_like(leaf), params)
    clipped, _ = adaptive_gradient_clipping(0.01, 1e-3).update(gradients, optax.EmptyState(), params)
    np.testing.assert_allclose(np.ravel(unit_norm(clipped["conv"]["kernel"])), 0.01 * 2.0, rtol=1e-5)
    np.testing.assert_array_equal(clipped["classifier"]["kernel"], gradients["classifier"]["kernel"])
    assert float(unit_norm(clipped["classifier"]["bias"])) == pytest.approx(0.01 * 1e-3, rel=1e-5)


def test_weight_decay_is_coupled_after_clipping_and_spares_gains_and_biases():
    params = {"conv": {"kernel": jnp.full((1, 1, 1, 1), 2.0), "gain": jnp.ones(1), "bias": jnp.ones(1)}, "skip_gain": jnp.ones(())}
    zero = jax.tree.map(jnp.zeros_like, params)
    optimizer = sgd_agc(momentum=0.0, nesterov=False, weight_decay=0.5)
    updates, _ = optimizer.update(zero, optimizer.init(params), params)
    assert float(updates["conv"]["kernel"][0, 0, 0, 0]) == 1.0
    assert float(updates["conv"]["gain"][0]) == float(updates["conv"]["bias"][0]) == float(updates["skip_gain"]) == 0.0


def test_cosine_goes_from_the_peak_to_zero_after_a_linear_warm_up():
    rates = [learning_rate_at(step, peak=2.0, steps=100, warmup_steps=10) for step in range(100)]
    assert rates[9] == rates[10] == 2.0
    assert rates[0] == pytest.approx(0.2)
    assert rates[55] == pytest.approx(1.0)
    assert rates[-1] < 0.01
    assert learning_rate_at(99, peak=2.0, steps=100, schedule="constant") == 2.0
