"""Chinchilla surface `E + A·N^-alpha + B·D^-beta`: what a larger model and what more examples take off the loss, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    log_N, log_D = logs
    return [-shape[:, :1] * log_N, -shape[:, 1:] * log_D], [(0, 0, -log_N), (1, 1, -log_D)]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    return f"{metric} = {values['E']} + {values['A']} · {x[0]}^-{values['alpha']} + {values['B']} · {x[1]}^-{values['beta']}"


LAW = Law(
    name="chinchilla",
    formula="E + A·N^-alpha + B·D^-beta",
    axes=("N", "D"),
    coefficients=("E", "A", "alpha", "B", "beta"),
    meanings={
        "E": "floor: what neither a larger model nor more examples remove",
        "A": "what a model of one parameter would add",
        "alpha": "exponent of model size",
        "B": "what training on one example would add",
        "beta": "exponent of examples seen",
    },
    citation="Hoffmann et al. 2022, arXiv 2203.15556 (approach 3); refitted by Besiroglu et al. 2024, arXiv 2404.10102",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"alpha": 0}), Term("B", {"beta": 1})),
    shapes=(Shape("alpha", 0, nodes=24), Shape("beta", 1, nodes=24)),
    log_terms=_log_terms,
)
