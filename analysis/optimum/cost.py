"""What an example costs in a model of each size: a smooth, noisy relation, read off the runs.

`log C = c(log N) + q·log D + noise`, with c a polynomial of degree 1, 2 or 3 and q = 1 unless the runs show otherwise. `C = 6·N·D` is the
case of degree 1. Measured core-hours scatter by some per cent, and convolutional models do not cost in proportion to their parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

__all__ = ["Cost", "exact_cost", "fit_cost"]

_DEGREES = (1, 2, 3)
_BEND_FROM = 5  # sizes: from so many on a bend is always fitted, since noise may hide one that moves the optimum
_MUST_FALL_TO = 0.75  # a richer relation counts where it lowers the error at left-out sizes by a quarter
_EXACT = 1e-6  # of log compute: smaller errors are rounding
_FOLDS = 24
_POWERS = (0.5, 2.0)  # of data in compute: beyond, the table holds something else than what runs cost


@dataclass(frozen=True, eq=False)
class Cost:
    """Holds the relation of compute to size and data, with its error.

    theta: (p,): the polynomial in (log N − centre), then q − 1 where it is `free`. covariance: (p, p), of theta. Beyond `ends`, the log
    sizes of the smallest and largest model, the polynomial goes on as its tangent.
    sizes: (K,), ascending, the models.
    own: (K,), by how much each lies off the polynomial as far as its runs tell that from noise.
    kept: (K,), the share of its runs' mean deviation that this is. own_std: (K,), the standard error of `own`.
    scatter: standard deviation of one log compute about the relation. degrees_of_freedom: of the covariance.
    """

    theta: np.ndarray
    covariance: np.ndarray
    centre: float
    degree: int
    free: bool
    ends: tuple[float, float]
    sizes: np.ndarray
    own: np.ndarray
    kept: np.ndarray
    own_std: np.ndarray
    data_centre: float
    scatter: float
    degrees_of_freedom: float

    def log_cost(self, log_size: np.ndarray) -> np.ndarray:
        """Return log compute of one epoch or example (of exp(data_centre), where q is free) at each size (m,)."""
        return np.asarray(self._powers(np.asarray(log_size, dtype=float)) @ self.theta[: self.degree + 1])

    def power(self, theta: np.ndarray | None = None) -> np.ndarray:
        """Return q, the power of the data in compute; (draws, 1) for draws of theta."""
        theta = self.theta if theta is None else theta
        return 1.0 + theta[..., self.degree + 1 :] if self.free else np.ones((*theta.shape[:-1], 1))

    def log_data(self, log_x: np.ndarray | float, log_size: np.ndarray, theta: np.ndarray | None = None) -> np.ndarray:
        """Return log epochs, or examples, that compute buys at a size.

        log_x: (k,) or a number. log_size: (k,), or with theta (draws, p) also (draws, k).
        """
        log_size = np.asarray(log_size, dtype=float)
        powers = self._powers(log_size.ravel()).reshape(*log_size.shape, -1)
        theta = self.theta if theta is None else theta
        cost = np.einsum("...kp,...p->...k", powers, theta[..., : self.degree + 1])
        return np.asarray(self.data_centre + (log_x - cost - self.data_centre) / self.power(theta))

    def log_x(self, log_size: np.ndarray, log_data: np.ndarray) -> np.ndarray:
        """Return log compute of a run of a size and data, as the smooth relation has it."""
        return self.log_cost(log_size) + self.data_centre + float(self.power()[0]) * (log_data - self.data_centre)

    def draws(self, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw theta from its distribution, (draws, p), and the error of the log compute of every model, (draws, K)."""
        generator = np.random.default_rng([seed, 2])
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T  # symmetric: it hangs on no sign of an eigenvector
        spread = _t_over_normal(self.degrees_of_freedom)
        moved = spread * generator.standard_normal((draws, len(self.theta))) @ root
        smooth = moved[:, : self.degree + 1] @ self._powers(self.sizes).T
        apart = spread * self.own_std * generator.standard_normal((draws, len(self.sizes)))
        return self.theta + moved, (1 - self.kept) * smooth + apart

    def _powers(self, log_size: np.ndarray) -> np.ndarray:
        low, high = self.ends
        inside = np.clip(log_size, low, high)
        v, beyond = inside - self.centre, log_size - inside
        value = np.stack([v**power for power in range(self.degree + 1)], axis=-1)
        slope = np.stack([power * v ** max(power - 1, 0) for power in range(self.degree + 1)], axis=-1)
        with np.errstate(invalid="ignore"):
            return value + np.where(slope == 0, 0.0, slope * beyond[:, None])  # beyond may be infinite


