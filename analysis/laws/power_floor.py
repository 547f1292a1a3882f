"""Power law with a floor, `E + A·x^-a`: the loss cannot fall below E, what the data leave uncertain to any model of the family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    return [-shape[:, :1] * logs[0]], [(0, 0, -logs[0])]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    return f"{metric} = {values['E']} + {values['A']} · {x[0]}^-{values['a']}"


LAW = Law(
    name="power-floor",
    formula="E + A·x^-a",
    axes=("C",),
    coefficients=("E", "A", "a"),
    meanings={
        "E": "floor: what no amount of x removes",
        "A": "metric above the floor at x = 1",
        "a": "exponent of what is above the floor",
    },
    citation="Henighan et al. 2020, arXiv 2010.14701; Alabdulmohsin et al. 2022, arXiv 2209.06640 (form M2)",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"a": 0}),),
    shapes=(Shape("a", 0, nodes=48),),
    log_terms=_log_terms,
)
