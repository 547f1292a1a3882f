"""The covariance of least squares when the runs of a cluster err together, and the degrees of freedom that it leaves a contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

__all__ = ["ClusterCovariance", "cluster_covariance"]

_SINGULAR = 1e-8


@dataclass(frozen=True, eq=False)
class ClusterCovariance:
    """Holds the `covariance` (k, k) of the coefficients when the runs of a cluster err together.

    `bread` (k, k), `influence` (clusters, k, k) and `spread` (clusters, k, k) are what `degrees_of_freedom` is computed from.
    """

    covariance: np.ndarray
    bread: np.ndarray
    influence: np.ndarray
    spread: np.ndarray

    def degrees_of_freedom(self, contrast: np.ndarray) -> float:
        """Return the degrees of freedom of the t quantile for `contrast · coefficients`; contrast (k,).

        They are Satterthwaite's, as if the errors were independent (Bell and McCaffrey 2002).
        """
        w = self.bread @ contrast
        shares = self.influence @ w
        # trace(M)² / |M|² of M = diag(own) - shares · bread · sharesᵀ (clusters, clusters), which is never made: of 2,000 it takes 20 ms
        own, product = (self.spread @ w) @ w, self.bread @ (shares.T @ shares)
        given = np.sum((shares @ self.bread) * shares, axis=1)
        return float((own - given).sum() ** 2 / (own @ own - 2 * own @ given + np.sum(product * product.T)))


def cluster_covariance(design: np.ndarray, residual: np.ndarray, cluster: np.ndarray) -> ClusterCovariance | None:
    """Compute CR2 of Bell and McCaffrey 2002, which is unbiased where the errors are independent after all.

    With the means of clusters absorbed it is that of Pustejovsky and Tipton 2018.

    Args:
        design: (n, k), with the mean of each cluster taken out, so that every cluster has a constant of its own.
        residual: (n,) of least squares on it.
        cluster: (n,): number of the cluster, 0 ….

    Returns None when one cluster alone fixes a coefficient: then nothing tells how far it errs.
    """
    bread = linalg.pinvh(design.T @ design)
    size, k = int(cluster.max()) + 1, design.shape[1]
    influence, spread = np.empty((size, k, k)), np.empty((size, k, k))
    meat = np.zeros((k, k))
    for number in range(size):
        rows = design[cluster == number]
        values, vectors = np.linalg.eigh(np.eye(len(rows)) - rows @ bread @ rows.T)
        if values[0] < _SINGULAR:
            return None
        adjusted = (vectors / np.sqrt(values)) @ vectors.T @ rows
        score = adjusted.T @ residual[cluster == number]
        meat += np.outer(score, score)
        influence[number] = rows.T @ adjusted
        spread[number] = adjusted.T @ (adjusted - adjusted.mean(axis=0))
    return ClusterCovariance(bread @ meat @ bread, bread, influence, spread)
