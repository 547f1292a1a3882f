"""Model families of users: they start as they say, and what they say of themselves is so."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scaling
from orchestrator.cluster import host
from scaling.errors import UsageError
from scaling.outcomes import AttemptOutcome
from tests.trainer import strangers_models
from tests.trainer.conftest import compiling_quickly
from tests.trainer.test_train import make_config
from trainer import DataConfig, ModelConfig, ScheduleConfig, TrainConfig, data
from trainer.models import family
from trainer.models.building import built
from trainer.models.counted import counted
from trainer.models.initial import initial_params, param_shapes
from trainer.models.nfnet import build

VIT = ModelConfig("tests.trainer.strangers_models:vit", "one")


def test_a_plain_vision_transformer_learns_the_digits(tmp_path):
    """With its scales at 0, as they once began, it stayed at ln 10 and was called finished.

    Warm-up takes a quarter of the run. Seeds 0 to 5 give 0.924 to 0.953 on one CPU, seeds 0 to 2 give 0.920 to 0.924 on another; guessing gives 0.1.
    """
    schedule = ScheduleConfig(8.0, warmup_epochs=2.0)
    digits = DataConfig("digits", data.card("digits", {}))
    results = [
        scaling.train(
            TrainConfig(digits, VIT, schedule, batch_size=16, learning_rate=0.8, seed=seed), directory=tmp_path / str(seed)
        )
        for seed in range(3)
    ]
    assert {result.outcome for result in results} == {AttemptOutcome.FINISHED}
    assert np.mean([result.val_top1 for result in results]) >= 0.9


@pytest.mark.parametrize("module", [strangers_models.Scaled, strangers_models.Shifted])
def test_a_module_starts_from_its_own_initial_values_to_the_last_bit(module):
    module = module(3, jnp.float32)
    with compiling_quickly():  # one initialiser after the other
        ours = initial_params(module, seed=7, image_shape=(4, 4, 1))
        theirs = module.init(jax.random.key(7), jnp.zeros((1, 4, 4, 1)))["params"]
    assert jax.tree.structure(ours) == jax.tree.structure(theirs) == jax.tree.structure(param_shapes(module, image_shape=(4, 4, 1)))
    for our, their in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(our, their)


@pytest.mark.parametrize("factory", ["by_methods", "of_functions"])
def test_what_a_users_type_checker_takes_trains(factory, tmp_path):
    options = {"source": "tests.typed_user:halves", "examples": 16}
    halves = DataConfig("source", data.card("source", options), options)
    model = ModelConfig(f"tests.typed_user:{factory}", "linear")
    config = TrainConfig(halves, model, ScheduleConfig(4.0), batch_size=8, learning_rate=0.1)
    result = scaling.train(config, directory=tmp_path)
    assert result.val_top1 == 1.0
    assert family(model.family).params("linear", {}, num_classes=2, image_shape=(4, 4, 1)) == 34


def test_an_nfnet_keeps_the_values_it_always_had():
    params = initial_params(build("nano-F1", num_classes=10), seed=3, image_shape=(8, 8, 1))
    digest = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params)))
    assert digest.hexdigest()[:12] == "952eb2590cab"


@pytest.mark.parametrize(("name", "px"), [("nano-F1+", 10), ("F0", 32)])
def test_the_counts_of_nfnets_are_those_of_the_traced_network(name, px):
    """On a CPU, too, where the network that is trained has zeros between its groups."""
    known, image_shape = family("nfnet"), (px, px, 3)
    found = counted(build(name, num_classes=10), image_shape=image_shape)
    assert found.params == known.params(name, {}, num_classes=10, image_shape=image_shape)
    assert found.macs == known.macs(name, {}, num_classes=10, image_shape=image_shape)


def test_runs_that_started_otherwise_have_other_ids():
    """The id that this version gave to a user's family before is not given again, and a run of that id is not trained."""
    config = make_config(model=VIT)
    before = "cdc67bd272782b59"
    assert config.run_id() != before
    host._refuse_other_result(config, config.run_id())
    with pytest.raises(UsageError, match=f"run {before} was planned by an earlier version"):
        host._refuse_other_result(config, before)


def test_a_build_is_given_the_size_of_the_images_and_masks_are_plain():
    """What a mask raises is one line; what it gives, a truth value."""
    sized = built(
        "tests.trainer.strangers_models:sized", "one", {}, num_classes=3, image_shape=(4, 6, 1), dtype=jnp.float32, remat="none"
    )
    assert sized.positions == 24
    known = family("tests.trainer.strangers_models:sized")
    assert known.decayed(("block", "kernel"), (3, 4)) is True
    assert known.decayed(("block", "bias"), (4,)) is False
    with pytest.raises(
        UsageError, match=r"`clipped` of model family .*:sized' raised IndexError: .* \(.*strangers_models.py:\d+\)"
    ):
        known.clipped(("kernel",), (3, 4))
