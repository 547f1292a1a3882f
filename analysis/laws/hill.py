"""Hill curve `E + H/(1 + (x/k)^a)`: a sigmoid in log x from E + H, the metric of a model that has learnt nothing, down to the floor E.

Like form M4 of Alabdulmohsin et al. it has both plateaus and a power law between; unlike it, y is written out rather than the root of
an equation, so that it is linear in E and H. Far above k it is the power law with floor `E + H·k^a·x^-a`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term, reach

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    a, log_k = shape[:, :1], shape[:, 1:]
    v = logs[0] - log_k
    log_term = -np.logaddexp(0.0, a * v)
    share = 1 - np.exp(log_term)
    return [log_term], [(0, 0, -share * v), (0, 1, share * a)]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    return f"{metric} = {values['E']} + {values['H']} / (1 + ({x[0]} / {values['k']})^{values['a']})"


def _bounds_of_k(logs: np.ndarray) -> tuple[float, float]:
    low, high = reach(logs[0])
    return low - 2 * (high - low), high + 0.5 * (high - low)


LAW = Law(
    name="hill",
    formula="E + H/(1 + (x/k)^a)",
    axes=("C",),
    coefficients=("E", "H", "a", "k"),
    meanings={
        "E": "floor: what no amount of x removes",
        "H": "height of the upper plateau above the floor",
        "a": "exponent well above k",
        "k": "x at which half of H is gone",
    },
    citation="Hill 1910; a closed form beside M4 of Alabdulmohsin et al. 2022, arXiv 2209.06640",
    equation=_equation,
    floor=True,
    terms=(Term("H", {}),),
    shapes=(Shape("a", 0, nodes=32), Shape("k", 0, kind="location", bounds=_bounds_of_k, nodes=24)),
    log_terms=_log_terms,
)
