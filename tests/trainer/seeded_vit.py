"""Cases in which a ViT is compared with timm's: models, images, and weights that a seeded NumPy generator makes from names and shapes."""

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np

from tests.conftest import REFERENCE

LOGITS = REFERENCE / "vit" / "timm_logits.json"
"""What timm gives in float64, written by `benchmarks/vit_logits.py`."""


@dataclass(frozen=True)
class Case:
    """Names a model, the shape of images in training, and their size where it is compared."""

    model: str
    options: dict = field(default_factory=dict)
    trained: tuple = (8, 8, 1)
    seen: tuple = (8, 8)
    classes: int = 10


NUMBERS = {"width": 24, "depth": 3, "heads": 3, "patch": 4}
CASES = {
    "S/16": Case("ViT-S/16", {"gelu": "exact"}, (224, 224, 3), (224, 224), 1000),
    "S/16 at 256 px": Case("ViT-S/16", {"gelu": "exact"}, (224, 224, 3), (256, 256), 1000),
    "nano Ti": Case("nano-ViT-Ti"),
    "nano S": Case("nano-ViT-S"),
    "nano B": Case("nano-ViT-B", {"positions": "sincos"}, (16, 16, 3), (16, 16)),
    "nano L": Case("nano-ViT-L", {"patch": 4}, (32, 32, 3), (32, 32)),
    "token, resampled": Case("x", NUMBERS | {"pool": "token"}, (16, 24, 3), (24, 32)),
    "sin-cos, resampled": Case("x", NUMBERS | {"pool": "token", "positions": "sincos", "gelu": "exact"}, (16, 16, 3), (12, 20)),
    "attention": Case("x", NUMBERS | {"pool": "attention", "mlp": 40}, (16, 16, 3), (32, 32)),
}


def images(case: Case) -> np.ndarray:
    """Three images of a case, [3, H, W, C] float32."""
    return np.random.default_rng(1).standard_normal((3, *case.seen, case.trained[2])).astype(np.float32)


def weights(shapes: dict) -> dict:
    """Fill a tree of shapes, each parameter from a stream of its own: kernels keep the variance, the others are about their initial value."""

    def filled(path, node):
        if isinstance(node, dict):
            return {name: filled((*path, name), inner) for name, inner in node.items()}
        seed = int.from_bytes(hashlib.sha256("/".join(path).encode()).digest()[:16], "little")
        drawn = np.random.Generator(np.random.Philox(key=seed)).standard_normal(node.shape)
        if path[-1] == "kernel":
            return (drawn / np.sqrt(node.shape[0])).astype(np.float32)
        return ((path[-1] == "scale") + 0.3 * drawn).astype(np.float32)

    return filled((), shapes)


def timm_logits() -> dict:
    return {name: np.array(logits) for name, logits in json.loads(LOGITS.read_text()).items()}
