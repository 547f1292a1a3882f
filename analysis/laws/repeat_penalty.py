"""Chinchilla surface with a penalty on repeats, `E + A·N^-alpha + B·D^-beta + P·R^delta·(N/U)^kappa`, R = D/U − 1.

Repeated examples count in full, but overfitting adds to the loss: the more, the larger the model is for its unique examples. So, unlike in
the law `data-constrained`, further repeats may raise the loss. With delta and kappa pinned, P alone compares recipes, as the paper does for
weight decay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term

__all__ = ["LAW"]

_LEAST_REPEATS = 1e-9  # less than a part in a billion of an epoch is rounding of D and U


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    log_N, log_D, log_U = logs
    alpha, beta, delta, kappa = (shape[:, place : place + 1] for place in range(4))
    repeats = np.expm1(log_D - log_U)
    some = repeats > _LEAST_REPEATS
    log_R = np.log(np.where(some, repeats, 1.0))
    penalty = np.where(some, delta * log_R + kappa * (log_N - log_U), -np.inf)
    return [-alpha * log_N, -beta * log_D, penalty], [(0, 0, -log_N), (1, 1, -log_D), (2, 2, log_R), (2, 3, log_N - log_U)]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    N, D, U = x
    powers = f"{values['A']} · {N}^-{values['alpha']} + {values['B']} · {D}^-{values['beta']}"
    return f"{metric} = {values['E']} + {powers} + {values['P']} · ({D}/{U} − 1)^{values['delta']} · ({N}/{U})^{values['kappa']}"


def _bounds_of_power(logs: np.ndarray) -> tuple[float, float]:
    return 0.05, 6.0  # of ratios, which have no unit: from nearly the same for all repeats to a wall


LAW = Law(
    name="repeat-penalty",
    formula="E + A·N^-alpha + B·D^-beta + P·(D/U − 1)^delta·(N/U)^kappa",
    axes=("N", "D", "U"),
    coefficients=("E", "A", "alpha", "B", "beta", "P", "delta", "kappa"),
    meanings={
        "E": "floor: what neither a larger model nor more examples remove",
        "A": "what a model of one parameter would add",
        "alpha": "exponent of model size",
        "B": "what training on one example would add",
        "beta": "exponent of examples seen, repeats included",
        "P": "what one repeat adds for a model of one parameter per unique example",
        "delta": "exponent of repeats",
        "kappa": "exponent of parameters per unique example",
    },
    citation="Lovelace et al. 2026, arXiv 2605.01640",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"alpha": 0}), Term("B", {"beta": 1}), Term("P", {"kappa": 2}, {"kappa": 0})),
    shapes=(
        Shape("alpha", 0, nodes=9),
        Shape("beta", 1, nodes=9),
        Shape("delta", 1, bounds=_bounds_of_power, nodes=5),
        Shape("kappa", 0, bounds=_bounds_of_power, nodes=5),
    ),
    log_terms=_log_terms,
    shares_unit_with=(0, 1, 1),
)
