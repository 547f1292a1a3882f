"""`fit_recent`: the forecast of a curve beyond its runs, by a power law with a floor that the recent runs hold to.

A law that is fitted to all runs alike bends to the small ones, which say least about what comes. So a run counts by
`exp(−(log x_max − log x) / (recency · range))`. The few runs that are left do not determine three coefficients. So the exponent a is not
fitted but averaged over. For each of 40 exponents from 0.02 to 5 the floor E and the height A follow by non-negative least squares of
relative residuals (variable projection: Golub and Pereyra 1973). The log curve is the mean of all 40, with weights

    prior(a) · (S + noise²)^(−tempering · n/2)

S is the weighted mean square residual in log metric, n the effective number of runs (Kish), and the prior is log-normal: a tempered
posterior (Grünwald and van Ommen 2017, Bayesian inference for misspecified linear models), as the residuals of such fits hang together.

The interval is of a t distribution with 4 degrees of freedom. Its variance is the sum of three parts, each with a learnt factor:
the square residual, the variance among the 40 curves, and (slope · distance)², where slope is what such forecasts were off by in the
back-test, per unit of log x. All learnt numbers are in `learnt.json`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.backtest.learnt import LEARNT, Learnt, Scale
from analysis.backtest.windows import Cells
from analysis.fitting.objective import Objective

__all__ = ["FREEDOM", "LEAST_CELLS", "NAME", "Recent", "fit_recent", "slope_of"]

NAME = "power-floor (recent)"
"""How it is called among the members of a forecast."""

LEAST_CELLS = 4
"""A window of fewer says nothing about a curve of three coefficients."""

_EXPONENTS = np.geomspace(0.02, 5.0, 40)
FREEDOM = 4.0
"""Degrees of freedom of its interval."""

_LEAST_AHEAD = 0.1  # of log x; forecasts of nearer runs are of their scatter
_REWEIGHTINGS = 5  # of a robust objective
_SINGULAR = 1e-12


@dataclass(frozen=True, eq=False)
class Recent:
    """Holds the forecasts of some windows of one curve.

    edge: (windows,), log x of the largest run of each. range: (windows,), of its log x. at: log x at which heights are those of a term.
    floor, height: (windows, 40), in units of exp(level). weight: (windows, 40), of each exponent. level: mean log metric.
    residual_std: (windows,), in log metric. effective: (windows,), how many runs count.
    """

    edge: np.ndarray
    range: np.ndarray
    at: float
    level: float
    floor: np.ndarray
    height: np.ndarray
    weight: np.ndarray
    residual_std: np.ndarray
    effective: np.ndarray

    def of(self, some: slice) -> Recent:
        """Return those of some windows."""
        ends, curves = (self.edge[some], self.range[some]), (self.floor[some], self.height[some], self.weight[some])
        return Recent(*ends, self.at, self.level, *curves, self.residual_std[some], self.effective[some])

    def log_mean(self, log_x: np.ndarray) -> np.ndarray:
        """Return the log curve of each window at log x (n,), (windows, n)."""
        return self._moments(log_x)[0]

    def variance(self, log_x: np.ndarray, slope: float | None, learnt: Learnt = LEARNT, *, of_mean: bool = False) -> np.ndarray:
        """Return the squared scale of the forecast's t distribution, (windows, n), in squared log metric.

        slope: of the back-test; None where there was none. of_mean: of the mean curve, else of one more run.
        """
        scale: Scale = learnt.untested if slope is None else learnt.tested
        residual = self.residual_std[:, None] ** 2 / (self.effective[:, None] if of_mean else 1.0)
        ahead = np.maximum(0.0, log_x - self.edge[:, None])
        parts = scale.residual * residual + scale.spread * self._moments(log_x)[1] + scale.slope * ((slope or 0.0) * ahead) ** 2
        return learnt.widening**2 * parts

    def curves(self, log_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the log curve of each exponent in the first window at log x (n,), (40, n), and their weights, (40,)."""
        return self._curves(log_x)[0], self.weight[0]

    def _curves(self, log_x: np.ndarray) -> np.ndarray:
        terms = np.exp(np.clip(-_EXPONENTS[:, None] * (log_x - self.at), -300.0, 300.0))
        return self.level + np.log(self.floor[:, :, None] + self.height[:, :, None] * terms)

    def _moments(self, log_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and variance of the log curves, (windows, n) each."""
        curves = self._curves(log_x)
        mean = np.einsum("wk,wkn->wn", self.weight, curves)
        return mean, np.einsum("wk,wkn->wn", self.weight, (curves - mean[:, None]) ** 2)


def fit_recent(
    cells: Cells, inside: np.ndarray, objective: Objective, learnt: Learnt = LEARNT, logs: np.ndarray | None = None
) -> Recent:
    """Fit the forecast to each of several windows.

    Args:
        cells: of one input. inside: (windows, n), which cells each window is fitted to: two distinct inputs at least.
        objective: of a robust one, runs far off count less.
        logs: (windows, n), log metric of the cells as each window sees them; None: that of the cells.
    """
    seen = np.log(cells.y)[None] if logs is None else logs
    log_x, level = cells.order, float(seen.mean())
    log_y = seen - level
    edge = np.where(inside, log_x, -np.inf).max(1)
    span = edge - np.where(inside, log_x, np.inf).min(1)
    age = (edge[:, None] - log_x) / (learnt.recency * span[:, None])
    recency = np.where(inside, cells.weights * np.exp(-np.maximum(age, 0.0)), 0.0)
    at = float(log_x.max())
    terms = np.exp(np.clip(-_EXPONENTS[:, None] * (log_x - at), -300.0, 300.0))  # (40, n)

    weights = recency
    for _ in range(1 if objective.is_least_squares else _REWEIGHTINGS):
        share = weights / weights.sum(1, keepdims=True)
        effective = 1.0 / np.sum(share**2, axis=1)
        floor, height = _least_squares(terms, log_y, share)
        residual = np.log(floor[:, :, None] + height[:, :, None] * terms) - log_y[:, None]
        square = np.einsum("wn,wkn->wk", share, residual**2)
        doubt = np.log(_EXPONENTS / learnt.exponent) / learnt.exponent_spread
        log_weight = -0.5 * (learnt.tempering * effective[:, None] * np.log(square + learnt.noise**2) + doubt**2)
        weight = np.exp(log_weight - log_weight.max(1, keepdims=True))
        weight /= weight.sum(1, keepdims=True)
        off = np.einsum("wk,wkn->wn", weight, residual)
        if not objective.is_least_squares:
            weights = recency * objective.influence(-off)[2]
    scatter = np.sum(share * off**2, axis=1) * effective / np.maximum(effective - 1.0, 0.5)
    return Recent(edge, span, at, level, floor, height, weight, np.sqrt(scatter), effective)


def slope_of(errors: np.ndarray, ahead: np.ndarray, held_out: np.ndarray, some: Recent) -> float | None:
    """Return what the forecasts of a back-test were off by per unit of log x: their root mean square. None where nothing was far enough.

    Each window has one vote, and the later ones count more: by e for each half of the range.

    Args:
        errors: (windows, n), log of forecast over metric. ahead, held_out: as in `Windows`.
    """
    used = held_out & (ahead >= _LEAST_AHEAD)
    votes = used.any(1)
    if np.count_nonzero(votes) < 2:
        return None
    per_unit = np.where(used, errors / np.where(used, ahead, 1.0), 0.0)
    square = np.sum(per_unit**2, axis=1)[votes] / used.sum(1)[votes]
    last, first = some.edge.max(), (some.edge - some.range).min()
    return float(np.sqrt(np.average(square, weights=np.exp(-(last - some.edge[votes]) / (0.5 * (last - first))))))


def _least_squares(terms: np.ndarray, log_y: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return floor and height, (windows, 40) each, not negative, that minimise the squares of relative residuals."""
    size = np.sqrt(np.mean(terms**2, axis=1, keepdims=True))
    plain, term = np.exp(-log_y), terms / size
    once, twice = share * plain, share * plain**2
    ff, fh, hh = twice.sum(1), twice @ term.T, twice @ (term**2).T
    f, h = once.sum(1), once @ term.T
    ff, f = ff[:, None], f[:, None]
    determinant = ff * hh - fh**2
    with np.errstate(divide="ignore", invalid="ignore"):
        floor, height = (f * hh - h * fh) / determinant, (h * ff - f * fh) / determinant
        without_floor = ~(floor >= 0) | (determinant < _SINGULAR * ff * hh)
        floor = np.where(without_floor, 0.0, floor)
        height = np.where(without_floor, h / hh, height)
        without_term = ~(height >= 0)
        return np.where(without_term, f / ff, floor), np.where(without_term, 0.0, height) / size.T
