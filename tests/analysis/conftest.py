"""Simulated runs with known laws, and the published points of a real study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.estimator import estimate
from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.objective import objective_named
from analysis.laws import law_named

NFNET = Path(__file__).parent.parent / "reference" / "laws" / "nfnet_fig1_clean21.csv"


def simulated_cells(
    curve: Callable[[np.ndarray], np.ndarray],
    *,
    cells: int = 12,
    seeds: int = 2,
    noise: float = 0.0,
    rng_seed: int = 0,
    low: float = 1.0,
    high: float = 1e4,
) -> pd.DataFrame:
    """Runs whose loss is `curve(core_hours)` times log-normal noise; every cell is one compute budget with some seeds."""
    rng = np.random.default_rng(rng_seed)
    x = np.repeat(np.geomspace(low, high, cells), seeds)
    return pd.DataFrame(
        {
            "id": [f"run{number}" for number in range(cells * seeds)],
            "family": "nfnet",
            "model": "F1",
            "epochs": np.repeat(np.arange(1, cells + 1), seeds),
            "seed": np.tile(np.arange(seeds), cells),
            "status": "finished",
            "core_hours": x,
            "val_loss": curve(x) * np.exp(noise * rng.standard_normal(len(x))),
        }
    )


@pytest.fixture
def simulate() -> Callable[..., pd.DataFrame]:
    return simulated_cells


def estimated(runs: pd.DataFrame, law: str) -> LawEstimate:
    """What `analysis.fit` makes of a table of simulated runs, without the reading of it that takes most of its time: for simulations by the hundred."""
    cell = pd.factorize(runs["epochs"])[0]
    sample = Sample(runs[["core_hours"]].to_numpy(float).T, runs["val_loss"].to_numpy(float), cell, np.ones(len(runs)), cell)
    return estimate(law_named(law), sample, objective_named("log"), Precision(level=0.95, bootstrap=1000, seed=0))


@pytest.fixture
def nfnet() -> pd.DataFrame:
    """21 points of fine-tuned ImageNet error against TPU-v4 core-hours, digitised from arXiv 2310.16764."""
    return analysis.read_runs(NFNET, {"core_hours": "tpu_v4_core_hours", "error": "imagenet_top1_error_pct"})


@pytest.fixture
def sweep() -> Callable[..., pd.DataFrame]:
    """Two models, four epoch budgets, five learning rates; the optimum is c·epochs^-s and the loss's log an exact parabola about it."""

    def make(
        *, s: float = 0.25, noise: float = 0.0, rates: tuple[float, ...] = (0.2, 0.4, 0.8, 1.6, 3.2), seeds: int = 2
    ) -> pd.DataFrame:
        rng = np.random.default_rng(5)
        rows = [
            {
                "id": f"{model}-{epochs}-{rate}-{seed}",
                "family": "nfnet",
                "model": model,
                "epochs": epochs,
                "learning_rate": rate,
                "seed": seed,
                "status": "finished",
                "val_loss": 2 * epochs**-0.3 * np.exp(0.05 * np.log(rate / (c * epochs**-s)) ** 2 + noise * rng.standard_normal()),
            }
            for model, c in (("F0", 1.6), ("F1", 1.0))
            for epochs in (1, 2, 4, 8)
            for rate in rates
            for seed in range(seeds)
        ]
        return pd.DataFrame(rows)

    return make
