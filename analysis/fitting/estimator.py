"""Turns the runs of a fit into an estimate: the optimum, its intervals, and a status for what the data leave open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from analysis.fitting.bootstrap import pairs_draws, small_sample_factor, wild_draws
from analysis.fitting.discrepancy import Discrepancy, discrepancy_of
from analysis.fitting.estimate import Ends, Precision, Sample
from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.log_least_squares import log_least_squares
from analysis.fitting.objective import Objective
from analysis.fitting.point import fit_point
from analysis.fitting.profile import profile_intervals
from analysis.fitting.remembered import remembered
from analysis.fitting.status import status_of
from analysis.fitting.tangent import Tangent, tangent_at
from analysis.laws.law import Law
from scaling.outcomes import FitStatus

__all__ = ["INTERVALS", "covariance_of", "estimate"]

INTERVALS = ("auto", "pairs", "wild")
"""`auto`: for sums of squares t intervals with the covariance of a jackknife over cells, profiled for coefficients; else `pairs`.
`pairs`, `wild`: percentiles of that bootstrap over cells, see `analysis.fitting.bootstrap`."""

_PROFILE_UP_TO = 20_000  # runs; with more the loss is a parabola about its optimum
_EXACT, _ROUGHLY = 1e-8, 1e-2  # of profiled ends: those that are shown, and those of which it is only asked whether they are there
_CELLS_A_COEFFICIENT = 4
_BARELY, _NARROWLY = 50, 5000
"""Factors by which the tails shrink at two stricter levels: 99.9 and 99.999 % for 95 %. A coefficient is barely identified when it is no
longer identified at the first, narrowly when at the second. No level is strict enough for all: where few tables of a kind pass it, those do
whose scatter happened to look small. Their intervals hold the truth too rarely (docs/laws_figures.md)."""


@remembered
def estimate(law: Law, sample: Sample, objective: Objective, precision: Precision, intervals: str = "auto") -> LawEstimate:
    """Fit a law to a sample and return the estimate, with intervals and status.

    Point: the optimum of the objective (`analysis.fitting.point`).

    Covariance of theta, with t quantiles, for G cells and p coefficients:

    - in general the jackknife over cells (CR3), with G − p degrees of freedom. With fewer than four cells a coefficient it is itself noisy,
      so its mean with the plain covariance of least squares is taken.
    - of the power law by log least squares where each cell has one run: the plain one, exactly the textbook's.
    - of that law where seeds repeat a cell: the jackknife's with G − 1 degrees of freedom (Cameron and Miller 2015, A practitioner's guide
      to cluster-robust inference, VI.B).

    The usual sandwich (CR1) is not used: with the 4–20 cells that studies have, its nominal 95 % intervals covered the truth in 75–92 % of
    simulations.

    Lack of fit widens the intervals of the mean curve and of new runs (`analysis.fitting.discrepancy`), not those of coefficients. Of a
    law that does not hold, those describe the member of its family that comes nearest.
    """
    point = fit_point(law, sample.inputs, sample.y, objective=objective, weights=sample.weights)
    theta = point.theta[0]
    tangent = tangent_at(law, sample, theta, objective, point.at_bound[0])
    discrepancy = discrepancy_of(tangent, sample.inputs)
    is_line = law.name == "power" and not law.pinned and objective.name == "log" and objective.is_least_squares
    by_draws = intervals != "auto" or not objective.is_least_squares

    if is_line and not sample.clusters_hold_several:
        (theta, covariance), degrees_of_freedom = log_least_squares(sample), sample.runs - 2
    elif is_line:
        covariance, degrees_of_freedom = tangent.jackknife_covariance(), sample.clusters - 1
    else:
        covariance, degrees_of_freedom = covariance_of(tangent), tangent.degrees_of_freedom

    draw: Callable[[], np.ndarray]
    if intervals == "pairs" or (intervals == "auto" and by_draws):
        draw = partial(pairs_draws, law, sample, objective, theta, tangent, precision)
        spread = small_sample_factor(sample.clusters, tangent.coefficients, precision, smooth=objective.is_least_squares)
    else:
        draw = partial(wild_draws, law, sample, objective, theta, tangent, precision)
        spread = precision.t(degrees_of_freedom) / precision.t(10**9)

    if by_draws:
        drawn = draw()
        covariance = np.where(np.outer(tangent.kept, tangent.kept), np.cov(np.nan_to_num(drawn, neginf=-700.0).T) * spread**2, 0.0)
        draw = _Made(drawn)
    variance = np.diag(covariance)
    straight = is_line or sample.runs > _PROFILE_UP_TO or tangent.cell_variance * float(np.mean(tangent.noise**2)) < 1e-22

    def ends(at: Precision) -> tuple[np.ndarray, np.ndarray]:
        t = at.t(degrees_of_freedom)
        if by_draws:
            wider = at.t(10**9) / precision.t(10**9)  # draws have no quantiles far out: from those that they have, as if normal
            low, high = _percentiles(drawn, theta, spread * wider, precision.level)
        elif straight:
            half = t * np.sqrt(variance)
            low, high = np.where(tangent.kept, theta - half, -np.inf), np.where(tangent.kept, theta + half, np.inf)
        else:
            ratio, width = _profile_settings(law, sample, tangent, point.at_bound[0], variance, t)
            exact = _EXACT if at == precision else _ROUGHLY
            low, high = profile_intervals(
                law, sample, objective, theta, bread=tangent.bread, ratio=ratio, width=width, t=t, exact=exact
            )
        low, high = _open_at_bounds(law, sample, low, high)
        if law.floor:
            low[0] = max(0.0, low[0])
        return np.where(law.is_pinned, np.nan, low), np.where(law.is_pinned, np.nan, high)

    @cache
    def made() -> Ends:
        low, high = ends(precision)
        status, about = status_of(law, sample, point, low, high, precision)
        if status == FitStatus.OK:
            status, about = _by_how_much(law, lambda at: status_of(law, sample, point, *ends(at), precision), precision)
        return Ends(_named(law, low), _named(law, high), status, about)

    return LawEstimate(
        values=_named(law, theta)
        | {name: law.pinned[kept] for name in law.letters if (kept := law.copies.get(name, name)) in law.pinned},
        make_ends=made,
        degrees_of_freedom=degrees_of_freedom,
        seed_std=float(np.sqrt(tangent.seed_variance)) if sample.clusters_are_cells else float("nan"),
        lack_of_fit_std=_lack_of_fit_std(tangent, discrepancy),
        law=law,
        theta=theta,
        covariance=covariance,
        tangent=tangent,
        discrepancy=discrepancy,
        draw=draw,
        by_draws=by_draws,
        spread=spread,
        new_run_variances=_new_run_variances(tangent, discrepancy, objective, precision),
        noise_grows_with=0.0 if objective.relative else -1.0,
        precision=precision,
    )


def _by_how_much(
    law: Law, status_at: Callable[[Precision], tuple[FitStatus, tuple[str, ...]]], precision: Precision
) -> tuple[FitStatus, tuple[str, ...]]:
    """Return the status and letters of a fit that is identified at its own level, by whether it still is at stricter ones."""
    far_out, narrow = status_at(precision.stricter(_NARROWLY))
    if far_out == FitStatus.OK:
        return FitStatus.OK, ()
    further_out, barely = status_at(precision.stricter(_BARELY))
    if further_out != FitStatus.OK:
        return FitStatus.BARELY_IDENTIFIED, barely
    return FitStatus.OK, narrow if law.floor else ()


@dataclass(frozen=True, eq=False)
class _Made:
    """Returns draws that are there already."""

    draws: np.ndarray

    def __call__(self) -> np.ndarray:
        return self.draws


def covariance_of(tangent: Tangent) -> np.ndarray:
    """Return the covariance of theta, (p, p), by the jackknife over cells, see `estimate`; it is without bound where a part rests on one cell."""
    jackknife = tangent.jackknife_covariance()
    if tangent.cells >= _CELLS_A_COEFFICIENT * tangent.coefficients:
        return jackknife
    return 0.5 * (jackknife + tangent.plain_covariance())


def _profile_settings(
    law: Law, sample: Sample, tangent: Tangent, at_bound: np.ndarray, variance: np.ndarray, t: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return `ratio` and `width` of `profile_intervals`, (p,) each.

    A coefficient at the bound of its search has no variance of its own. Its line leads away from the bound, and is judged by the scatter of
    cells alone.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, width = np.diag(tangent.bread) / variance, t * np.sqrt(variance)
    low, high = _search_range(law, sample)
    return (
        np.where(at_bound, 1 / tangent.cell_variance, ratio),
        np.where(at_bound & np.isfinite(high - low), 0.05 * (high - low), np.where(variance > 0, width, 0.0)),
    )


def _search_range(law: Law, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of the search of each entry of theta, (p,) each; those of linear coefficients and ratios are infinite."""
    low, high = np.full(len(law.coefficients), -np.inf), np.full(len(law.coefficients), np.inf)
    for shape, place in zip(law.shapes, law.shape_at, strict=True):
        if shape.kind != "ratio":  # the range of one is of centred inputs
            low[place], high[place] = shape.range(np.log(sample.inputs))
    return low, high


