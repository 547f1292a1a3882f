"""Law of size, steps and batch size, `E + A·N^-alpha + B·M^-beta + C·K^-gamma`: examples seen are K steps of M examples each.

Where batch sizes vary at one size and one number of examples, it says which batch size is best: neither many small steps nor few large
ones are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.laws.law import Law, Shape, Slope, Term

__all__ = ["LAW"]


def _log_terms(logs: np.ndarray, shape: np.ndarray) -> tuple[Sequence[np.ndarray], Sequence[Slope]]:
    return [-shape[:, place : place + 1] * logs[place] for place in range(3)], [(place, place, -logs[place]) for place in range(3)]


def _equation(values: Mapping[str, str], metric: str, x: Sequence[str]) -> str:
    letters = zip(("A", "C", "B"), x, ("alpha", "gamma", "beta"), strict=True)
    powers = " + ".join(f"{values[scale]} · {name}^-{values[exponent]}" for scale, name, exponent in letters)
    return f"{metric} = {values['E']} + {powers}"


LAW = Law(
    name="three-term",
    formula="E + A·N^-alpha + C·K^-gamma + B·M^-beta",
    axes=("N", "K", "M"),
    coefficients=("E", "A", "alpha", "C", "gamma", "B", "beta"),
    meanings={
        "E": "floor: what neither size nor training removes",
        "A": "what a model of one parameter would add",
        "alpha": "exponent of model size",
        "C": "what one step of training would add",
        "gamma": "exponent of steps",
        "B": "what a batch of one example would add",
        "beta": "exponent of batch size",
    },
    citation="Schaipp 2026, arXiv 2607.01487 (three-term law)",
    equation=_equation,
    floor=True,
    terms=(Term("A", {"alpha": 0}), Term("C", {"gamma": 1}), Term("B", {"beta": 2})),
    shapes=(Shape("alpha", 0, nodes=12), Shape("gamma", 1, nodes=12), Shape("beta", 2, nodes=12)),
    log_terms=_log_terms,
)
