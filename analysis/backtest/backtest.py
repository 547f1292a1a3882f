"""`backtest`: every law is fitted to the smaller runs and forecasts the larger ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.backtest.forecast_error import Excess, ForecastError, excess, forecast_error, independent
from analysis.backtest.learnt import LEARNT, Learnt
from analysis.backtest.recent import FREEDOM, LEAST_CELLS, NAME, Recent, fit_recent, slope_of
from analysis.backtest.rule import as_good_as, repeats, share_of_laws, weights_of
from analysis.backtest.windows import Cells, Windows, cells_in_order, windows
from analysis.fitting.estimate import Sample
from analysis.fitting.objective import Objective
from analysis.fitting.point import Points, fit_point
from analysis.laws.law import Law
from analysis.numbers import finite, records
from scaling.errors import TooFewPoints
from scaling.rounding import as_factor

__all__ = ["AVERAGE", "LEAST_WINDOWS", "Backtest", "RecentTest", "backtest"]

AVERAGE = "auto"
"""The name of the weighted forecast, among those of laws."""

LEAST_WINDOWS = 2
"""How often the largest runs are held out at least; one forecast alone is luck or bad luck."""

_LEAST_VALUES = 3  # of each input of a surface, as `analysis.fit` asks for

# Residuals of some percent are wanted here, not the optimum's twelfth digit.
_STEPS, _TOLERANCE = 60, 1e-4


@dataclass(frozen=True, eq=False)
class RecentTest:
    """Holds the forecast of the recent runs, and what it was off by in the back-test.

    fitted: to all runs. logs_of_forecasts: (windows, n), in the windows of the laws. forecast_error: root mean square of its errors there.
    slope: see `analysis.backtest.recent`. share: the weight of the laws' average beside it, beyond the runs.
    """

    fitted: Recent
    logs_of_forecasts: np.ndarray
    forecast_error: float
    slope: float | None
    share: float


@dataclass(frozen=True, eq=False)
class Backtest:
    """Holds what laws forecast of runs that they were not fitted to, with their scores and weights.

    laws: those that took part, in order of coefficients. left_out: law → why it did not.
    scores: law → root mean square of its errors, forecasts and residuals together, in log metric (`analysis.backtest.rule`).
    forecast_errors, residual_stds: law → the two parts of it.
    weights: law → its weight among the laws; zero for those that the average leaves out. same_as: law → the one that it repeats.
    horizon: up to how many times a window's compute forecasts were scored.
    windows: the windows; cells: what they are windows of, in order of compute.
    logs_of_forecasts: law → (windows, n), log of what the law, fitted to the window, says of every cell.
    error: of the weighted forecast, and how it grows with distance.
    excesses: law → its forecasts' errors beside what scatter explains; under `AVERAGE` those of the weighted forecast.
    average_error: root mean square error of the weighted forecast, in log metric.
    recent: of runs of one input, the forecast of the recent ones; None for surfaces.
    """

    laws: tuple[str, ...]
    left_out: Mapping[str, str]
    scores: Mapping[str, float]
    forecast_errors: Mapping[str, float]
    residual_stds: Mapping[str, float]
    weights: Mapping[str, float]
    same_as: Mapping[str, str]
    horizon: float
    windows: Windows
    cells: Cells
    logs_of_forecasts: Mapping[str, np.ndarray]
    error: ForecastError
    excesses: Mapping[str, Excess]
    average_error: float
    recent: RecentTest | None = None

    @property
    def share(self) -> float:
        """Return the weight of the laws' average beyond the runs; the rest is the forecast of the recent ones."""
        return 1.0 if self.recent is None else self.recent.share

    @property
    def forecast_members(self) -> dict[str, float]:
        """Return member → weight of the forecast beyond the runs; the heaviest first."""
        kept = {law: self.share * weight for law, weight in self.members.items()} | {NAME: 1.0 - self.share}
        return dict(sorted(((name, weight) for name, weight in kept.items() if weight > 0), key=lambda entry: -entry[1]))

    @property
    def members(self) -> dict[str, float]:
        """Return law → weight, without those of no weight; the heaviest first."""
        kept = [(law, weight) for law, weight in self.weights.items() if weight > 0]
        return dict(sorted(kept, key=lambda entry: -entry[1]))

    def best(self, among: Sequence[str] = ()) -> str | None:
        """Return the law to show: the simplest of those with weight that are as good as the best one, see `analysis.backtest.rule`.

        among: only of these laws. None where none of them took part.
        """
        here = [law for law in self.laws if not among or law in among]
        kept = [law for law in here if self.weights[law] > 0] or here
        if not kept:
            return None
        first = min(kept, key=lambda law: self.scores[law])
        held_out, log_y = self.windows.held_out, np.log(self.cells.y)
        errors = {law: (self.logs_of_forecasts[law] - log_y)[held_out] for law in kept}
        count = independent(held_out)

        def is_as_good(law: str) -> bool:
            excess = self.residual_stds[law] ** 2 - self.residual_stds[first] ** 2
            return law == first or as_good_as(errors[law], errors[first], excess, count)

        return next(law for law in kept if is_as_good(law))

    @property
    def held_out(self) -> pd.DataFrame:
        """Return a row for each forecast of a cell held out.

        Columns `window`, `up_to` (compute of its largest cell), `at` (compute of the cell forecast), `times` (at / up_to), `actual`, and
        `error_<law>` = log(forecast / actual). Compute in the unit of x; of a surface, the product of params and examples seen.
        """
        window, cell = np.nonzero(self.windows.held_out)
        end, at = np.exp(self.windows.end[window]), np.exp(self.cells.order[cell])
        table = {"window": window, "up_to": end, "at": at, "times": at / end, "actual": self.cells.y[cell]}
        errors = {f"error_{law}": self.logs_of_forecasts[law][window, cell] - np.log(self.cells.y[cell]) for law in self.laws}
        return pd.DataFrame(table | errors)

    def table(self) -> pd.DataFrame:
        """Return a row for each law, the best first, then those left out with `reason`.

        Columns `law`, `weight`, `score`, `forecast_error`, `residual_std`, `reason`.
        """
        rows = [
            {
                "law": law,
                "weight": self.weights[law],
                "score": self.scores[law],
                "forecast_error": self.forecast_errors[law],
                "residual_std": self.residual_stds[law],
                "reason": f"repeats {self.same_as[law]}" if law in self.same_as else "",
            }
            for law in sorted(self.laws, key=lambda law: (-self.weights[law], self.scores[law]))
        ]
        nan = float("nan")
        rows += [
            {"law": law, "weight": 0.0, "score": nan, "forecast_error": nan, "residual_std": nan, "reason": reason}
            for law, reason in self.left_out.items()
        ]
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """Say in one line for people what was held out, and how the laws did."""
        best_first = sorted(self.laws, key=lambda law: self.scores[law])
        scored = ", ".join(
            f"{law} {as_factor(self.scores[law])}" + (f" weight {self.weights[law]:.2f}" if self.weights[law] > 0 else "")
            for law in best_first
        )
        forecasts = int(self.windows.held_out.sum())
        tested = f"back-test: {len(self.windows)} windows, {forecasts} forecasts up to {self.horizon:g} times their compute"
        return "; ".join(filter(None, (tested, f"error (one sd): {scored}", self.beyond_words)))

    @property
    def beyond_words(self) -> str:
        """Say in a clause by what the forecast goes beyond the runs; empty where it is the laws' average."""
        if self.recent is None or self.share == 1.0:
            return ""
        beside = f"{self.share:.2f} of this average and " if self.share else ""
        return f"beyond the runs {beside}{1 - self.share:.2f} {NAME}, whose forecasts were off by {as_factor(self.recent.forecast_error)}"

    def to_dict(self) -> dict[str, object]:
        """Return the back-test as JSON holds it; scores are standard deviations of log metric."""
        return {
            "horizon": self.horizon,
            "windows": [
                {"up_to": finite(np.exp(end)), "cells": int(inside.sum()), "held_out": int(out.sum())}
                for end, inside, out in zip(self.windows.end, self.windows.inside, self.windows.held_out, strict=True)
            ],
            "laws": records(self.table()),
            "share_of_laws": self.share,
            "recent_error": None if self.recent is None else finite(self.recent.forecast_error),
            "growth": {"slope": finite(self.error.slope), "degrees_of_freedom": self.error.degrees_of_freedom},
        }


