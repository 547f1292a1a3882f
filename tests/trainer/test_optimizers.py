"""Each optimiser against the formulas of its paper, written in NumPy; what it may not touch, and stacks of layers."""

import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from scaling.errors import UnknownName, UsageError
from tests.trainer import small_run
from trainer import SamConfig, train
from trainer.optimizers import UsersOptimizer, names, optimizer_class, optimizer_from
from trainer.optimizers.adamw import AdamW
from trainer.optimizers.lamb import Lamb
from trainer.optimizers.masks import Masks
from trainer.optimizers.muon import Muon
from trainer.optimizers.sgd import Sgd
from trainer.optimizers.sgd_agc import SgdAgc

SHAPES = {
    "dense": {"kernel": (6, 4), "bias": (4,)},
    "norm": {"scale": (4,)},
    "conv": {"kernel": (3, 3, 2, 5)},
    "classifier": {"kernel": (4, 3), "bias": (3,)},
}
DECAYED = ("dense/kernel", "conv/kernel", "classifier/kernel")


def drawn(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    shape = lambda shape: jnp.asarray(scale * rng.standard_normal(shape), jnp.float32)  # noqa: E731
    return jax.tree.map(shape, SHAPES, is_leaf=lambda leaf: type(leaf) is tuple)


def flat(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf, np.float64)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def directions(config, steps=3, masks=None):
    """The directions of a few steps, the parameters held still."""
    optimizer, params = config.build(masks or Masks()), drawn(0)
    state, found = optimizer.init(params), []
    for step in range(steps):
        direction, state = optimizer.update(drawn(1 + step), state, params)
        found.append(flat(direction))
    return found, flat(params), [flat(drawn(1 + step)) for step in range(steps)]


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def adam(gradients, b1, b2, eps):
    """Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1: the direction at each step."""
    mean, square, found = 0.0, 0.0, []
    for step, gradient in enumerate(gradients, 1):
        mean, square = b1 * mean + (1 - b1) * gradient, b2 * square + (1 - b2) * gradient**2
        found.append(mean / (1 - b1**step) / (np.sqrt(square / (1 - b2**step)) + eps))
    return found


def test_sgd_is_momentum_over_the_gradient_and_the_decay():
    found, params, gradients = directions(Sgd(momentum=0.8, weight_decay=0.1))
    for name in params:
        velocity, decay = 0.0, 0.1 * params[name] if name in DECAYED else 0.0
        for step in range(3):
            gradient = gradients[step][name] + decay
            velocity = 0.8 * velocity + gradient
            close(found[step][name], 0.8 * velocity + gradient)


def test_adamw_decays_beside_adam():
    found, params, gradients = directions(AdamW(b1=0.8, b2=0.99, eps=1e-6, weight_decay=0.3))
    for name in params:
        expected = adam([gradient[name] for gradient in gradients], 0.8, 0.99, 1e-6)
        for step in range(3):
            close(found[step][name], expected[step] + (0.3 * params[name] if name in DECAYED else 0.0))


def test_lamb_gives_each_parameter_a_step_of_its_own_norm():
    """You et al. 2020 (arXiv 1904.00962), algorithm 2."""
    found, params, gradients = directions(Lamb(weight_decay=0.3))
    for name in params:
        expected = adam([gradient[name] for gradient in gradients], 0.9, 0.999, 1e-6)
        for step in range(3):
            direction = expected[step] + (0.3 * params[name] if name in DECAYED else 0.0)
            expected_norm = np.linalg.norm(params[name]) / np.linalg.norm(direction)
            np.testing.assert_allclose(found[step][name], direction * expected_norm, rtol=1e-3, atol=1e-4)


def test_muon_makes_hidden_matrices_orthogonal_and_leaves_the_rest_to_adamw():
    """Against the singular values: those of the direction, over its scale, lie about 1 (Newton–Schulz of five steps reaches 0.7 … 1.2)."""
    found, params, gradients = directions(Muon(weight_decay=0.3, momentum=0.9, nesterov=False), steps=1)
    for name, (rows, columns) in {"dense/kernel": (6, 4), "conv/kernel": (18, 5)}.items():
        matrix = (found[0][name] - 0.3 * params[name]).reshape(rows, columns) / (0.2 * np.sqrt(max(rows, columns)))
        left, _, right = np.linalg.svd(gradients[0][name].reshape(rows, columns), full_matrices=False)
        values = np.diag(left.T @ matrix @ right.T)
        assert ((values > 0.6) & (values < 1.3)).all()
        np.testing.assert_allclose(left @ np.diag(values) @ right, matrix, atol=1e-4)
    for name in ("classifier/kernel", "dense/bias", "norm/scale"):
        decay = 0.3 * params[name] if name in DECAYED else 0.0
        close(found[0][name], adam([gradients[0][name]], 0.9, 0.999, 1e-8)[0] + decay)


@pytest.mark.parametrize("name", [name for name in names() if name != "sgd-agc"])
def test_gradients_are_clipped_before_all_else(name):
    kind = optimizer_class(name)

    def direction(gradients, **options):
        optimizer = kind(**options).build(Masks())
        return flat(optimizer.update(gradients, optimizer.init(drawn(0)), drawn(0))[0])

    clipped = direction(drawn(1), clip_norm=float(optax.tree.norm(drawn(1))) / 4)
    quarter = direction(jax.tree.map(lambda gradient: gradient / 4, drawn(1)))
    assert all(np.allclose(clipped[parameter], quarter[parameter], rtol=1e-4, atol=1e-5) for parameter in clipped)
    by_units, plain = direction(drawn(1), agc=0.01), direction(drawn(1))
    close(by_units["classifier/kernel"], plain["classifier/kernel"])
    assert not np.allclose(by_units["conv/kernel"], plain["conv/kernel"], rtol=1e-4) or name in ("adamw", "lamb", "muon")


@pytest.mark.parametrize("name", names())
def test_a_stack_of_layers_gets_the_directions_of_its_layers(name):
    config = optimizer_class(name)(weight_decay=0.1)
    layers, params = (
        [drawn(seed, scale) for seed, scale in ((1, 1e-3), (2, 1.0), (3, 30.0))],
        [drawn(seed + 10) for seed in range(3)],
    )
    stack = lambda trees: {"stage": jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)}  # noqa: E731
    single, stacked = config.build(Masks()), config.build(Masks(lambda path: path[0] == "stage"))
    apart = (
        {f"layer{index}": tree for index, tree in enumerate(layers)},
        {f"layer{index}": tree for index, tree in enumerate(params)},
    )
    wanted, _ = single.update(apart[0], single.init(apart[1]), apart[1])
    found, _ = stacked.update(stack(layers), stacked.init(stack(params)), stack(params))
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6), found, stack(list(wanted.values()))
    )