def fit_cost(log_x: np.ndarray, log_size: np.ndarray, log_data: np.ndarray, group: np.ndarray) -> Cost:
    """Fit the relation by least squares, its form chosen by a fixed rule.

    The rule: leave out the runs of one size at a time (of one in 24 where there are more) and predict their compute. The straight line
    with q = 1 stands unless another form lowers the mean square of these errors by a quarter; the fewest coefficients are tried first.
    From five sizes on a straight line is a parabola all the same: noise may hide a bend that moves the optimum.

    The error of theta has two parts, where models repeat: runs scatter about their model, and models about the polynomial. A model's
    `own` deviation is its best linear prediction from both (Henderson 1975). Where every size was run once, all is noise.

    Args:
        log_x, log_size, log_data: (n,). group: (n,), which size a run counts to, 0 … K − 1, ascending.
    """
    count = np.bincount(group)
    K = len(count)
    means = np.bincount(group, log_size) / count
    centre, data_centre = float(means.mean()), float(log_data.mean())
    v, w = log_size - centre, log_data - data_centre
    y = log_x - log_data

    def design(degree: int, free: bool) -> np.ndarray:
        return np.stack([*(v**power for power in range(degree + 1)), *([w] if free else [])], axis=-1)

    if K < 3:
        degree, free = K - 1, False
        theta = np.linalg.lstsq(design(degree, free), y, rcond=None)[0]
        if K == 1:  # no second size to tell by: as 6·N·D has it
            degree, theta = 1, np.array([theta[0], 1.0])
    else:
        forms = sorted(((d, f) for d in _DEGREES for f in (False, True) if d + f <= K - 2), key=lambda form: (sum(form), form[1]))
        degree, free = forms[0]
        least = _left_out_error(design(degree, free), y, group, count)
        for form in forms[1:]:
            error = _left_out_error(design(*form), y, group, count)
            if error < _MUST_FALL_TO * least and (not form[1] or _is_cost(design(*form), y)):
                (degree, free), least = form, error
        if K >= _BEND_FROM:
            degree = max(degree, 2)
        theta = np.linalg.lstsq(design(degree, free), y, rcond=None)[0]
    X = design(degree, free)
    residual = y - X @ theta
    p, n = X.shape[1] if K > 1 else 1, len(y)
    within, between = _components(residual, group, count, p)
    inverse = np.linalg.pinv(X.T @ X)
    sums = np.stack([np.bincount(group, column) for column in X.T], axis=-1)
    covariance = inverse @ (within * X.T @ X + between * sums.T @ sums) @ inverse
    total = count.mean() * between + within
    share = count.mean() * between / total if total > 0 else 0.0
    freedom = 1 / (share**2 / max(K - p, 1) + (1 - share) ** 2 / max(n - (K if between > 0 else p), 1))
    kept = count * between / np.maximum(count * between + within, 1e-300)
    return Cost(
        theta=theta,
        covariance=covariance,
        centre=centre,
        degree=degree,
        free=free,
        ends=(float(means[0]), float(means[-1])),
        sizes=means,
        own=kept * np.bincount(group, residual) / count,
        kept=kept,
        own_std=np.sqrt(kept * within / count),
        data_centre=data_centre if free else 0.0,
        scatter=float(np.sqrt(within + between)),
        degrees_of_freedom=freedom,
    )


def exact_cost(log_x: np.ndarray, log_data: np.ndarray, sizes: np.ndarray, group: np.ndarray) -> Cost:
    """Return the relation where the size *is* the compute of an epoch: `C = size · epochs`.

    The sizes are then as sure as the runs behind them.
    """
    count = np.bincount(group)
    residual = log_x - log_data - sizes[group]
    within = float(residual @ residual) / max(len(residual) - len(count), 1)
    return Cost(
        theta=np.array([0.0, 1.0]),
        covariance=np.zeros((2, 2)),
        centre=0.0,
        degree=1,
        free=False,
        ends=(float(sizes[0]), float(sizes[-1])),
        sizes=sizes,
        own=np.zeros(len(sizes)),
        kept=np.ones(len(sizes)),
        own_std=np.sqrt(within / count),
        data_centre=0.0,
        scatter=float(np.sqrt(within)),
        degrees_of_freedom=max(len(residual) - len(count), 1),
    )


def _is_cost(X: np.ndarray, y: np.ndarray) -> bool:
    """Say whether compute grows with the data, with a power that is still near 1."""
    return _POWERS[0] <= 1 + np.linalg.lstsq(X, y, rcond=None)[0][-1] <= _POWERS[1]


def _left_out_error(X: np.ndarray, y: np.ndarray, group: np.ndarray, count: np.ndarray) -> float:
    """Return the mean over sizes of the mean square error of what is predicted for a size from the others."""
    fold = group % min(len(count), _FOLDS)
    squares = np.empty(len(y))
    for number in range(fold.max() + 1):
        out = fold == number
        theta = np.linalg.lstsq(X[~out], y[~out], rcond=None)[0]
        squares[out] = (y[out] - X[out] @ theta) ** 2
    return float(np.mean(np.bincount(group, squares) / count)) + _EXACT**2


def _components(residual: np.ndarray, group: np.ndarray, count: np.ndarray, coefficients: int) -> tuple[float, float]:
    """Estimate the variance of runs about their model, and of models about the polynomial, by the method of moments."""
    K, n = len(count), len(residual)
    means = np.bincount(group, residual) / count
    if n - K < 3:
        return float(residual @ residual) / max(n - coefficients, 1), 0.0
    within = float(np.sum((residual - means[group]) ** 2)) / (n - K)
    if coefficients >= K:
        return within, 0.0
    of_means = float(np.sum(count * means**2)) / (K - coefficients)
    return within, max(0.0, (of_means - within) / float(count.mean()))


def _t_over_normal(degrees_of_freedom: float) -> float:
    """Return the factor by which a 95 % t quantile exceeds the normal one."""
    return float(special.stdtrit(max(1.0, degrees_of_freedom), 0.975) / special.ndtri(0.975))
