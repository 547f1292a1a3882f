"""Cases in which a ResNet is compared with timm's: models, images, and weights that a seeded NumPy generator makes from names and shapes."""

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np

from tests.conftest import REFERENCE

FIGURES = REFERENCE / "resnet" / "timm_logits.json"
"""What timm gives in float64, written by `benchmarks/resnet_logits.py`."""


@dataclass(frozen=True)
class Case:
    """Names a model and the shape of its images."""

    model: str
    options: dict = field(default_factory=dict)
    image: tuple = (8, 8, 1)
    images: int = 16
    classes: int = 10


CASES = {
    "50": Case("ResNet-50", {}, (64, 64, 3), 4, 1000),
    "large stem, odd size": Case("x", {"width": [8, 16], "depth": [2, 1], "block": "basic"}, (37, 45, 1)),
    "nano 8": Case("nano-ResNet-8"),
    "nano 20": Case("nano-ResNet-20", {}, (16, 16, 3)),
    "by numbers": Case("x", {"width": [16, 32], "depth": [1, 2], "stem": "medium"}, (17, 12, 3)),
}


def images(case: Case) -> np.ndarray:
    """The images of a case, [images, H, W, C] float32."""
    return np.random.default_rng(1).standard_normal((case.images, *case.image)).astype(np.float32)


def weights(shapes: dict) -> dict:
    """Fill a tree of shapes, each array from a stream of its own: kernels keep the variance, the others are about their initial value."""

    def filled(path, node):
        if isinstance(node, dict):
            return {name: filled((*path, name), inner) for name, inner in node.items()}
        seed = int.from_bytes(hashlib.sha256("/".join(path).encode()).digest()[:16], "little")
        drawn = np.random.Generator(np.random.Philox(key=seed)).standard_normal(node.shape)
        if path[-1] == "kernel":
            return (drawn / np.sqrt(np.prod(node.shape[:-1]))).astype(np.float32)
        if path[-1] == "var":
            return np.exp(0.3 * drawn).astype(np.float32)
        return ((path[-1] == "scale") + 0.3 * drawn).astype(np.float32)

    return filled((), shapes)


def timm_figures() -> dict:
    """By case: logits in evaluation and in training, the first of each image; and the first averages of each norm after that batch."""
    return json.loads(FIGURES.read_text())