def backtest(
    laws: Sequence[Law],
    sample: Sample,
    order: np.ndarray,
    objective: Objective,
    *,
    rows_of: Callable[[Law], list[int]],
    horizon: float,
    learnt: Learnt | None = LEARNT,
) -> Backtest:
    """Fit the laws to every window, forecast what is beyond it, and weigh them by the rule.

    Args:
        laws: in order of coefficients, fewest first.
        sample: the runs. order: (runs,), log compute.
        objective: by which laws are fitted; scores are of log metric whatever it is.
        rows_of: which inputs of the sample a law takes.
        horizon: a forecast counts while it is of at most so many times the compute of its window.
        learnt: the numbers of the forecast of the recent runs; None: these laws are tested alone, without it.

    Raises:
        TooFewPoints: no law can be fitted with two windows left to hold out; says how many more budgets that takes.
    """
    cells = cells_in_order(sample, order)
    fits_in = {law.name: _can_be_fitted(law, cells.inputs[rows_of(law)], cells) for law in laws}
    taking_part, left_out = [], {}
    for law in laws:
        found = len(windows(cells, can_be_fitted=fits_in[law.name], horizon=horizon))
        if found >= LEAST_WINDOWS:
            taking_part.append(law)
        else:
            left_out[law.name] = f"{len(law.free)} coefficients leave {found or 'no'} window{'' if found == 1 else 's'} to hold out"
    if not taking_part:
        raise _too_few(laws, cells)

    some = windows(cells, can_be_fitted=lambda inside: all(fits_in[law.name](inside) for law in taking_part), horizon=horizon)
    forecasts, variances, scatters, residuals, stds = {}, {}, {}, {}, {}
    for law in taking_part:
        points = _fit_windows(law, cells, some, objective, rows_of(law))
        logs = law.log_curve(cells.inputs[rows_of(law)], points.theta)
        forecasts[law.name] = logs[:-1]
        variances[law.name], scatters[law.name] = _own_variances(law, cells, some, points.theta, rows_of(law))
        residuals[law.name] = logs[-1] - np.log(cells.y)
        share = cells.weights / cells.weights.mean()
        stds[law.name] = float(np.sqrt(np.sum(share * residuals[law.name] ** 2) / max(1, len(cells.y) - len(law.free))))
    test = _weighed(taking_part, left_out, forecasts, variances, scatters, residuals, stds, some, cells, horizon)
    if learnt is None or any(law.is_surface for law in laws):
        return test
    of_average = np.sum([weight * residuals[law] for law, weight in test.weights.items()], axis=0)
    return _with_recent(test, of_average, objective, learnt)


