"""Bootstrap draws of `E + A·x^-a` by one Gauss–Newton step from the point estimate, for tables too large to refit for each."""

from __future__ import annotations

import numpy as np

__all__ = ["CellScores"]


class CellScores:
    """What each cell contributes to the normal equations at the point estimate: everything a draw needs of the runs.

    The more cells there are, the closer draws lie to the point estimate and the nearer this comes to refitting each (Kline and
    Santos 2012, A score based approach to wild bootstrap inference).
    """

    def __init__(self, theta: np.ndarray, log_x: np.ndarray, y: np.ndarray, cell: np.ndarray) -> None:
        """`theta`: (E, log A, a); `log_x`, `y`, `cell`: (n,), `log_x` centred as it is for `theta`."""
        self.theta = theta
        power = np.exp(theta[1] - theta[2] * log_x)
        height = theta[0] + power
        residual = np.log(y / height)
        jacobian = np.stack([1 / height, power / height, -log_x * power / height], axis=1)  # of log height, by E, log A, a
        cells = int(cell.max()) + 1
        self.scores = np.zeros((cells, 3))
        self.gram = np.zeros((cells, 3, 3))
        np.add.at(self.scores, cell, jacobian * residual[:, None])
        np.add.at(self.gram, cell, jacobian[:, :, None] * jacobian[:, None, :])

    def draws(self, weights: np.ndarray) -> np.ndarray:
        """(draws, cells) → (draws, 3). A draw that would step below E = 0 takes its best step on that face."""
        score = weights @ self.scores
        gram = np.einsum("dc,cij->dij", weights, self.gram, optimize=True)
        step = np.linalg.solve(gram, score[:, :, None])[:, :, 0]
        below = self.theta[0] + step[:, 0] < 0
        if below.any():
            step[below, 0] = -self.theta[0]
            rest = score[below, 1:] + gram[below, 1:, 0] * self.theta[0]
            step[below, 1:] = np.linalg.solve(gram[below, 1:, 1:], rest[:, :, None])[:, :, 0]
        return self.theta + step
