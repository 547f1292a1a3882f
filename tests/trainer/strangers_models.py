"""Model families as users write them, in plain Flax."""

import os
from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from trainer.models import Family, nfnet


class Encoder(nn.Module):
    heads: int

    @nn.compact
    def __call__(self, x):
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(self.heads)(y, y)
        y = nn.Dense(4 * x.shape[-1])(nn.LayerNorm()(x))
        return x + nn.Dense(x.shape[-1])(nn.gelu(y))


class ViT(nn.Module):
    """Dosovitskiy et al. 2021 (arXiv 2010.11929), the mean of the tokens in place of a class token."""

    num_classes: int
    dtype: object
    width: int = 32
    depth: int = 2
    heads: int = 4

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.Conv(self.width, (2, 2), strides=(2, 2), name="patches")(images)
        x = x.reshape(len(x), -1, self.width)
        x = x + self.param("positions", nn.initializers.normal(0.02), (1, x.shape[1], self.width))
        for _ in range(self.depth):
            x = Encoder(self.heads)(x)
        return nn.Dense(self.num_classes, name="classifier")(nn.LayerNorm()(x).mean(axis=1))


def vit_params(name, options, *, num_classes, image_shape):
    tokens, width = image_shape[0] * image_shape[1] // 4, 32
    block = 4 * (width + 1) * width + (width + 1) * 4 * width + (4 * width + 1) * width + 4 * width
    return (4 * image_shape[2] + 1) * width + tokens * width + 2 * block + 2 * width + (width + 1) * num_classes


def vit_macs(name, options, *, num_classes, image_shape):
    tokens, width = image_shape[0] * image_shape[1] // 4, 32
    block = 12 * tokens * width * width + 2 * tokens * tokens * width
    return 4 * image_shape[2] * tokens * width + 2 * block + width * num_classes


def family(module, *, params=vit_params, macs=vit_macs):
    def build(name, *, num_classes, dtype, **options):
        return module(num_classes, dtype, **options)

    return Family(names=lambda: ("one",), params=params, macs=macs, build=build, check=lambda name, options: None)


def vit():
    return family(ViT)


class Normalized(nn.Module):
    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(8, (3, 3))(images))
        return nn.Dense(self.num_classes)(nn.relu(x).mean(axis=(1, 2)))


def normalized():
    return replace(family(Normalized), params=None, macs=None)


class Masked(nn.Module):
    """Two collections: averages of the images themselves, over those that are real, and a counter of steps. Dropout, too."""

    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False, mask=None):
        steps = self.variable("steps", "taken", lambda: jnp.zeros((), jnp.int32))
        if train:
            steps.value += 1
        mask = None if mask is None else mask[:, None, None, None]
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(images, mask=mask)
        x = nn.Dropout(0.1, deterministic=not train)(x.reshape(len(x), -1))
        return nn.Dense(self.num_classes, name="classifier")(x)


def masked():
    return replace(family(Masked), params=None, macs=None)


class Reshaped(nn.Module):
    """Its state has another form after a step."""

    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False):
        seen = self.variable("seen", "mean", lambda: jnp.zeros((1,)))
        x = images.mean(axis=(1, 2)) - seen.value.mean()
        if train:
            seen.value = jnp.concatenate([seen.value, jnp.zeros((1,))])
        return nn.Dense(self.num_classes)(x)


class Scaled(nn.Module):
    """Parameters under names of its own, a loop over layers, a collection that is only sown, and dropout."""

    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.Dense(8)(images.reshape(len(images), -1))
        x, _ = nn.scan(_Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)()(x, None)
        x = nn.GroupNorm(4)(x) + nn.Embed(3, 8)(jnp.zeros(len(x), jnp.int32))
        self.sow("seen", "mean", x.mean())
        x = nn.Dropout(0.1, deterministic=not train)(x) * self.param("strength", nn.initializers.constant(0.5), ())
        return nn.Dense(self.num_classes)(x)


class _Layer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.RMSNorm()(x + nn.Dense(8)(x)), None


class Shifted(nn.Module):
    """A parameter whose initial value depends on what the module is given."""

    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False):
        shift = self.param("shift", lambda key, x: x.mean() + 1.0, images)
        return nn.Dense(self.num_classes)(images.mean(axis=(1, 2))) - shift


def vit_without_attention():
    """Of the products of attention the family knows nothing: 8 % of the MACs, and 1 parameter too many."""
    return family(
        ViT,
        params=lambda name, options, *, num_classes, channels: 26_475,
        macs=lambda name, options, **shape: vit_macs(name, options, **shape) - 2 * 2 * 16 * 16 * 32,
    )


def dying():
    def build(name, *, num_classes, dtype):
        os._exit(7)

    return replace(family(ViT), build=build)


def raising():
    def build(name, *, num_classes, dtype):
        raise RuntimeError("no licence for this machine")

    return replace(family(ViT), build=build)