def _open_at_bounds(law: Law, sample: Sample, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make infinite the ends that lie on the bound of the search, (p,) each: the search stopped there, not the data.

    Where the whole interval lies on one bound, both ends become infinite. So does the upper end of a floor whose draws are all zero.
    """
    first, last = _search_range(law, sample)
    near = 1e-6 * np.where(np.isfinite(last - first), last - first, 0.0)
    on_low, on_high = low <= first + near, high >= last - near
    stuck = (high <= first + near) | (low >= last - near)
    no_floor = np.array(law.coefficients) == "E"
    return (
        np.where(on_low | stuck, -np.inf, low),
        np.where(on_high | stuck | (no_floor & (high <= 0)), np.inf, high),
    )


def _lack_of_fit_std(tangent: Tangent, discrepancy: Discrepancy) -> float:
    if np.isnan(tangent.seed_variance):
        return float(np.sqrt(discrepancy.residual_variance))
    return float(np.sqrt(max(0.0, tangent.cell_variance - tangent.seed_variance) / np.mean(tangent.seeds)))


def _new_run_variances(
    tangent: Tangent, discrepancy: Discrepancy, objective: Objective, precision: Precision
) -> tuple[tuple[float, float], ...]:
    """Return what a run in a new cell varies by about law and trend: (variance, degrees of freedom) of cells, then of seeds."""
    if not objective.is_least_squares:
        # Residuals may have tails that a variance does not describe: the quantile that is asked for, as if it were a normal one.
        size = np.quantile(np.abs(tangent.residual), precision.level) / precision.t(10**9)
        return ((float(size**2) * len(tangent.residual) / tangent.degrees_of_freedom, np.inf),)
    of_cells, seeds = discrepancy.nugget, float(np.mean(tangent.seeds))
    if np.isnan(tangent.seed_variance):
        return ((of_cells, tangent.degrees_of_freedom),)
    of_seeds = tangent.seed_variance * (1 - 1 / seeds)
    return ((of_cells / seeds, tangent.degrees_of_freedom), (of_seeds, len(tangent.cell) - tangent.cells))


def _percentiles(draws: np.ndarray, theta: np.ndarray, spread: float, level: float) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0, method="nearest")
    with np.errstate(invalid="ignore", over="ignore"):  # −∞ for a term that is not there, at the point or in draws
        return theta + spread * np.nan_to_num(np.minimum(low - theta, 0.0)), theta + spread * np.nan_to_num(
            np.maximum(high - theta, 0.0)
        )


def _named(law: Law, theta: np.ndarray) -> dict[str, float]:
    return {name: float(value[0]) for name, value in law.values(theta[None]).items()}
