"""A law as least squares sees it at its optimum: what each cell of runs moves, and the covariances of theta that follow.

Everything is in units of log metric. An objective that is not of log residuals is there one with other weights. To first order,
residuals r with s = −dr/df are `f·s·(log y − log f)`, so runs count by `(f·s)²`. Where such residuals have one variance, those of
log y have one in proportion to `1/(f·s)²`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.fitting.estimate import Sample
from analysis.fitting.objective import Objective
from analysis.laws.law import Law

__all__ = ["Tangent", "tangent_at"]


@dataclass(frozen=True, eq=False)
class Tangent:
    """Holds the derivatives of a law at its optimum, and the residuals, weights and noise of the runs there.

    jacobian: (n, p), of the log curve by theta; columns that cannot vary are zero. residual: (n,), log y − log f.
    weights: (n,), by which runs count. noise: (n,), standard deviation of a residual relative to others, `1/(f·s)`.
    cell: (n,). kept: (p,), which entries of theta vary: not those of a term that vanished, nor a shape at the bound of its search,
        nor what is pinned.
    centring: (p, p), theta = centring @ (theta for centred log inputs): matrices are inverted there, where they are well conditioned.
    """

    jacobian: np.ndarray
    residual: np.ndarray
    weights: np.ndarray
    noise: np.ndarray
    cell: np.ndarray
    kept: np.ndarray
    centring: np.ndarray

    @property
    def cells(self) -> int:
        return int(self.cell.max()) + 1

    @property
    def coefficients(self) -> int:
        return int(self.kept.sum())

    @property
    def degrees_of_freedom(self) -> int:
        """Return how many more cells than coefficients there are, at least 1."""
        return max(1, self.cells - self.coefficients)

    @property
    def seeds(self) -> np.ndarray:
        """Count the runs of each cell, (G,)."""
        return np.bincount(self.cell, minlength=self.cells)

    def mean_of_cells(self, values: np.ndarray) -> np.ndarray:
        """Average values of runs (n, …) over each cell, (G, …)."""
        total = np.zeros((self.cells, *values.shape[1:]))
        np.add.at(total, self.cell, values)
        return total / self.seeds.reshape(-1, *[1] * (values.ndim - 1))

    @property
    def gram(self) -> np.ndarray:
        """Return `Σ weights·jacobian·jacobianᵀ`, (p, p)."""
        return (self.jacobian * self.weights[:, None]).T @ self.jacobian

    @cached_property
    def bread(self) -> np.ndarray:
        """Return the inverse of `gram`, (p, p)."""
        centred = self.jacobian @ self.centring
        return self.centring @ _inverse((centred * self.weights[:, None]).T @ centred) @ self.centring.T

    @property
    def scores_of_cells(self) -> np.ndarray:
        """Return what each cell adds to the gradient, (G, p)."""
        return self.seeds[:, None] * self.mean_of_cells(self.jacobian * (self.weights * self.residual)[:, None])

    @cached_property
    def response(self) -> np.ndarray:
        """Return how theta moves when all log y of a cell do, (p, G)."""
        return self.bread @ (self.seeds[:, None] * self.mean_of_cells(self.jacobian * self.weights[:, None])).T

    @cached_property
    def seed_variance(self) -> float:
        """Return the variance of a run about the mean of its cell, in units of `noise`²; NaN when no cell has two runs."""
        within = (self.residual - self.mean_of_cells(self.residual)[self.cell]) / self.noise
        left = len(self.cell) - self.cells
        return float(within @ within / left) if left else float("nan")

    @cached_property
    def cell_variance(self) -> float:
        """Return the variance of a cell's mean about the law times its runs, in units of `noise`².

        It is that of seeds if they explain all of it.
        """
        scale = np.sqrt(self.seeds) / self.mean_of_cells(self.noise)
        residual = self.mean_of_cells(self.residual) * scale
        # The fit has absorbed some: E[Σ residual²] = variance·tr((I − P)(I − P)ᵀ) for P = the fitted value of each scaled residual.
        left = scale[:, None] * self.mean_of_cells(self.jacobian)
        right = self.response.T / scale[:, None]
        trace = self.cells - 2 * np.sum(left * right) + np.trace((left.T @ left) @ (right.T @ right))
        return float(residual @ residual / max(trace, 1e-9))

    def plain_covariance(self) -> np.ndarray:
        """Return the covariance of theta, (p, p), if cells differ by noise of one variance divided by their runs.

        That variance is in units of `noise`².
        """
        variance = self.cell_variance * self.mean_of_cells(self.noise) ** 2 / self.seeds
        return (self.response * variance) @ self.response.T

    def jackknife_covariance(self) -> np.ndarray:
        """Return the covariance of theta by leaving cells out (CR3), (p, p), right for any noise that is independent between cells.

        It is `(G−1)/G · Σ_g δ_g δ_gᵀ` where δ_g is the step that theta takes when cell g is left out. That is exact for a law that is
        linear, and holds to first order for one that is not.
        """
        kept = np.flatnonzero(self.kept)
        centring = self.centring[np.ix_(kept, kept)]
        j = self.jacobian[:, kept] @ centring
        gram = self.seeds[:, None, None] * self.mean_of_cells((self.weights[:, None] * j)[:, :, None] * j[:, None, :])
        total = gram.sum(0)
        steps = np.einsum("gij,gj->gi", _inverse(total - gram, like=total), self.scores_of_cells[:, kept] @ centring) @ centring.T
        whole = np.zeros((len(self.kept), len(self.kept)))
        whole[np.ix_(kept, kept)] = (self.cells - 1) / self.cells * steps.T @ steps
        return whole


def tangent_at(law: Law, sample: Sample, theta: np.ndarray, objective: Objective, at_bound: np.ndarray) -> Tangent:
    """Compute the tangent of a law at theta (p,), of which `at_bound` (p,) are at the bound of their search."""
    log_curve = law.log_curve(sample.inputs, theta[None])[0]
    f = np.exp(log_curve)
    r, _ = objective.residual(f, sample.y)
    _, at_curve = objective.residual(f, f)  # s where y is f: noise must not depend on the draw of y itself
    _, _, robust = objective.influence(r)
    gone = {term.coefficient for term in law.terms if np.isneginf(theta[law.coefficients.index(term.coefficient)])}
    gone |= law.hidden_without(gone)
    kept = np.array([name not in gone for name in law.coefficients]) & ~at_bound & ~law.is_pinned
    jacobian = np.where(kept, law.log_curve_jacobian(sample.inputs, theta), 0.0)
    return Tangent(
        jacobian=jacobian,
        residual=np.log(sample.y) - log_curve,
        weights=sample.weights * robust * (f * at_curve) ** 2,
        noise=1 / (f * at_curve),
        cell=sample.cluster,
        kept=kept,
        centring=np.where(np.outer(kept, kept), law.uncentring(law.centre(np.log(sample.inputs)))[0], np.eye(len(kept))),
    )


def _inverse(gram: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Invert symmetric matrices (…, p, p), scaled to a unit diagonal (that of `like`); directions that they do not determine stay put."""
    scale = 1 / np.sqrt(np.maximum(np.diag(gram if like is None else like), 1e-300))
    scale = np.where(scale > 1e100, 0.0, scale)  # a column of zeros
    both = scale[:, None] * scale
    return np.linalg.pinv(gram * both, rcond=1e-12, hermitian=True) * both
