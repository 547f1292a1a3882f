"""Checks whether runs that are averaged as seeds of a cell differ in something that moves the metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.design_columns import differing_unknown
from analysis.diagnostics.diagnostic import Diagnostic, DiagnosticCode
from analysis.distributions import f_above
from scaling.rounding import significant

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

__all__ = ["cells_mixed"]

_LEVEL = 0.001


def cells_mixed(fit: Fit) -> list[Diagnostic]:
    """Report columns of unknown meaning that explain the scatter inside cells.

    This is an F test of their values, beside the means of cells, at 0.1 %.
    """
    runs, cell = fit.runs, fit.runs["cell"]
    found = []
    for name in differing_unknown(runs, cell, (), ignored=("cell", *fit.axes, fit.metric, *fit.clusters)):
        share, p = _explained(np.log(runs[fit.metric].to_numpy(float)), cell, runs[name])
        if p < _LEVEL:
            found.append((share, p, name))
    return [
        Diagnostic(
            DiagnosticCode.CELLS_MIXED,
            f"{name} explains {100 * share:.0f} % of the scatter between runs that were averaged as seeds (p = {significant(p, 1)})",
            (name,),
        )
        for share, p, name in sorted(found, reverse=True)
    ]


def _explained(y: np.ndarray, cell: pd.Series, column: pd.Series) -> tuple[float, float]:
    """Return the share of the sum of squares about cells' means that the values of a column explain, and the p-value.

    A numeric column of many values counts by its ranks, as one line.
    """
    within = y - pd.Series(y).groupby(cell.to_numpy()).transform("mean").to_numpy()
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > len(column) / 4:
        design = column.astype(float).rank().to_numpy()[:, None]
    else:
        design = pd.get_dummies(column.map(repr)).to_numpy(float)
    design = design - pd.DataFrame(design).groupby(cell.to_numpy()).transform("mean").to_numpy()
    basis, values, _ = np.linalg.svd(design, full_matrices=False)
    basis = basis[:, values > 1e-9 * max(1.0, values.max(initial=0.0))]
    more, total = basis.shape[1], float(within @ within)
    left = len(y) - cell.nunique() - more
    if more == 0 or left < 1 or total <= 1e-20 * len(y):
        return 0.0, 1.0
    explained = float(np.sum((basis.T @ within) ** 2))
    return explained / total, f_above(explained / more / max((total - explained) / left, 1e-300), more, left)