def _with_recent(test: Backtest, residuals: np.ndarray, objective: Objective, learnt: Learnt) -> Backtest:
    """Add the forecast of the recent runs, and test what it and the laws' average say together.

    residuals: (n,), of the laws' average over all runs.
    """
    cells, some, log_y = test.cells, test.windows, np.log(test.cells.y)
    own = windows(cells, can_be_fitted=lambda inside: _distinct(cells, inside) >= LEAST_CELLS, horizon=test.horizon)
    every = np.vstack([own.inside.reshape(-1, len(log_y)), some.inside, np.ones_like(some.inside[:1])])
    fitted = fit_recent(cells, every, objective, learnt)
    logs = fitted.log_mean(cells.order)
    slope = slope_of(logs[: len(own)] - log_y, own.ahead, own.held_out, fitted.of(slice(0, len(own)))) if len(own) else None
    recent = logs[len(own) : -1]
    laws = np.sum([weight * test.logs_of_forecasts[law] for law, weight in test.weights.items()], axis=0)
    share = share_of_laws(
        laws - log_y, recent - log_y, some.held_out, residuals, sure=learnt.sure, sure_in_noise=learnt.sure_in_noise
    )
    counts = np.broadcast_to(cells.weights, recent.shape)[some.held_out]

    def root_mean_square(errors: np.ndarray) -> float:
        return float(np.sqrt(np.average(errors[some.held_out] ** 2, weights=counts)))

    own_error = root_mean_square(recent - log_y)
    found = replace(test, recent=RecentTest(fitted.of(slice(-1, None)), recent, own_error, slope, share))
    if share == 1.0:
        return found
    off = share * laws + (1 - share) * recent - log_y
    expected = np.sqrt(fitted.of(slice(len(own), -1)).variance(cells.order, None, learnt))
    return replace(
        found,
        excesses={**test.excesses, AVERAGE: excess(off, some.held_out, expected**2, np.full(len(some), FREEDOM))},
        average_error=root_mean_square(off),
    )


