"""The step itself: sharpness-aware minimisation against its two passes written out."""

import jax.numpy as jnp
import numpy as np
import optax

from trainer.config import SamConfig
from trainer.layout import Layout
from trainer.optimizers.masks import Masks
from trainer.optimizers.sgd import Sgd
from trainer.step import Steps, TrainState


class Linear:
    """Logits are images times a matrix."""

    def apply(self, variables, images, *, train, rngs=None, mutable=False):
        return images.reshape(len(images), -1) @ variables["params"]["classifier"]["kernel"]


def softmax_gradient(kernel, x, labels):
    """The gradient of the mean cross-entropy, by hand."""
    logits = x @ kernel
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    shares[np.arange(len(x)), labels] -= 1
    return x.T @ shares / len(x)


def test_sam_takes_the_gradient_of_the_batch_at_the_worst_place_by_a_part_of_it():
    """Foret et al. 2021 (arXiv 2010.01412), algorithm 1, with the ascent on a share of the rows, as Smith et al. 2023 have it."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((10, 2, 2, 1)), rng.integers(0, 3, 10)
    kernel = rng.standard_normal((4, 3))
    sgd = Sgd(momentum=0.0, nesterov=False).build(Masks())
    steps = Steps(Linear(), sgd, 0.0, None, lambda params: params, Layout({}), SamConfig(rho=0.3, share=0.2))
    params = {"classifier": {"kernel": jnp.asarray(kernel, jnp.float32)}}
    batch = jnp.asarray(images, jnp.float32), jnp.asarray(labels, jnp.int32), jnp.ones(10)
    state, metrics = steps.whole(TrainState(params, sgd.init(params)), *batch, jnp.float32(0.5), jnp.uint32(0), jnp.uint32(0))
    x = images.reshape(10, 4)
    ascent = softmax_gradient(kernel, x[[0, 5]], labels[[0, 5]])
    worst = kernel + 0.3 * ascent / np.linalg.norm(ascent)
    expected = kernel - 0.5 * softmax_gradient(worst, x, labels)
    np.testing.assert_allclose(state.params["classifier"]["kernel"], expected, rtol=1e-5, atol=1e-6)
    loss = optax.softmax_cross_entropy_with_integer_labels(x @ worst, labels).mean()
    np.testing.assert_allclose(metrics.loss, loss, rtol=1e-5)
