"""Initial parameters of an NFNet without compiling anything: shapes from `eval_shape`, numbers from NumPy.

A jitted `init` of an NFNet compiles for 11 to 30 s on a CPU; this takes milliseconds and gives the same bits on every backend.
"""

from __future__ import annotations

import hashlib
import math

import jax
import numpy as np

from trainer.typing import PyTree

__all__ = ["drawn_params"]

_CLASSIFIER_STD = 0.01


def drawn_params(shapes: PyTree, *, seed: int) -> PyTree:
    """Draw float32 parameters of these shapes, a tree with names as keys.

    Their distributions are those of the module's own initialisers, their generator is another. Kernels ~ N(0, 1 / fan-in), the
    classifier's ~ N(0, 0.01²), gains 1, biases and skip gains 0. Each parameter has a random stream of its own, keyed by (seed, its path),
    so that adding a layer does not change the others.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: _drawn(tuple(str(part.key) for part in path), leaf.shape, seed), shapes
    )


def _drawn(path: tuple[str, ...], shape: tuple[int, ...], seed: int) -> np.ndarray:
    if path[-1] == "gain":
        return np.ones(shape, np.float32)
    if path[-1] != "kernel":
        return np.zeros(shape, np.float32)
    key = int.from_bytes(hashlib.sha256(f"{seed}/{'/'.join(path)}".encode()).digest()[:16], "little")
    std = _CLASSIFIER_STD if path[-2] == "classifier" else 1.0 / math.sqrt(math.prod(shape[:-1]))
    return (np.random.Generator(np.random.Philox(key=key)).standard_normal(shape) * std).astype(np.float32)
