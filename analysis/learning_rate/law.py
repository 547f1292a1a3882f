"""The law of the best learning rate in epochs and size, as columns of a linear model of its logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["TERMS", "RateLaw", "lines_of"]

TERMS = ("s", "t", "u")
"""The exponents, in the order in which a growing set of runs determines them."""


@dataclass(frozen=True)
class RateLaw:
    """States `log rate* = log c(line) − s·log epochs − t·log(N/N0) − u·log epochs·log(N/N0)`, with N the parameters of the model.

    lines: what has a `c` of its own: each family where sizes are known, else each (family, model).
    terms: those of `TERMS` that are in the law; the others are 0.
    reference_params: N0, where s is read off; None where sizes are not in the law.
    """

    lines: tuple[tuple[str, ...], ...]
    terms: tuple[str, ...]
    reference_params: float | None

    @property
    def formula(self) -> str:
        """Return the formula in the letters of its terms."""
        slope = "(s + u·ln(N/N0))" if "u" in self.terms else "s"
        return f"learning_rate* = c·epochs^-{slope}" + ("·(N/N0)^-t" if "t" in self.terms else "")

    def with_terms(self, *terms: str) -> RateLaw:
        """Return the same law with other terms."""
        return RateLaw(self.lines, terms, self.reference_params)

    def line_of(self, family: str, model: str) -> tuple[str, ...]:
        """Return the name of the line that a model lies on."""
        return (family, model) if self.reference_params is None else (family,)

    def row(self, line: tuple[str, ...], epochs: float, params: float | None) -> np.ndarray:
        """Return the columns of one cell: what log c of each line and the exponents multiply in log rate*."""
        log_epochs, log_size = math.log(epochs), self._log_size(params)
        values = {"s": -log_epochs, "t": -log_size, "u": -log_epochs * log_size}
        return np.array([*(float(line == other) for other in self.lines), *(values[term] for term in self.terms)])

    def rows(self, cells: pd.DataFrame) -> np.ndarray:
        """Return the columns of all cells, (cells, k): rows with `family`, `model`, `epochs` and `params`."""
        columns = (cells[name] for name in ("family", "model", "epochs", "params"))
        return np.array(
            [self.row(self.line_of(family, model), epochs, params) for family, model, epochs, params in zip(*columns, strict=True)]
        )

    def slope_row(self, params: float | None) -> np.ndarray:
        """Return the row that gives −d log rate* / d log epochs of a model: s + u·log(N/N0)."""
        values = {"s": 1.0, "t": 0.0, "u": self._log_size(params)}
        return np.array([*(0.0 for _ in self.lines), *(values[term] for term in self.terms)])

    def term_row(self, term: str) -> np.ndarray:
        """Return the row that gives an exponent."""
        return np.array([*(0.0 for _ in self.lines), *(float(term == other) for other in self.terms)])

    def _log_size(self, params: float | None) -> float:
        return 0.0 if self.reference_params is None or params is None else math.log(params) - math.log(self.reference_params)


def lines_of(cells: pd.DataFrame) -> tuple[tuple[tuple[str, ...], ...], float | None]:
    """Return what has a `c` of its own in these cells, and N0: each family where sizes are known and differ, else each model, and None."""
    models = cells[["family", "model", "params"]].drop_duplicates(["family", "model"])
    params = models["params"].to_numpy(float)
    sized = bool(np.isfinite(params).all() and (params > 0).all() and models.groupby("family")["params"].nunique().max() > 1)
    names = ("family",) if sized else ("family", "model")
    lines = tuple(dict.fromkeys(zip(*(models[name] for name in names), strict=True)))
    return lines, float(np.exp(np.log(params).mean())) if sized else None
