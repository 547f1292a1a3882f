"""Broken power law with one break, `E + A·x^-a·(1 + (x/k)^(1/f))^((a−b)·f)`: exponent a before the break at k, b after it.

The published form writes the exponent after the break as c₀ + c₁; here b is that sum itself, since it is what extrapolates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term, reach

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    a, b, log_k, log_f = (shape[:, place : place + 1] for place in range(4))
    f = np.exp(log_f)
    v = (logs[0] - log_k) / f
    bend = np.logaddexp(0.0, v)
    share = np.exp(v - bend)  # logistic(v)
    log_term = -a * logs[0] + (a - b) * f * bend
    return [log_term], [
        (0, 0, f * bend - logs[0]),
        (0, 1, -f * bend),
        (0, 2, -(a - b) * share),
        (0, 3, (a - b) * f * (bend - v * share)),
    ]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    a, b, k, f = (values[name] for name in "abkf")
    return f"{metric} = {values['E']} + {values['A']} · {x[0]}^-{a} · (1 + ({x[0]} / {k})^(1/{f}))^(({a} − {b}) · {f})"


def _bounds_of_k(logs: np.ndarray) -> tuple[float, float]:
    return reach(logs[0])  # a break that was not seen is no finding


def _bounds_of_f(logs: np.ndarray) -> tuple[float, float]:
    span = max(float(np.ptp(reach(logs[0]))), 1e-9)
    return float(np.log(0.01 * span)), float(np.log(0.5 * span))  # from a corner to a bend over the whole range


LAW = Law(
    name="broken",
    formula="E + A·x^-a·(1 + (x/k)^(1/f))^((a−b)·f)",
    axes=("C",),
    coefficients=("E", "A", "a", "b", "k", "f"),
    meanings={
        "E": "floor: what no amount of x removes",
        "A": "scale of what is above the floor, before the break",
        "a": "exponent before the break",
        "b": "exponent after the break",
        "k": "x of the break",
        "f": "width of the break in log x",
    },
    citation="Caballero et al. 2023, arXiv 2210.14891 (broken neural scaling law, n = 1)",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"a": 0}),),
    shapes=(
        Shape("a", 0, nodes=10),
        Shape("b", 0, nodes=10),
        Shape("k", 0, kind="location", bounds=_bounds_of_k, nodes=9),
        Shape("f", 0, kind="count", bounds=_bounds_of_f, nodes=3),
    ),
    log_terms=_log_terms,
)
