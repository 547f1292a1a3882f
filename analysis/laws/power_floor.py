"""Power law with a floor, `E + A·x^-a`: the loss cannot fall below E, what the data leave uncertain to any model of the family."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.fitting.floor import floor_on_log_residuals
from analysis.laws.law import Law

__all__ = ["LAW"]


def _curve(x: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
    return values["E"] + np.exp(np.log(values["A"]) - values["a"] * np.log(x))


def _equation(values: Mapping[str, str], metric: str, x: str) -> str:
    return f"{metric} = {values['E']} + {values['A']} · {x}^-{values['a']}"


LAW = Law(
    name="power-floor",
    formula="E + A·x^-a",
    coefficients=("E", "A", "a"),
    meanings={
        "E": "floor: what no amount of x removes",
        "A": "metric above the floor at x = 1",
        "a": "exponent of what is above the floor",
    },
    citation="Henighan et al. 2020, arXiv 2010.14701; Alabdulmohsin et al. 2022, arXiv 2209.06640 (form M2)",
    curve=_curve,
    equation=_equation,
    estimators={"log": floor_on_log_residuals},
)
