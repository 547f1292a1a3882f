"""A law as least squares sees it at its optimum: residuals, derivatives, and covariances of theta that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.estimate import Sample
from analysis.fitting.objective import Objective
from analysis.laws.law import Law

__all__ = ["Linearised", "linearise"]


@dataclass(frozen=True, eq=False)
class Linearised:
    """jacobian: (n, p), −dr/dtheta for the residuals r (n,) of the objective. weights: (n,), of the runs times ρ″ of the objective.
    scores: (n, p), what each run adds to the gradient. kept: which entries of theta can vary; the others are not in the law (a term
    that vanished, with its shape)."""

    residual: np.ndarray
    jacobian: np.ndarray
    weights: np.ndarray
    scores: np.ndarray
    cell: np.ndarray
    kept: np.ndarray

    def plain_covariance(self, variance: float) -> np.ndarray:
        """(p, p), for independent residuals of one variance."""
        return self._whole(variance * _inverse(self._gram().sum(0)))

    def jackknife_covariance(self) -> np.ndarray:
        """(p, p), `(G−1)/G · Σ_g δ_g δ_gᵀ` where δ_g is the step that leaving cell g out takes theta (CR3): to first order for a law
        that is not linear, exactly for one that is."""
        gram, score, cells = self._gram(), self._score(), int(self.cell.max()) + 1
        steps = np.stack([_inverse(rest) @ s for rest, s in zip(gram.sum(0) - gram, score, strict=True)])
        return self._whole((cells - 1) / cells * steps.T @ steps)

    def _gram(self) -> np.ndarray:
        j = self.jacobian[:, self.kept]
        out = np.zeros((int(self.cell.max()) + 1, j.shape[1], j.shape[1]))
        np.add.at(out, self.cell, (self.weights[:, None] * j)[:, :, None] * j[:, None, :])
        return out

    def _score(self) -> np.ndarray:
        out = np.zeros((int(self.cell.max()) + 1, int(self.kept.sum())))
        np.add.at(out, self.cell, self.scores[:, self.kept])
        return out

    def _whole(self, covariance: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(self.kept), len(self.kept)))
        whole[np.ix_(self.kept, self.kept)] = covariance
        return whole


def linearise(law: Law, sample: Sample, theta: np.ndarray, objective: Objective) -> Linearised:
    """At theta (p,)."""
    log_curve = law.log_curve(sample.inputs, theta[None])[0]
    f = np.exp(log_curve)
    r, sensitivity = objective.residual(f, sample.y)
    psi, curvature, _ = objective.influence(r)
    jacobian = law.log_curve_jacobian(sample.inputs, theta) * (f * sensitivity)[:, None]
    gone = {term.coefficient for term in law.terms if np.isneginf(theta[law.coefficients.index(term.coefficient)])}
    shapes_gone = {name for term in law.terms if term.coefficient in gone for name in term.exponents}
    kept = np.array([name not in gone | shapes_gone for name in law.coefficients])
    scores = jacobian * (sample.weights * psi)[:, None]
    return Linearised(r, jacobian, sample.weights * curvature, scores, sample.cell, kept)


def _inverse(gram: np.ndarray) -> np.ndarray:
    """Of a symmetric matrix, scaled to a unit diagonal first; directions that it does not determine are left out."""
    scale = 1 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
    return np.linalg.pinv(gram * scale[:, None] * scale, rcond=1e-13, hermitian=True) * scale[:, None] * scale
