"""Chinchilla surface with one exponent for both inputs, `E + A·N^-alpha + B·D^-alpha`: for tables too small to tell two exponents apart.

The best size then grows as the root of compute whatever the runs say, so it answers what a loss will be, not how compute is best spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    log_N, log_D = logs
    return [-shape * log_N, -shape * log_D], [(0, 0, -log_N), (1, 0, -log_D)]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    alpha = values["alpha"]
    return f"{metric} = {values['E']} + {values['A']} · {x[0]}^-{alpha} + {values['B']} · {x[1]}^-{alpha}"


LAW = Law(
    name="chinchilla-tied",
    formula="E + A·N^-alpha + B·D^-alpha",
    axes=("N", "D"),
    coefficients=("E", "A", "alpha", "B"),
    meanings={
        "E": "floor: what neither a larger model nor more examples remove",
        "A": "what a model of one parameter would add",
        "alpha": "exponent of model size and of examples seen",
        "B": "what training on one example would add",
    },
    citation="Muennighoff et al. 2023, arXiv 2305.16264, appendix A (α = β)",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"alpha": 0}), Term("B", {"alpha": 1})),
    shapes=(Shape("alpha", 0, nodes=48),),
    log_terms=_log_terms,
)
