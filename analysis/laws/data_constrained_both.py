"""Data-constrained surface with both discounts, `E + A·N'^-alpha + B·D'^-beta`: repeated examples and excess parameters are worth less.

`D' = U·(1 + R*·(1 − exp(−(D/U − 1)/R*)))` as in the law `data-constrained`. Of N parameters as many are worth in full as U examples are
enough for, `V = min(u·U, N)`; the others decay alike: `N' = V·(1 + R_N*·(1 − exp(−(N/V − 1)/R_N*)))`.

The paper takes for V the size that its Chinchilla law has as optimum for U examples, `(U·G)^(β/α)·G` with `G = (αA/(βB))^(1/(α+β))`. With
α = β, as it has them, that is u·U with u = (A/B)^(1/α), .051 there, and so it is written here. Its recipe is to fit a single-epoch law
first, to pin all of that, u included, and to fit R* and R_N* alone. Without pins u and R_N* are rarely known, which is why this law is no
candidate of the automatic choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.discount import bounds_of_scale, discounted
from analysis.laws.law import Law, Shape, Slope, Term, reach

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    log_N, log_D, log_U = logs
    alpha, beta, log_R, log_R_N, log_u = (shape[:, place : place + 1] for place in range(5))
    log_U = np.minimum(log_U, log_D)  # of a budget below one epoch, what was seen is all unique
    log_D_prime, by_R, _ = discounted(log_D, log_U, log_R)
    has_excess = log_u + log_U < log_N
    log_N_prime, by_R_N, by_V = discounted(log_N, np.minimum(log_u + log_U, log_N), log_R_N)
    return [-alpha * log_N_prime, -beta * log_D_prime], [
        (0, 0, -log_N_prime),
        (1, 1, -log_D_prime),
        (1, 2, -beta * by_R),
        (0, 3, -alpha * by_R_N),
        (0, 4, -alpha * np.where(has_excess, by_V, 0.0)),
    ]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    N, D, U = x
    Rstar, Rstar_N = values["Rstar"], values["RNstar"]
    powers = f"{values['A']} · N'^-{values['alpha']} + {values['B']} · D'^-{values['beta']}"
    data = f"D' = {U} · (1 + {Rstar} · (1 − exp(−({D}/{U} − 1)/{Rstar})))"
    size = f"N' = V · (1 + {Rstar_N} · (1 − exp(−({N}/V − 1)/{Rstar_N}))), V = min({values['u']} · {U}, {N})"
    return f"{metric} = {values['E']} + {powers}, {data}, {size}"


def _bounds_of_u(logs: np.ndarray) -> tuple[float, float]:
    # Where every model has excess parameters, and where none has: beyond either, u changes nothing or only R_N*.
    return reach(logs[0] - np.minimum(logs[1], logs[2]))


LAW = Law(
    name="data-constrained-both",
    formula="E + A·N'^-alpha + B·D'^-beta, D' = U·(1 + R*·(1 − exp(−(D/U − 1)/R*))), N' = V·(1 + R_N*·(1 − exp(−(N/V − 1)/R_N*))), V = min(u·U, N)",
    axes=("N", "D", "U"),
    coefficients=("E", "A", "alpha", "B", "beta", "Rstar", "RNstar", "u"),
    meanings={
        "E": "floor: what neither a larger model nor more examples remove",
        "A": "what a model of one parameter would add",
        "alpha": "exponent of model size, in worth of parameters that are not in excess",
        "B": "what training on one example would add",
        "beta": "exponent of examples, in worth of new ones",
        "Rstar": "repeats after which one more is worth 1/e of a new example",
        "RNstar": "multiples of V after which one more parameter is worth 1/e of one that is not in excess",
        "u": "parameters that a unique example is enough for",
    },
    citation="Muennighoff et al. 2023, arXiv 2305.16264, appendix A",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"alpha": 0}), Term("B", {"beta": 1})),
    shapes=(
        Shape("alpha", 0, nodes=5),
        Shape("beta", 1, nodes=5),
        Shape("Rstar", 1, kind="count", bounds=bounds_of_scale, nodes=4),
        Shape("RNstar", 0, kind="count", bounds=bounds_of_scale, nodes=4),
        Shape("u", 0, kind="location", bounds=_bounds_of_u, nodes=6, per=2),
    ),
    log_terms=_log_terms,
    shares_unit_with=(0, 1, 1),
    is_candidate=False,
)
