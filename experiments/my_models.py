"""Perceptrons with LayerNorm, on images: a family of models of your own.

A family says which models there are and how to build one. `scaling` does the rest: costs, data, optimiser, checkpoints, accounting, laws.
"""

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


def build(name, *, num_classes, dtype, dropout=0.0):
    return Perceptron(WIDTHS[name], num_classes, dropout, dtype)


def perceptrons():
    return Family(names=lambda: tuple(WIDTHS), build=build, check=check)
