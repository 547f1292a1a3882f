"""Data-constrained surface `E + A·N^-alpha + B·D'^-beta`: repeated examples are worth less than new ones.

`D' = U + U·R*·(1 − exp(−R/R*))` with U unique examples and R = D/U − 1 repeats of them: the first repeats count almost in full, and
no number of them is worth more than R*·U new examples. Differs from the paper in that the parameters are not discounted in the same
manner (its N'): that is the law `data-constrained-both`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.discount import bounds_of_scale, discounted
from analysis.laws.law import Law, Shape, Slope, Term

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    log_N, log_D, log_U = logs
    alpha, beta, log_half = (shape[:, place : place + 1] for place in range(3))
    log_U = np.minimum(log_U, log_D)  # of a budget below one epoch, what was seen is all unique
    log_D_prime, by_scale, _ = discounted(log_D, log_U, log_half)
    return [-alpha * log_N, -beta * log_D_prime], [(0, 0, -log_N), (1, 1, -log_D_prime), (1, 2, -beta * by_scale)]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    N, D, U = x
    powers = f"{values['A']} · {N}^-{values['alpha']} + {values['B']} · D'^-{values['beta']}"
    return f"{metric} = {values['E']} + {powers}, D' = {U} · (1 + {values['Rstar']} · (1 − exp(−({D}/{U} − 1)/{values['Rstar']})))"


LAW = Law(
    name="data-constrained",
    formula="E + A·N^-alpha + B·D'^-beta, D' = U·(1 + R*·(1 − exp(−(D/U − 1)/R*)))",
    axes=("N", "D", "U"),
    coefficients=("E", "A", "alpha", "B", "beta", "Rstar"),
    meanings={
        "E": "floor: what neither a larger model nor more examples remove",
        "A": "what a model of one parameter would add",
        "alpha": "exponent of model size",
        "B": "what training on one example would add",
        "beta": "exponent of examples, in worth of new ones",
        "Rstar": "repeats after which one more is worth 1/e of a new example; R* new data sets are all that repeats can be worth",
    },
    citation="Muennighoff et al. 2023, arXiv 2305.16264",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"alpha": 0}), Term("B", {"beta": 1})),
    shapes=(
        Shape("alpha", 0, nodes=14),
        Shape("beta", 1, nodes=14),
        Shape("Rstar", 1, kind="count", bounds=bounds_of_scale, nodes=14),
    ),
    log_terms=_log_terms,
    shares_unit_with=(0, 1, 1),
)
