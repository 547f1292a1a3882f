"""Where the optimum of a law lies, roughly: a grid over shape coefficients with a small linear solve at every node.

For given shape coefficients a law is linear in the others (variable projection: Golub and Pereyra 1973). To first order the objectives are
weighted sums of squares of `(y − f)/scale`. So the normal equations of all nodes and of all weightings are one matrix product.
Coefficients may not be negative. With at most three of them the exact answer is the best feasible one among the solutions on all faces
(non-negative least squares by checking the active sets).
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from analysis.laws.law import Law

__all__ = ["basins"]

_MOST_ENTRIES, _LEAST_ROWS, _MOST_ROWS = 400_000, 150, 4000
"""Rows times nodes of the search, within these bounds; a larger table is thinned evenly for it. The polish sees every row."""
_NUMBERS_AT_ONCE = 20_000_000


def basins(
    law: Law, logs: np.ndarray, y: np.ndarray, weights: np.ndarray, *, relative: bool, starts: int, held: np.ndarray | None = None
) -> np.ndarray:
    """Find starts for the polish: for each draw the lowest local minima of the loss on the grid.

    Args:
        law: what is fitted. logs: (k, n), centred. y, weights: (1 or draws, n).
        relative: whether residuals are divided by y. starts: how many basins to return for each draw.
        held: (p,), numbers of pinned coefficients in the order of what is returned, NaN for free ones. None: all are free.

    Returns:
        (draws, starts, p): linear coefficients as they are (never negative), then the shape coefficients. The best first; distinct
        local minima of the grid, repeated when there are fewer.
    """
    m = len(law.linear)
    held = np.full(m + len(law.shapes), np.nan) if held is None else held
    axes = [shape.grid(logs) if np.isnan(at) else np.array([at]) for shape, at in zip(law.shapes, held[m:], strict=True)]
    nodes = np.array(list(product(*axes)))  # (nodes, q)
    most = int(np.clip(_MOST_ENTRIES // len(nodes), _LEAST_ROWS, _MOST_ROWS))
    step = max(1, -(-logs.shape[1] // most))
    logs, y, weights = logs[:, ::step], y[:, ::step], weights[:, ::step]
    scale = 1 / np.exp(np.log(y).mean(0)) if relative else np.ones(y.shape[1])  # one for all draws: their y differ by noise alone
    gram, moment, total = _normal_equations(law, logs, y, weights, scale, nodes)
    linear, loss = _given(held[:m], gram, moment)
    loss = total[:, None] + loss
    draws, chosen = np.arange(len(loss))[:, None], _local_minima(loss, [len(axis) for axis in axes], starts)
    return np.concatenate([linear[draws, chosen], nodes[chosen]], axis=2)


def _normal_equations(
    law: Law, logs: np.ndarray, y: np.ndarray, weights: np.ndarray, scale: np.ndarray, nodes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the normal equations at every node: gram (1 or draws, nodes, m, m), moment (draws, nodes, m), total (draws,).

    total: the weighted sum of squares of scaled y.
    """
    m, n = len(law.linear), logs.shape[1]
    batch = max(1, _NUMBERS_AT_ONCE // (n * m * m))
    pairs = [(i, j) for i in range(m) for j in range(i, m)]
    gram = np.empty((len(weights), len(nodes), m, m))
    target, scaled_y = weights * (y * scale), y * scale
    moment = np.empty((max(len(weights), len(y)), len(nodes), m))
    for start in range(0, len(nodes), batch):
        some = slice(start, start + batch)
        log_terms, _ = law.log_terms(logs, nodes[some])
        basis = [np.exp(np.minimum(log_term, 300.0)) * scale for log_term in log_terms]
        if law.floor:
            basis.insert(0, np.broadcast_to(scale, basis[0].shape))
        for i, j in pairs:
            gram[:, some, i, j] = gram[:, some, j, i] = weights @ (basis[i] * basis[j]).T
        for i in range(m):
            moment[:, some, i] = target @ basis[i].T
    return gram, moment, np.einsum("dn,dn->d", target, np.broadcast_to(scaled_y, target.shape))


def _given(held: np.ndarray, gram: np.ndarray, moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what `_non_negative` does, where the linear coefficients that are not NaN in `held` (m,) are given."""
    free = np.isnan(held)
    if free.all():
        return _non_negative(gram, moment)
    at = held[~free]
    of_given = gram[:, :, :, ~free] @ at  # what the given ones take of each moment, (1 or draws, nodes, m)
    best, loss = _non_negative(gram[:, :, free][:, :, :, free], moment[:, :, free] - of_given[:, :, free])
    linear = np.broadcast_to(held, moment.shape).copy()
    linear[:, :, free] = best
    return linear, loss + of_given[:, :, ~free] @ at - 2 * moment[:, :, ~free] @ at


def _non_negative(gram: np.ndarray, moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the c ≥ 0 that minimises `c'Gc − 2c'm`, (draws, nodes, m), and that minimum: the best of the solutions on every face."""
    m = moment.shape[2]
    best, best_loss = np.zeros_like(moment), np.zeros(moment.shape[:2])
    for size in range(1, m + 1):
        for face in combinations(range(m), size):
            solution = _solve([[gram[:, :, i, j] for j in face] for i in face], [moment[:, :, i] for i in face])
            loss = -sum(c * moment[:, :, i] for c, i in zip(solution, face, strict=True))
            feasible = np.isfinite(loss) & (loss < best_loss)
            for c in solution:
                feasible &= c >= 0
            best_loss = np.where(feasible, loss, best_loss)
            for i in range(m):
                best[:, :, i] = np.where(feasible, solution[face.index(i)] if i in face else 0.0, best[:, :, i])
    return best, best_loss


def _solve(matrix: list[list[np.ndarray]], right: list[np.ndarray]) -> list[np.ndarray]:
    """Solve many small symmetric positive systems at once by Gaussian elimination; a nearly singular one gives NaN."""
    a, b, size = [row[:] for row in matrix], right[:], len(right)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for i in range(size):
            pivot = np.where(a[i][i] > 1e-13 * matrix[i][i], a[i][i], np.nan)  # a face within rounding of singular is no candidate
            for k in range(i + 1, size):
                factor = a[k][i] / pivot
                a[k] = [entry if j <= i else entry - factor * a[i][j] for j, entry in enumerate(a[k])]
                b[k] = b[k] - factor * b[i]
            a[i][i] = pivot
        solution: list[np.ndarray] = [b[0]] * size
        for i in reversed(range(size)):
            rest = sum((a[i][j] * solution[j] for j in range(i + 1, size)), np.zeros(()))
            solution[i] = (b[i] - rest) / a[i][i]
    return solution


def _local_minima(loss: np.ndarray, sizes: list[int], starts: int) -> np.ndarray:
    """Return the nodes that no neighbour along an axis beats, (draws, starts), lowest first; the best node again where there are fewer."""
    if starts == 1:
        return loss.argmin(1)[:, None]
    on_grid = loss.reshape(len(loss), *sizes)
    minimal = np.ones(on_grid.shape, dtype=bool)
    for axis in range(1, on_grid.ndim):
        lower, upper = [slice(None)] * on_grid.ndim, [slice(None)] * on_grid.ndim
        lower[axis], upper[axis] = slice(None, -1), slice(1, None)
        fall = on_grid[tuple(upper)] - on_grid[tuple(lower)]
        minimal[tuple(lower)] &= fall >= 0
        minimal[tuple(upper)] &= fall <= 0
    masked = np.where(minimal.reshape(loss.shape), loss, np.inf)
    chosen = np.argpartition(masked, min(starts, masked.shape[1]) - 1, axis=1)[:, :starts]
    chosen = np.take_along_axis(chosen, np.take_along_axis(masked, chosen, 1).argsort(1), 1)
    unusable = np.isinf(np.take_along_axis(masked, chosen, 1))
    return np.where(unusable, loss.argmin(1)[:, None], chosen)
