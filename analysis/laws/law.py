"""What a law is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from analysis.fitting.estimate import Estimator

__all__ = ["Law"]


@dataclass(frozen=True)
class Law:
    """A formula for a metric against x.

    name: as `--law` takes it.
    formula: for people, with `x` for the compute axis.
    coefficients: the letters of the formula, in the order in which they are shown.
    meanings: letter → what it is, in words.
    citation: where the form comes from.
    curve: `curve(x, {"A": …}) -> metric`, elementwise over an array of positive x in its own unit.
    equation: the formula with numbers and names filled in: `equation(values, metric, x)`; `values` are already text.
    estimators: objective → the estimator that fits this law by it.
    """

    name: str
    formula: str
    coefficients: tuple[str, ...]
    meanings: Mapping[str, str]
    citation: str
    curve: Callable[[np.ndarray, Mapping[str, float]], np.ndarray]
    equation: Callable[[Mapping[str, str], str, str], str]
    estimators: Mapping[str, Estimator]

    @property
    def least_points(self) -> int:
        """Distinct x a fit needs: one more than there are coefficients, else nothing is left to measure the noise by."""
        return len(self.coefficients) + 1
