"""Lack of fit: how far the truth may lie off the best law of a family, seen from residuals that hang together.

The truth is taken for `law + δ`, with δ a smooth random function of the log inputs (Kennedy and O'Hagan 2001, Bayesian calibration of
computer models). δ is a Gaussian process with a Matérn-3/2 kernel. Its length is one of two fixed parts of the range of the runs. Its
variance is estimated from the residuals of cells by restricted maximum likelihood. A squared-exponential kernel is too smooth: to explain
a little roughness it takes what the law could have absorbed to be large. Its variance then comes out ten times that of the residuals.

Residuals without a trend give a variance of zero, and then nothing changes. With one, intervals of the mean curve widen by what δ may
still be where there are runs, and by more beyond them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.fitting.tangent import Tangent

__all__ = ["Discrepancy", "discrepancy_of"]

LENGTHS = (0.3, 0.6)
"""Lengths of the kernel that are tried, as parts of the range of each log input."""

LEAST_LIKELIHOOD_RATIO = 1.0
"""Twice the log likelihood that a trend must gain over none. In simulated grids of 8–30 cells and a law of the right family, 0 made
intervals cover 96–98 % instead of 95 %, and 2.7 (a test at 5 %) missed trends as large as the noise."""

_LEAST_FREEDOM = 5.0
_INDUCING = 60
_MOST_CELLS = 2000
"""The most cells whose residuals are looked at; more are thinned evenly. So many show as small a trend as matters."""
_RATIOS = np.geomspace(0.03, 3e4, 30)  # variance of δ over that of a cell's mean


@dataclass(frozen=True, eq=False)
class Discrepancy:
    """Holds what the residuals of cells say of δ, by which the truth may lie off the fitted law.

    variance: of δ. residual_variance: what the trend explains of the variance of cells about the law.
    nugget: variance of cells about law and trend, as `Tangent.cell_variance`. degrees_of_freedom: with which `variance` is known.
    centre, range: (k,), of the log inputs. points: (m, k), where the process is pinned down, and root: (m, m), of its kernel there.
    response: (p, m), how theta moves with the process at the cells.
    """

    variance: float
    residual_variance: float
    nugget: float
    degrees_of_freedom: float
    length: float
    centre: np.ndarray
    range: np.ndarray
    points: np.ndarray
    root: np.ndarray
    response: np.ndarray

    def variance_at(self, inputs: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """Return the variance that δ adds to the mean curve, (n,), at inputs (k, n) where the law's jacobian is (n, p).

        It is the variance of `law + δ` about the fitted law.
        """
        if self.variance == 0:
            return np.zeros(inputs.shape[1])
        at = (np.log(inputs).T - self.centre) / self.range
        features = _features(at, self.points, self.root, self.length)
        unexplained = np.maximum(0.0, 1 - np.sum(features**2, axis=1))  # far from all runs the process is free
        return self.variance * (np.sum((features - jacobian @ self.response) ** 2, axis=1) + unexplained)

    def draws_at(self, inputs: np.ndarray, jacobian: np.ndarray, draws: int, seed: int) -> np.ndarray:
        """Draw `law + δ` about the fitted law at inputs (k, n) where the law's jacobian is (n, p), (draws, n).

        Points of a draw hang together as δ does, so that differences between near points are small. Each draw has a variance of its own,
        since δ's is known with few degrees of freedom.
        """
        if self.variance == 0:
            return np.zeros((draws, inputs.shape[1]))
        generator = np.random.default_rng([seed, 3])
        at = (np.log(inputs).T - self.centre) / self.range
        features = _features(at, self.points, self.root, self.length)
        left = _kernel(at, at, self.length) - features @ features.T
        values, vectors = np.linalg.eigh(left)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        pinned = generator.standard_normal((draws, len(self.points))) @ (features - jacobian @ self.response).T
        free = generator.standard_normal((draws, len(at))) @ root.T
        chi = generator.chisquare(self.degrees_of_freedom, draws) / self.degrees_of_freedom
        return np.sqrt(self.variance / chi)[:, None] * (pinned + free)


def discrepancy_of(tangent: Tangent, inputs: np.ndarray) -> Discrepancy:
    """Estimate the discrepancy from the residuals of cells; inputs (k, n) of the runs."""
    some = slice(None, None, max(1, -(-tangent.cells // _MOST_CELLS)))
    logs = tangent.mean_of_cells(np.log(inputs).T)  # (G, k)
    low, high = logs.min(0), logs.max(0)
    span = np.maximum(high - low, 1.0)
    at = ((logs - low) / span)[some]
    cells, share = len(at), tangent.cells / len(at)
    points = at[_spread(at, _INDUCING)]
    scale = (np.sqrt(tangent.seeds) / tangent.mean_of_cells(tangent.noise))[some]
    basis = _orthonormal(scale[:, None] * tangent.mean_of_cells(tangent.jacobian)[some][:, tangent.kept])
    residual = scale * tangent.mean_of_cells(tangent.residual)[some]
    residual = residual - basis @ (basis.T @ residual)
    left = cells - basis.shape[1]
    none = Discrepancy(0.0, 0.0, tangent.cell_variance, 1.0, 1.0, low, span, points, np.eye(len(points)), np.zeros((0, 0)))
    total = float(residual @ residual)
    if left < 3 or total <= 1e-24 * cells:
        return none

    best, found = -0.5 * left * np.log(total / left) + 0.5 * LEAST_LIKELIHOOD_RATIO, none
    for length in LENGTHS:
        root = _root(points, length)
        features = _features(at, points, root, length)
        scaled = scale[:, None] * features
        scaled = scaled - basis @ (basis.T @ scaled)
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        seen = values > 1e-10 * max(values[-1], 1e-300)
        values, vectors = values[seen], vectors[:, seen]
        # A typical cell has the mean scale, so that the ratio is of variances of log metric.
        typical = float(np.mean(scale**2))
        along = (vectors.T @ (scaled.T @ residual)) ** 2 / values
        shrunk = 1 + _RATIOS[:, None] * values / typical
        nugget = ((along / shrunk).sum(1) + max(0.0, total - along.sum())) / left
        likelihood = -0.5 * (left * np.log(nugget) + np.log(shrunk).sum(1))
        at_best = int(likelihood.argmax())
        if likelihood[at_best] > best:
            explained = 1 - 1 / shrunk[at_best]
            variance = float(_RATIOS[at_best] * nugget[at_best] / typical)
            best, found = (
                float(likelihood[at_best]),
                Discrepancy(
                    variance=variance,
                    residual_variance=variance * float(values.sum()) / float(np.sum(scale**2)),
                    nugget=float(nugget[at_best]),
                    degrees_of_freedom=max(_LEAST_FREEDOM, float(np.sum(explained**2))),
                    length=length,
                    centre=low,
                    range=span,
                    points=points,
                    root=root,
                    response=share * tangent.response[:, some] @ features,
                ),
            )
    return found


def _features(at: np.ndarray, points: np.ndarray, root: np.ndarray, length: float) -> np.ndarray:
    """Map points (n, k) to features (n, m) whose inner products are the kernel (Nyström)."""
    return np.linalg.solve(root, _kernel(at, points, length).T).T


def _root(points: np.ndarray, length: float) -> np.ndarray:
    return np.linalg.cholesky(_kernel(points, points, length) + 1e-8 * np.eye(len(points)))


def _kernel(a: np.ndarray, b: np.ndarray, length: float) -> np.ndarray:
    """Return the Matérn-3/2 kernel between the points a (n, k) and b (m, k), (n, m)."""
    square = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * a @ b.T
    r = np.sqrt(3.0 * np.maximum(square, 0.0)) / length
    return (1 + r) * np.exp(-r)


def _orthonormal(design: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(design, axis=0)
    u, size, _ = np.linalg.svd(design / np.where(norm > 0, norm, 1.0), full_matrices=False)
    return u[:, size > 1e-10 * max(size[0], 1e-300)]


def _spread(at: np.ndarray, most: int) -> np.ndarray:
    """Return the indices of at most so many points that lie far from one another: each next is the farthest from those chosen."""
    if len(at) <= most:
        return np.arange(len(at))
    chosen, distance = [0], np.sum((at - at[0]) ** 2, axis=1)
    while len(chosen) < most:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.sum((at - at[chosen[-1]]) ** 2, axis=1))
    return np.array(chosen)