def _weighed(
    laws: Sequence[Law],
    left_out: Mapping[str, str],
    forecasts: Mapping[str, np.ndarray],
    variances: Mapping[str, np.ndarray],
    scatters: Mapping[str, np.ndarray],
    residuals: Mapping[str, np.ndarray],
    stds: Mapping[str, float],
    some: Windows,
    cells: Cells,
    horizon: float,
) -> Backtest:
    names, log_y, held_out = [law.name for law in laws], np.log(cells.y), some.held_out
    share = np.broadcast_to(cells.weights, held_out.shape)[held_out]
    errors = {name: (forecasts[name] - log_y)[held_out] for name in names}
    forecast_errors = {name: float(np.sqrt(np.average(errors[name] ** 2, weights=share))) for name in names}
    scores = np.array([np.hypot(forecast_errors[name], stds[name]) for name in names])
    same = repeats(np.stack([np.concatenate([errors[name], residuals[name]]) for name in names]), scores)
    own = np.array([earlier is None for earlier in same])
    weights = np.zeros(len(names))
    weights[own] = weights_of(scores[own])
    together = np.sum([weight * forecasts[name] for weight, name in zip(weights, names, strict=True)], axis=0)
    residual_std = float(weights @ np.array([stds[name] for name in names]))
    own_std = np.sum([weight * np.sqrt(variances[name]) for weight, name in zip(weights, names, strict=True)], axis=0)
    expected = {name: variances[name] + scatters[name][:, None] for name in names}
    freedom = {law.name: np.maximum(1, some.inside.sum(1) - len(law.free)) for law in laws}
    excesses = {name: excess(forecasts[name] - log_y, held_out, expected[name], freedom[name]) for name in names}
    of_average = np.sum([weight * np.sqrt(expected[name]) for weight, name in zip(weights, names, strict=True)], axis=0) ** 2
    excesses[AVERAGE] = excess(together - log_y, held_out, of_average, freedom[names[int(np.argmax(weights))]])
    return Backtest(
        laws=tuple(names),
        left_out=left_out,
        scores=dict(zip(names, scores.tolist(), strict=True)),
        forecast_errors=forecast_errors,
        residual_stds=stds,
        weights=dict(zip(names, weights.tolist(), strict=True)),
        same_as={name: names[earlier] for name, earlier in zip(names, same, strict=True) if earlier is not None},
        horizon=horizon,
        windows=some,
        cells=cells,
        logs_of_forecasts=forecasts,
        error=forecast_error(together - log_y, some.ahead, held_out, residual_std, own_std**2),
        excesses=excesses,
        average_error=float(np.sqrt(np.average((together - log_y)[held_out] ** 2, weights=share))),
    )


def _fit_windows(law: Law, cells: Cells, some: Windows, objective: Objective, rows: list[int]) -> Points:
    """Fit a law to each window, and last to all cells: theta (windows + 1, p)."""
    weights = np.vstack([some.inside, np.ones(len(cells.y))]) * cells.weights
    return fit_point(law, cells.inputs[rows], cells.y, objective=objective, weights=weights, steps=_STEPS, tolerance=_TOLERANCE)


def _own_variances(law: Law, cells: Cells, some: Windows, theta: np.ndarray, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return, by least squares, two variances that each window expects of its forecasts, in squared log metric.

    The first is of its forecast of each cell from the doubt about its coefficients, (windows, n). The second is of a cell about the curve
    as the window sees it, (windows,).
    """
    inputs, log_y = cells.inputs[rows], np.log(cells.y)
    jacobian = np.nan_to_num(law.log_curve_jacobians(inputs, theta[:-1]))  # (windows, n, p)
    seen = np.where(some.inside[:, :, None], jacobian, 0.0)
    scale = np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-300)
    root = np.linalg.pinv(seen / scale, rcond=1e-8)  # (windows, p, n)
    residual = np.where(some.inside, law.log_curve(inputs, theta[:-1]) - log_y, 0.0)
    scatter = np.sum(residual**2, axis=1) / np.maximum(1, some.inside.sum(1) - len(law.free))
    return scatter[:, None] * np.sum(((jacobian / scale) @ root) ** 2, axis=2), scatter


def _can_be_fitted(law: Law, inputs: np.ndarray, cells: Cells) -> Callable[[np.ndarray], bool]:
    def enough(inside: np.ndarray) -> bool:
        if law.is_surface:
            varied = all(len(np.unique(inputs[axis, inside])) >= _LEAST_VALUES for axis in {axis for _, _, axis in law.powers})
            return varied and np.unique(inputs[:, inside], axis=1).shape[1] >= law.least_points
        return _distinct(cells, inside) >= law.least_points

    return enough


def _distinct(cells: Cells, inside: np.ndarray) -> int:
    """Count the distinct inputs of a window, which has cells; they are in order."""
    return 1 + int(np.count_nonzero(np.diff(cells.order[inside])))


def _too_few(laws: Sequence[Law], cells: Cells) -> TooFewPoints:
    least = min(laws, key=lambda law: law.least_points)
    have, need = len(cells.positions), least.least_points + LEAST_WINDOWS
    missing = max(1, need - have)
    return TooFewPoints(
        f"choosing a law by what it forecasts holds out the largest runs twice: that takes {need} distinct budgets; there are {have}, "
        f"{missing} more {'is' if missing == 1 else 'are'} needed",
        have=have,
        need=max(need, have + 1),
        hint="add budgets; until then the forecast is that of the plainest law",
    )
