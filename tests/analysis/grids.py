"""Simulated grids of the kind people run: sizes × epoch budgets × seeds, on a surface that is known."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

EXAMPLES = 2e7
ALPHA, BETA, FLOOR, A, B = 0.34, 0.30, 0.5, 60.0, 40.0
"""Of the surface `chinchilla(N, D)` below."""


def chinchilla(N, D):
    return FLOOR + A * N**-ALPHA + B * D**-BETA


def grid(
    surface: Callable = chinchilla,
    *,
    family: str = "nfnet",
    sizes: Sequence[float] = tuple(1e6 * 3.0**k for k in range(5)),
    epochs: Sequence[float] = (0.25, 0.5, 1, 2, 4, 8),
    seeds: int = 1,
    noise: float = 0.0,
    cost: float = 1.0,
    shared: float = 0.0,
    rng_seed: int = 0,
) -> pd.DataFrame:
    """Runs with core_hours = cost·6·N·D/1e15.

    noise: standard deviation of log loss, of each run. shared: the same, of what all families at one (size rank, epochs, seed) share.
    """
    rng = np.random.default_rng([rng_seed, zlib.crc32(family.encode())])
    common = np.random.default_rng(rng_seed + 999)
    rows = []
    for rank, N in enumerate(sizes):
        for budget in epochs:
            for seed in range(seeds):
                D = EXAMPLES * budget
                together = shared * common.standard_normal()
                rows.append(
                    {
                        "id": f"{family}-{rank}-{budget}-{seed}",
                        "family": family,
                        "model": f"{family}-{rank}",
                        "epochs": float(budget),
                        "seed": seed,
                        "status": "finished",
                        "params": N,
                        "examples_seen": D,
                        "unique_examples": min(D, EXAMPLES),
                        "core_hours": cost * 6 * N * D / 1e15,
                        "val_loss": surface(N, D) * np.exp(noise * rng.standard_normal() + together),
                    }
                )
    return pd.DataFrame(rows)