@pytest.mark.parametrize("name", names())
def test_a_state_is_of_zeros_where_it_says_so(name):
    kind = optimizer_class(name)
    state = kind().build(Masks()).init(drawn(0))
    assert kind.starts_at_zero == all(not np.any(leaf) for leaf in jax.tree.leaves(state))


def test_a_family_may_say_what_is_decayed():
    masks = Masks(decayed=lambda path, shape: path[0] == "norm")
    found, params, _ = directions(AdamW(weight_decay=1.0), steps=1, masks=masks)
    plain, _, _ = directions(AdamW(), steps=1)
    differing = [name for name in params if not np.allclose(found[0][name], plain[0][name])]
    assert differing == ["norm/scale"]


def test_an_optimiser_of_optax_by_its_import_path_descends():
    config = UsersOptimizer("optax:lion", {"b1": 0.8, "weight_decay": 0.1})
    found, params, gradients = directions(config, steps=1)
    theirs = optax.lion(1.0, b1=0.8, weight_decay=0.1, mask=Masks().of_decay)
    wanted = flat(theirs.update(drawn(1), theirs.init(drawn(0)), drawn(0))[0])
    assert all(np.allclose(found[0][name], -wanted[name]) for name in params)
    assert np.vdot(found[0]["dense/bias"], gradients[0]["dense/bias"]) > 0
    assert optimizer_from(config.plain) == config


def test_what_is_no_optimiser_is_said_in_a_line():
    for config, words in (
        (UsersOptimizer("optax:lyon", {}), "cannot be imported"),
        (UsersOptimizer("optax:global_norm", {}), "raised TypeError"),
        (UsersOptimizer("math:pi", {}), "is no function"),
        (UsersOptimizer("builtins:dict", {}), "is no function|gave a dict"),
    ):
        with pytest.raises(UsageError, match=words):
            config.check()
    with pytest.raises(UnknownName, match="option of optax:lion"):
        UsersOptimizer("optax:lion", {"learning_rate": 3.0}).check()
    with pytest.raises(UnknownName, match="adamw"):
        optimizer_class("adamv")
    with pytest.raises(UsageError, match="both clip"):
        Sgd(clip_norm=1.0, agc=0.1).check()


def test_options_are_known_without_jax():
    code = "import sys; from trainer.optimizers import names; from trainer.schedules import names as n; names(), n(); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_ids_tell_an_optimiser_by_what_differs_from_its_own_defaults():
    plain = small_run.config()
    assert replace(plain, optimizer=SgdAgc()).run_id() == plain.run_id()
    ids = {
        replace(plain, optimizer=config).run_id()
        for config in (Sgd(), AdamW(), AdamW(weight_decay=0.1), Lamb(), Muon(), SgdAgc(clip=None))
    }
    assert len(ids | {plain.run_id()}) == 7


def test_a_run_with_adamw_and_sam_goes_on_to_the_bit(tmp_path):
    config = small_run.config(optimizer=AdamW(weight_decay=0.05), sam=SamConfig(rho=0.1, share=0.25), learning_rate=1e-3)
    whole = train(config, directory=tmp_path / "whole")
    steps = iter(range(10**6))
    train(config, directory=tmp_path / "1", checkpoint_seconds=0.0, should_stop=lambda: next(steps) >= 5)
    again = train(config, directory=tmp_path / "2", resume_from={"directory": str(tmp_path / "1")})
    assert again.first_step > 0
    assert again.val_loss == whole.val_loss
