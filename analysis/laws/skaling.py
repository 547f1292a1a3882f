"""Chinchilla surface with an interaction, `E + A·(N^(-alpha/k) + (r·D^-beta)^(1/k))^k`: what examples are worth depends on model size.

At k = 1 it is the Chinchilla surface with B = A·r. Below 1 a larger model gains more from more examples (the mixed derivative is negative);
as k nears 0 only the worse of both inputs counts. Differs from the paper in how it is written, not in what it can be: its
`(A·N^-α + B·D^-β)^k` has the exponents alpha/k and beta/k, A^(1/k) for A and (A·r)^(1/k) for B. As written here, alpha and beta are what
one input alone obeys, in the sense of the Chinchilla surface, and hardly move with k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    log_N, log_D = logs
    alpha, log_r, beta, log_k = (shape[:, place : place + 1] for place in range(4))
    k = np.exp(log_k)
    of_size, of_data = -alpha * log_N / k, (log_r - beta * log_D) / k
    log_sum = np.logaddexp(of_size, of_data)
    share = np.exp(of_data - log_sum)  # of the data in the sum
    by_k = k * log_sum - k * ((1 - share) * of_size + share * of_data)  # d log term / d log k
    return [k * log_sum], [(0, 0, -(1 - share) * log_N), (0, 1, share), (0, 2, -share * log_D), (0, 3, by_k)]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    N, D = x
    alpha, r, beta, k = (values[name] for name in ("alpha", "r", "beta", "k"))
    return f"{metric} = {values['E']} + {values['A']} · ({N}^(-{alpha}/{k}) + ({r} · {D}^-{beta})^(1/{k}))^{k}"


def _bounds_of_r(logs: np.ndarray) -> tuple[float, float]:
    return -9.0, 9.0  # of centred inputs: beyond, one of the two parts is less than a ten-thousandth of the other


def _bounds_of_k(logs: np.ndarray) -> tuple[float, float]:
    return float(np.log(0.1)), float(np.log(5.0))  # below, the corner is sharp; above, the surface is a product of powers


LAW = Law(
    name="skaling",
    formula="E + A·(N^(-alpha/k) + (r·D^-beta)^(1/k))^k",
    axes=("N", "D"),
    coefficients=("E", "A", "alpha", "r", "beta", "k"),
    meanings={
        "E": "floor: what neither a larger model nor more examples remove",
        "A": "what a model of one parameter would add, were examples unlimited",
        "alpha": "exponent of model size, were examples unlimited",
        "r": "what training on one example would add, over A",
        "beta": "exponent of examples seen, were size unlimited",
        "k": "interaction: 1 for none; below, a larger model gains more from examples",
    },
    citation="Videau et al. 2026, arXiv 2608.07222, equation 3",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"alpha": 0}),),
    shapes=(
        Shape("alpha", 0, nodes=8),
        Shape("r", 1, kind="ratio", bounds=_bounds_of_r, nodes=6, exponents={"beta": 1}, rises={"alpha": 0}),
        Shape("beta", 1, nodes=8),
        Shape("k", 1, kind="count", bounds=_bounds_of_k, nodes=5),
    ),
    log_terms=_log_terms,
)
