"""Features of a network that was trained are what it gives to its last layer, whatever the family."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from scaling.errors import DataError, UsageError
from tests.trainer import test_finetuning
from tests.trainer.test_finetuning import MODELS, compiler_of, pretraining, written
from trainer.data.normalization import Normalization
from trainer.duplicates.network import NetworkFeatures

pytestmark = pytest.mark.usefixtures("quick_compilation")

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 8, 8, 1), np.uint8)


@pytest.fixture
def positive(monkeypatch):
    """Make the numbers of a written checkpoint positive: a variance has to be."""
    of_any_sign = test_finetuning.random_of
    monkeypatch.setattr(test_finetuning, "random_of", lambda shapes, seed: jax.tree.map(np.abs, of_any_sign(shapes, seed)))


@pytest.mark.parametrize("family", MODELS)
def test_features_times_the_heads_kernel_are_the_networks_logits(family, tmp_path, positive):
    config = pretraining(MODELS[family], ema=None)
    initial, arrays = written(config, tmp_path)

    found = NetworkFeatures(initial["directory"])(list(IMAGES))

    saved = compiler_of(config).saved_shapes
    variables = {"params": _filled(saved.params, arrays, "params"), **_filled(saved.collections or {}, arrays, "collections")}
    logits = compiler_of(config).module.apply(variables, Normalization(0.5, 0.5).apply(IMAGES), train=False)
    kernel, bias = (arrays[name] for name in _head(arrays, config.data.card.num_classes))
    directions = np.asarray(logits, np.float64) - bias
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    scales = np.linalg.norm(directions, axis=1) / np.linalg.norm(found @ kernel, axis=1)
    np.testing.assert_allclose((found @ kernel) * scales[:, None], directions, rtol=2e-3, atol=2e-3 * np.abs(directions).max())


def test_images_of_any_size_and_of_colour_have_features(tmp_path):
    initial, _ = written(pretraining(MODELS["nfnet"]), tmp_path)
    features = NetworkFeatures(initial["directory"])
    images = [
        RNG.integers(0, 256, (height, width, channels), np.uint8)
        for height, width, channels in ((8, 8, 3), (31, 20, 1), (9, 64, 3))
    ]
    assert features(images).shape == (3, features.dimensions)
    assert features([]).shape == (0, features.dimensions)
    assert np.array_equal(features(images)[1:2], features(images[1:2]))


class TwoLayered(nn.Module):
    """A network whose outputs are no linear map of what goes into its last layer."""

    num_classes: int

    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1)[:, :4]) ** 3


class Cubed:
    def names(self):
        return ("cubed",)

    def check(self, name, options):
        return None

    def build(self, name, num_classes, dtype):
        return TwoLayered(num_classes)


def cubed():
    return Cubed()


def test_a_head_that_is_not_linear_has_no_features(tmp_path):
    config = pretraining(test_finetuning.ModelConfig("tests.trainer.duplicates.test_network:cubed", "cubed"))
    initial, _ = written(config, tmp_path)
    with pytest.raises(UsageError, match="not one linear layer"):
        NetworkFeatures(initial["directory"])


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(DataError, match="no checkpoint"):
        NetworkFeatures(tmp_path)


def _filled(shapes, arrays, prefix):
    return jax.tree_util.tree_map_with_path(
        lambda path, _: arrays["/".join((prefix, *jax.tree_util.keystr(path, simple=True, separator="/").split("/")))], shapes
    )


def _head(arrays, classes):
    kernel = next(
        name for name, value in arrays.items() if value.ndim == 2 and value.shape[1] == classes and name.startswith("params")
    )
    return kernel, kernel.rpartition("/")[0] + "/bias"
