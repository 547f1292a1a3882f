"""Power law by least squares on log–log axes, with intervals that know that seeds of one cell are not independent cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.estimate import Estimate, Precision, Sample, exponent_status

__all__ = ["LogLinearEstimate", "cell_jackknife_covariance", "log_least_squares"]


@dataclass(frozen=True, eq=False)
class LogLinearEstimate(Estimate):
    """A straight line `log y = intercept − a·(log x − centre)` with its 2 × 2 covariance of (intercept, a)."""

    centre: float
    line: np.ndarray
    covariance: np.ndarray
    t: float

    def log_band(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        design = _design(x, self.centre)
        mean = design @ self.line
        half = self.t * np.sqrt(np.maximum(0.0, np.einsum("ij,jk,ik->i", design, self.covariance, design)))
        return mean - half, mean + half


def log_least_squares(sample: Sample, precision: Precision) -> LogLinearEstimate:
    """Least squares of `log y = log A − a·log x` by statsmodels.

    Intervals are of one of two kinds:

    - each cell has one run: the plain t intervals of least squares, n − 2 degrees of freedom;
    - seeds repeat a cell: cluster-robust over cells, since what makes a cell lie off the line is shared by its seeds and more seeds
      are not more evidence about the slope. The covariance is the jackknife over cells (CR3), with t quantiles of G − 1
      degrees of freedom for G cells (Cameron and Miller 2015, A practitioner's guide to cluster-robust inference, VI.B).

    The usual sandwich (CR1) is not used: with the 4–20 cells that studies have, its nominal 95 % intervals covered the
    truth in 75–92 % of simulations, the jackknife's in 92–96 %.
    """
    # Here and not above: statsmodels takes a second to import, and the names of the laws are asked for without fitting any.
    from statsmodels.regression.linear_model import OLS

    log_y = np.log(sample.y)
    centre = float(np.log(sample.x).mean())
    design = _design(sample.x, centre)
    result = OLS(log_y, design).fit()
    line = np.asarray(result.params)
    if sample.seeds_repeat_a_cell:
        covariance = cell_jackknife_covariance(design, log_y, sample.cell)
        degrees_of_freedom = sample.cells - 1
    else:
        covariance = np.asarray(result.cov_params())
        degrees_of_freedom = len(log_y) - 2
    t = precision.t(degrees_of_freedom)

    to_origin = np.array([1.0, centre])  # log A = intercept + a·centre
    log_A, a = float(to_origin @ line), float(line[1])
    half_log_A, half_a = t * float(np.sqrt(to_origin @ covariance @ to_origin)), t * float(np.sqrt(covariance[1, 1]))
    with np.errstate(over="ignore"):  # an infinite end of an interval is an answer
        low = {"A": float(np.exp(log_A - half_log_A)), "a": a - half_a}
        high = {"A": float(np.exp(log_A + half_log_A)), "a": a + half_a}
    return LogLinearEstimate(
        values={"A": float(np.exp(log_A)), "a": a},
        low=low,
        high=high,
        status=exponent_status(low["a"], high["a"]),
        degrees_of_freedom=degrees_of_freedom,
        centre=centre,
        line=line,
        covariance=covariance,
        t=t,
    )


def cell_jackknife_covariance(design: np.ndarray, y: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """`(G−1)/G · Σ_g (β₍g₎ − β)(β₍g₎ − β)ᵀ`, where β₍g₎ leaves cell g out.

    Args: design (n, p); y (n,); cell (n,), numbers 0 … G − 1. Returns (p, p).
    """
    cells = int(cell.max()) + 1
    gram = np.zeros((cells, design.shape[1], design.shape[1]))
    moment = np.zeros((cells, design.shape[1]))
    np.add.at(gram, cell, design[:, :, None] * design[:, None, :])
    np.add.at(moment, cell, design * y[:, None])
    whole = np.linalg.solve(gram.sum(0), moment.sum(0))
    without = np.linalg.solve(gram.sum(0) - gram, (moment.sum(0) - moment)[:, :, None])[:, :, 0]
    return (cells - 1) / cells * (without - whole).T @ (without - whole)


def _design(x: np.ndarray, centre: float) -> np.ndarray:
    # Centred, the two columns are orthogonal: log x of 1e18 FLOPs would otherwise be nearly collinear with the constant.
    return np.column_stack([np.ones(len(x)), centre - np.log(x)])
