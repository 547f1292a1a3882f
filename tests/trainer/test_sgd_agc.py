"""The optimiser equals the released one over three steps, and each of its rules holds on its own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.trainer.conftest import QUICK
from tests.trainer.test_nfnet_exact import tiny_answers, tiny_reference
from trainer.models.nfnet.released import released_path
from trainer.optimizers.clipping import adaptive_gradient_clipping, unit_norm
from trainer.optimizers.masks import Masks
from trainer.optimizers.sgd_agc import SgdAgc


def test_three_steps_of_the_released_optimiser():
    variables, reference = tiny_reference()
    _, _, gradients = tiny_answers()
    optimizer = SgdAgc(momentum=0.9, nesterov=True, clip=0.01, clip_eps=1e-3, weight_decay=2e-5).build(Masks())

    @partial(jax.jit, compiler_options=QUICK)
    def stepped(now, state, gradients, scale):
        updates, state = optimizer.update(jax.tree.map(lambda g: g * scale, gradients), state, now)
        return jax.tree.map(lambda weight, update: weight - 0.4 * update, now, updates), state

    now = variables["params"]
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(optimizer.init, now))
    for step in range(3):
        now, state = stepped(now, state, gradients, 50.0 * (step + 1))
    names = [key for key in reference if key.endswith("#head") and not key.startswith("grad/")]
    assert names
    for key in names:
        prefix, path = key.removesuffix("#head").split("/", 1)
        leaf = now
        for part in released_path(*path.rsplit("/", 1)):
            leaf = leaf[part]
        norm = float(reference[key.replace("#head", "#norm")])
        assert np.abs(np.ravel(leaf)[:16] - reference[key]).max() <= 1e-6 * norm + 1e-8, f"{prefix} {path}"


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


def test_stacked_layers_are_clipped_one_by_one():
    """Three layers with gradients of very different size. Clipped as if the stack were one kernel, the small ones go wrong."""
    rng = np.random.default_rng(0)
    layer = {"conv": {"kernel": (3, 3, 4, 2), "gain": (2,)}, "skip_gain": ()}
    shaped = lambda scale: jax.tree.map(  # noqa: E731
        lambda shape: jnp.asarray(scale * rng.standard_normal(shape), jnp.float32), layer, is_leaf=lambda leaf: type(leaf) is tuple
    )
    weights, gradients = [shaped(1.0) for _ in range(3)], [shaped(scale) for scale in (1e-3, 0.1, 10.0)]
    stack = lambda trees: {"stage": jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)}  # noqa: E731

    @partial(jax.jit, static_argnames="stacked")
    def clip(gradients, weights, stacked=None):
        return adaptive_gradient_clipping(0.01, 1e-3, Masks(stacked) if stacked else None).update(
            gradients, optax.EmptyState(), weights
        )[0]

    right = stack([clip(g, w) for g, w in zip(gradients, weights, strict=True)])
    mapped = clip(stack(gradients), stack(weights), stacked=lambda path: path[0] == "stage")
    jax.tree.map(np.testing.assert_array_equal, mapped, right)
    wrong = clip(stack(gradients), stack(weights))
    for name in (("conv", "kernel"), ("conv", "gain"), ("skip_gain",)):
        one, other = wrong["stage"], right["stage"]
        for part in name:
            one, other = one[part], other[part]
        assert np.abs(one - other).max() > 0.5 * np.abs(other).max(), name


def test_weight_decay_is_coupled_after_clipping_and_spares_gains_and_biases():
    params = {"conv": {"kernel": jnp.full((1, 1, 1, 1), 2.0), "gain": jnp.ones(1), "bias": jnp.ones(1)}, "skip_gain": jnp.ones(())}
    zero = jax.tree.map(jnp.zeros_like, params)
    optimizer = SgdAgc(momentum=0.0, nesterov=False, weight_decay=0.5).build(Masks())
    updates, _ = optimizer.update(zero, optimizer.init(params), params)
    assert float(updates["conv"]["kernel"][0, 0, 0, 0]) == 1.0
    assert float(updates["conv"]["gain"][0]) == float(updates["conv"]["bias"][0]) == float(updates["skip_gain"]) == 0.0
