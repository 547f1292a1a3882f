"""Perceptrons with LayerNorm, on images: a family of models of your own.

A family says which models there are, what they cost, and how to build one. `scaling` does the rest: data, optimiser, checkpoints, accounting, laws.
"""

import math

import flax.linen as nn

from scaling.errors import UnknownName
from trainer.models import Family

WIDTHS = {"mlp-4": 4, "mlp-8": 8, "mlp-16": 16, "mlp-32": 32}
BLOCKS = 2


class Perceptron(nn.Module):
    width: int
    num_classes: int
    dropout: float
    dtype: object

    @nn.compact
    def __call__(self, images, *, train=False):  # [B, H, W, C] float32
        x = nn.Dense(self.width, dtype=self.dtype, name="stem")(images.reshape(len(images), -1))
        for _ in range(BLOCKS):
            y = nn.Dense(4 * self.width, dtype=self.dtype)(nn.LayerNorm(dtype=self.dtype)(x))
            y = nn.Dropout(self.dropout, deterministic=not train)(nn.gelu(y))
            x = x + nn.Dense(self.width, dtype=self.dtype)(y)
        return nn.Dense(self.num_classes, name="classifier")(nn.LayerNorm()(x))  # logits [B, num_classes]


def check(name, options):
    if name not in WIDTHS:
        raise UnknownName("model", name, WIDTHS)
    for option in options:
        if option != "dropout":
            raise UnknownName("model option", option, ["dropout"])


def macs(name, options, *, num_classes, image_shape):
    width = WIDTHS[name]
    return width * (math.prod(image_shape) + BLOCKS * 8 * width + num_classes)


def params(name, options, *, num_classes, image_shape):
    width = WIDTHS[name]
    block = 2 * width + 4 * width * (width + 1) + width * (4 * width + 1)
    return width * (math.prod(image_shape) + 1) + BLOCKS * block + 2 * width + (width + 1) * num_classes


def build(name, *, num_classes, dtype, dropout=0.0):
    return Perceptron(WIDTHS[name], num_classes, dropout, dtype)


def perceptrons():
    return Family(names=lambda: tuple(WIDTHS), params=params, macs=macs, build=build, check=check)
