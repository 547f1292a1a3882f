"""Saturating power law `E + A·(x + d)^-a`: flat below d, where a model has not begun to learn, and falling to the floor E beyond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term, reach

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    a, log_d = shape[:, :1], shape[:, 1:]
    log_sum = np.logaddexp(logs[0], log_d)
    return [-a * log_sum], [(0, 0, -log_sum), (0, 1, -a * np.exp(log_d - log_sum))]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    return f"{metric} = {values['E']} + {values['A']} · ({x[0]} + {values['d']})^-{values['a']}"


def _bounds_of_d(logs: np.ndarray) -> tuple[float, float]:
    # From where it bends the curve by less than a thousandth of the first x to where nothing but the bend is seen.
    low, high = reach(logs[0])
    return low - 7.0, high + 1.0


LAW = Law(
    name="saturating",
    formula="E + A·(x + d)^-a",
    axes=("C",),
    coefficients=("E", "A", "a", "d"),
    meanings={
        "E": "floor: what no amount of x removes",
        "A": "scale of what is above the floor",
        "a": "exponent well above d",
        "d": "x below which the metric hardly falls",
    },
    citation="Zhai et al. 2022, arXiv 2106.04560 (saturating at both ends)",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"a": 0}),),
    shapes=(Shape("a", 0, nodes=32), Shape("d", 0, kind="location", bounds=_bounds_of_d, nodes=20)),
    log_terms=_log_terms,
)
