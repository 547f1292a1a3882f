"""A user's module under `mypy --strict`: what `scaling` exports is typed, and a family and a data set of one's own fit their protocols.

`mypy` checks it with the packages. `tests/trainer/test_own_families.py` trains what it makes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, assert_type

import flax.linen as nn
import jax
import numpy as np
import pandas as pd
from jax.typing import DTypeLike

import scaling
from analysis.comparison.result import Comparison
from analysis.fitting.result import Fit
from analysis.learning_rate.trend import LearningRateTrend
from analysis.optimum.result import Optimum
from analysis.pareto import Frontier
from analysis.planning.result import NextRuns
from analysis.prediction import Prediction
from analysis.report.study import Study
from analysis.sentence import Answer
from orchestrator.experiments_file import Spec
from orchestrator.main_job import Submitted
from orchestrator.store.store import Store
from scaling.errors import UnknownName
from trainer.config import TrainConfig
from trainer.data import DataCard, Dataset, Example
from trainer.models import Family, ModelFamily
from trainer.result import TrainResult


def sees(runs: pd.DataFrame, config: TrainConfig) -> None:
    """Never called: the types of what `scaling` exports, none of which is `Any`."""
    assert_type(scaling.read_runs("runs.csv"), pd.DataFrame)
    assert_type(scaling.fit(runs, law="power"), Fit)
    assert_type(scaling.fit(runs).predict(runs), pd.DataFrame)
    assert_type(scaling.frontier(runs), Frontier)
    assert_type(scaling.answer(runs), Answer)
    assert_type(scaling.answer(runs).sentence, str)
    assert_type(scaling.choose_law(runs), Fit)
    assert_type(scaling.learning_rate_trend(runs), LearningRateTrend)
    assert_type(scaling.predict(runs, [1e6]), Prediction)
    assert_type(scaling.compare(runs, by="family"), Comparison)
    assert_type(scaling.optimum(runs), Optimum)
    assert_type(scaling.plan(runs, budget_core_hours=1.0, target=1e6), NextRuns)
    assert_type(scaling.report(runs), Study)
    assert_type(scaling.submit("experiments.yaml"), Submitted)
    assert_type(scaling.runs("scaling.db"), pd.DataFrame)
    assert_type(scaling.train(config, directory="runs"), TrainResult)
    assert_type(scaling.Store.open("scaling.db"), Store)
    assert_type(scaling.read_spec("experiments.yaml")[0], Spec)
    assert_type(scaling.__version__, str)
    scaling.fits(runs)  # type: ignore[operator]  # there is no such name


class Linear(nn.Module):
    """Logits as a linear function of the pixels."""

    num_classes: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        return nn.Dense(self.num_classes, dtype=self.dtype, name="classifier")(images.reshape(len(images), -1))


class Linears:
    """A `ModelFamily` by its methods alone."""

    def names(self) -> tuple[str, ...]:
        return ("linear",)

    def check(self, name: str, options: Mapping[str, Any]) -> None:
        if name not in self.names() or options:
            raise UnknownName("model", name, self.names())

    def params(self, name: str, options: Mapping[str, Any], *, num_classes: int, image_shape: tuple[int, int, int]) -> int:
        return (math.prod(image_shape) + 1) * num_classes

    def macs(self, name: str, options: Mapping[str, Any], *, num_classes: int, image_shape: tuple[int, int, int]) -> int:
        return math.prod(image_shape) * num_classes

    def build(self, name: str, *, num_classes: int, dtype: DTypeLike) -> Linear:
        return Linear(num_classes, dtype)


def by_methods() -> ModelFamily:
    return Linears()


def of_functions() -> Family:
    made = Linears()
    return Family(names=made.names, params=made.params, macs=made.macs, build=made.build, check=made.check)


class Halves:
    """Grey images of 4×4 px, dark or bright."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        return {"image": np.full((4, 4, 1), 255 * (index % 2), np.uint8), "label": index % 2, "id": index}


def halves(options: Mapping[str, Any]) -> Dataset:
    """A data set of `examples` images, and 8 held out."""
    count = int(options["examples"])
    return Dataset(DataCard("halves", f"halves of {count}", 2, (4, 4, 1), count, 8), Halves(count), Halves(8))
