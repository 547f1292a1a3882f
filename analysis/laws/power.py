"""Power law `A·x^-a`: a straight line on log–log axes, the form of the study of NFNets at scale."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.fitting.log_least_squares import log_least_squares
from analysis.laws.law import Law

__all__ = ["LAW"]


def _curve(x: np.ndarray, values: Mapping[str, float]) -> np.ndarray:
    # In logarithms: A alone overflows long before A·x^-a does.
    return np.exp(np.log(values["A"]) - values["a"] * np.log(x))


def _equation(values: Mapping[str, str], metric: str, x: str) -> str:
    return f"{metric} = {values['A']} · {x}^-{values['a']}".replace("^--", "^")


LAW = Law(
    name="power",
    formula="A·x^-a",
    coefficients=("A", "a"),
    meanings={"A": "metric at x = 1", "a": "exponent: slope on log–log axes, downwards"},
    citation="Hestness et al. 2017, arXiv 1712.00409; Smith et al. 2023, arXiv 2310.16764 (loss against core-hours)",
    curve=_curve,
    equation=_equation,
    estimators={"log": log_least_squares},
)
