"""The rule by which a back-test turns into weights of laws. It is fixed: no data set, and no user, changes it.

A law has to forecast *and* to describe. So its score is the root of two mean squares added. One is of its forecasts' errors in log metric,
over every cell that some window held out within the horizon. The other is of its residuals over all runs (with n − p degrees of freedom).

The weight of a law is proportional to score^-6. A law twice as bad as another thus counts for 1/64 of it, laws as good as one another are
averaged, and a clear winner stands alone. What would get less than 5 % gets nothing.

A tie goes to fewer coefficients. Where the further coefficients of a law vanished, its forecasts and residuals are, within 5 % of the
score, those of a law with fewer. It would count that law twice, and is left out.

The one form that is shown with its coefficients is the simplest of those with weight that are as good as the best one. As good means that
its square score is larger by at most one standard error of the difference, over the forecasts of the same cells (the one-standard-error
rule, Breiman et al. 1984, Classification and Regression Trees, sec. 3.4.3, paired). Of forms that forecasts cannot tell apart, the one with
fewer coefficients is read more safely.

Beyond the runs the average of laws stands beside a power law of the recent runs (`analysis.backtest.recent`). In most published curves that
forecasts better, also where the back-test says otherwise: laws are weighed with the forecasts that they are tested by. So the average
counts where its error in the back-test was several times smaller, and as much as the other where it was alike and the residuals of twelve
budgets or more look like noise (von Neumann 1941, Annals of Mathematical Statistics 12): of published curves such laws forecast as well.
It counts less and less from half the runs' own log range beyond them on: no back-test looks that far, and where the laws were off most,
they had been sure.

Why a power and not a softmax with the number of points in it: the errors of overlapping windows hang together, so no likelihood can be
claimed for them. Why not stacking (weights that minimise the squared error of the average): see `docs/laws_figures.md`, where the rules
that were tried stand beside this one.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LEAST_WEIGHT", "POWER", "TIE", "as_good_as", "noise_like", "repeats", "share_of_laws", "weights_of"]

POWER = 6.0
LEAST_WEIGHT = 0.05
TIE = 0.05

_EXACT = 1e-9  # log metric; below, residuals are rounding
_SMALL = 3e-4  # log metric; errors below are alike
_TREND, _INDEPENDENT = 1.5, 2.0  # von Neumann's ratio: below the first residuals hang together; the second is that of noise
_FEW, _ENOUGH = 8, 12  # cells: of fewer residuals the ratio says nothing


def noise_like(residuals: np.ndarray) -> float:
    """Return how far residuals (n,), in order of compute, look like noise, 0 … 1: 0 where they hang together, or are too few to tell.

    It is von Neumann's ratio, the mean square of successive differences over the mean square, between 1.5 and 2, times the number of
    residuals between 8 and 12.
    """
    square = float(np.sum(residuals**2))
    if square <= len(residuals) * _EXACT**2:
        return 1.0
    ratio = float(np.sum(np.diff(residuals) ** 2)) / square
    return float(
        np.clip((ratio - _TREND) / (_INDEPENDENT - _TREND), 0.0, 1.0)
        * np.clip((len(residuals) - _FEW) / (_ENOUGH - _FEW), 0.0, 1.0)
    )


def share_of_laws(
    average: np.ndarray, recent: np.ndarray, held_out: np.ndarray, residuals: np.ndarray, *, sure: float, sure_in_noise: float
) -> float:
    """Return the weight of the laws' average just beyond the runs, beside the forecast of the recent runs.

    It is `1 / (1 + (ratio / sure)^6)`, ratio being that of the root mean square errors, a window a vote; 0 and 1 within `LEAST_WEIGHT`.

    Args:
        average, recent: (windows, n), errors of both in log metric. held_out: as in `Windows`.
        residuals: (n,), of the average over all runs, in order of compute.
        sure, sure_in_noise: the ratio at which both count alike, where the residuals hang together and where they look like noise.
    """
    votes = held_out.any(1)
    squares = [
        np.mean(np.sum(np.where(held_out, each, 0.0) ** 2, axis=1)[votes] / held_out.sum(1)[votes]) for each in (average, recent)
    ]
    ratio = float(np.sqrt((squares[0] + _SMALL**2) / (squares[1] + _SMALL**2)))
    alike_at = sure * (sure_in_noise / sure) ** noise_like(residuals)
    share = 1.0 / (1.0 + (ratio / alike_at) ** POWER)
    return 0.0 if share < LEAST_WEIGHT else 1.0 if share > 1 - LEAST_WEIGHT else share


def weights_of(scores: np.ndarray) -> np.ndarray:
    """Return the weights of laws, (laws,), from their scores, (laws,); the weights sum to one."""
    safe = np.maximum(scores, _EXACT)
    raw = (safe.min() / safe) ** POWER
    raw = np.where(raw >= LEAST_WEIGHT * raw.sum(), raw, 0.0)
    return raw / raw.sum()


def as_good_as(errors: np.ndarray, best: np.ndarray, residual_excess: float, independent: float) -> bool:
    """Say whether a law's forecasts are not worse than the best one's beyond chance.

    Args:
        errors, best: (m,), of both laws' forecasts of the same cells, in log metric.
        residual_excess: by how much its mean square residual is larger.
        independent: how many of the forecasts count as independent.
    """
    apart = errors**2 - best**2
    return bool(np.mean(apart) + residual_excess <= np.std(apart, ddof=1) / np.sqrt(independent) + _EXACT**2)


def repeats(errors: np.ndarray, scores: np.ndarray) -> list[int | None]:
    """Find for each law the earlier one that it repeats, or None.

    errors: (laws, m), of forecasts and residuals; laws in order of coefficients. scores: (laws,).
    """
    found: list[int | None] = []
    for place, mine in enumerate(errors):
        near = (
            earlier
            for earlier in range(place)
            if found[earlier] is None
            and np.sqrt(np.mean((mine - errors[earlier]) ** 2)) <= TIE * max(scores[earlier], scores[place], _EXACT)
        )
        found.append(next(near, None))
    return found