def uncounted():
    return replace(vit(), params=None, macs=None)


def uncounted_elsewhere():
    return replace(raising(), params=None, macs=None)


def wrapped():
    """A family of NFNets under a name of its own, with today's signature of `params`."""
    return Family(
        names=lambda: ("mine",),
        params=lambda name, options, **shape: nfnet.params("nano-F1", {}, **shape),
        macs=lambda name, options, **shape: nfnet.macs("nano-F1", {}, **shape),
        build=lambda name, *, num_classes, dtype: nfnet.build("nano-F1", num_classes=num_classes, dtype=dtype),
        check=lambda name, options: None,
    )


class Perceptron(nn.Module):
    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False):
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1))


def perceptron(**other):
    """The smallest family that is right: 650 parameters and 640 MACs on digits."""
    params = {"params": lambda name, options, **shape: 650, "macs": lambda name, options, **shape: 640}
    return replace(family(Perceptron), **params | other)


def of_other_numbers():
    """650 and 640, in numbers that are not Python's, and 8 px."""
    return perceptron(
        params=lambda name, options, **shape: np.int64(650),
        macs=lambda name, options, **shape: np.float32(640),
        total_stride=lambda name, options: 8.0,
    )


class DropPath(nn.Module):
    """BatchNorm behind a random stream of its own."""

    num_classes: int
    dtype: object
    normalizes: bool = True

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.BatchNorm(use_running_average=not train)(images) if self.normalizes else images
        if train:
            x = x * jax.random.bernoulli(self.make_rng("drop_path"), 0.9, (len(x), 1, 1, 1))
        return nn.Dense(self.num_classes)(x.mean(axis=(1, 2)))


class AsksForTrain(nn.Module):
    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, train):
        x = nn.BatchNorm(use_running_average=not train)(images)
        return nn.Dense(self.num_classes)(x.mean(axis=(1, 2)))


class GivesTwo(nn.Module):
    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False):
        x = images.mean(axis=(1, 2))
        return nn.Dense(self.num_classes)(x), x


class Mistaken(nn.Module):
    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False):
        return nn.Dense(self.num_classes)(images.mean(axis=(1, 2))) + (jnp.ones(self.num_classes + 1) if train else 0)


class OfAnotherMachine(nn.Module):
    """Needs what the submitting machine may lack."""

    num_classes: int
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False):
        if train:
            raise RuntimeError("cuDNN is not detected.")
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1))


class Sized(nn.Module):
    num_classes: int
    dtype: object
    positions: int

    @nn.compact
    def __call__(self, images, *, train=False):
        x = images.reshape(len(images), -1) + self.param("positions", nn.initializers.zeros, (self.positions,))
        return nn.Dense(self.num_classes)(x)


def sized():
    """A family that is given the size of the images, with masks, of which one is wrong."""

    def build(name, *, num_classes, dtype, image_shape):
        return Sized(num_classes, dtype, image_shape[0] * image_shape[1])

    return Family(
        names=lambda: ("one",),
        build=build,
        check=lambda name, options: None,
        decayed=lambda path, shape: np.bool_(len(shape) > 1),
        clipped=lambda path, shape: path[-2] != "classifier",
    )


class NotFinite(nn.Module):
    num_classes: int
    dtype: object
    initial: float = 0.0

    @nn.compact
    def __call__(self, images, *, train=False):
        scale = self.param("scale", nn.initializers.constant(self.initial), ())
        return nn.Dense(self.num_classes, name="classifier")(images.mean(axis=(1, 2)) / scale)


def not_finite():
    """A family that divides by a parameter that begins at 0, or, with `initial: .nan`, begins with NaN."""
    return replace(family(NotFinite), params=None, macs=None)


class Resized(ViT):
    """Says how its positions change with the size of images: each is repeated."""

    @nn.nowrap
    def resized(self, path, values, *, before, after):
        if path != ("positions",):
            return None
        grid = np.asarray(values).reshape(before[0] // 2, before[1] // 2, -1)
        times = after[0] // before[0]
        return grid.repeat(times, 0).repeat(times, 1).reshape(1, -1, grid.shape[-1])


def resized():
    return family(Resized)


class WronglyResized(ViT):
    @nn.nowrap
    def resized(self, path, values, *, before, after):
        return values


def resized_wrongly():
    return family(WronglyResized)


class NotResized(ViT):
    @nn.nowrap
    def resized(self, path, values, *, before, after):
        return {}["scale"]


def resized_not_at_all():
    return family(NotResized)


def layered():
    """Says which layer a parameter belongs to: its positions are learnt with the first block, its last norm with the head."""

    def layer(path):
        known = {"patches": 0, "positions": 1, "Encoder_0": 1, "Encoder_1": 2}
        return known.get(path[0])

    return replace(family(ViT), layer=layer)


def wrongly_layered():
    return replace(family(ViT), layer=lambda path: -1 if path[1] else 0)
