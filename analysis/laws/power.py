"""Power law `A·x^-a`: a straight line on log–log axes, the form of the study of NFNets at scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    return [-shape[:, :1] * logs[0]], [(0, 0, -logs[0])]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    return f"{metric} = {values['A']} · {x[0]}^-{values['a']}".replace("^--", "^")


LAW = Law(
    name="power",
    formula="A·x^-a",
    axes=("C",),
    coefficients=("A", "a"),
    meanings={"A": "metric at x = 1", "a": "exponent: slope on log–log axes, downwards"},
    citation="Hestness et al. 2017, arXiv 1712.00409; Smith et al. 2023, arXiv 2310.16764 (loss against core-hours)",
    equation=_equation,
    floor=False,
    terms=(Term("A", {"a": 0}),),
    shapes=(Shape("a", 0, may_be_negative=True),),
    log_terms=_log_terms,
)
