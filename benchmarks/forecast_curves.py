"""The curves that forecasts are judged on, cut where a study would have ended: for `forecast.py`, which says where they are from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.backtest.windows import Cells, cells_in_order
from analysis.fitting.estimate import Precision, Sample
from analysis.fitting.objective import objective_named

DATA = Path(__file__).parents[1] / "tests" / "reference" / "laws"
OWN, FACTORS, LEAST = "own", (2, 4, 10), 5
AIM, PRECISION = objective_named("log"), Precision(bootstrap=100)


@dataclass(frozen=True, eq=False)
class Cut:
    """A curve, of which x and y are fitted, and at and log_truth are kept aside."""

    domain: str
    curve: str
    factor: str
    x: np.ndarray
    y: np.ndarray
    at: np.ndarray
    log_truth: np.ndarray

    @property
    def sample(self) -> Sample:
        return Sample(self.x[None], self.y, np.unique(self.x, return_inverse=True)[1], np.ones(len(self.x)))

    @property
    def cells(self) -> Cells:
        return cells_in_order(self.sample, np.log(self.x))


@cache
def cuts() -> tuple[Cut, ...]:
    return tuple(_cuts())


def _cuts() -> Iterator[Cut]:
    for (domain, curve), rows in pd.read_csv(DATA / "real_curves.csv").groupby(["domain", "curve"]):
        yield from _at_factors(str(domain), str(curve), rows["x"].to_numpy(float), rows["loss"].to_numpy(float), FACTORS)
    for (domain, *name), rows in pd.read_csv(DATA / "revisiting_benchmark.lang.csv").groupby(["Domain", "Task", "Model"]):
        curve, seen = " ".join(map(str, name)), (rows["Training"] == 1).to_numpy()
        x, y = rows["Seen Examples"].to_numpy(float), rows["Loss"].to_numpy(float)
        yield Cut(str(domain), curve, OWN, x[seen], y[seen], x[~seen], np.log(y[~seen]))
        yield from _at_factors(str(domain), curve, x, y, FACTORS[1:])


def _at_factors(domain: str, curve: str, x: np.ndarray, y: np.ndarray, factors: Sequence[int]) -> Iterator[Cut]:
    for factor in factors:
        seen = x <= x.max() / factor * (1 + 1e-9)
        if len(np.unique(x[seen])) >= LEAST and not seen.all():
            yield Cut(domain, curve, str(factor), x[seen], y[seen], x[~seen], np.log(y[~seen]))


def rmsle(cut: Cut, mean: np.ndarray) -> float:
    return float(np.sqrt(np.mean((mean - cut.log_truth) ** 2)))


def farthest(cut: Cut) -> int:
    return int(cut.at.argmax())


def distance(cut: Cut) -> float:
    return float(np.log(cut.at.max() / cut.x.max()))
