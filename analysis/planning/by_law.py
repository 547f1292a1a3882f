"""Candidates judged by a law that is taken to be right: by how much its coefficients, as they are now, become surer.

The law is linearised at its present estimate. A cell adds the information of its place over its variance, (lack of fit)² + (seed noise)² /
seeds. A candidate in a cell that was run before adds only what more seeds add. Runs that would narrow the interval by less than a hundredth
together are left out, though there were budget for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.result import Fit
from analysis.planning.design import Candidates, Criterion, choose, spread_after
from analysis.planning.result import log_width
from analysis.planning.target import Target, interval_at
from scaling.errors import TooFewPoints

__all__ = ["Picked", "by_law", "known_runs", "noise_of"]

_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Picked:
    """Holds which candidates were chosen, in order of use.

    scales: by how much the interval of the mean is as wide once each of them and those before it are done.
    share_of_law: the part of the variance that they are known to narrow; the rest is taken to stay.
    members: of the forecast by which they were judged, member → weight; empty where one law judged them.
    """

    picked: list[int]
    scales: list[float]
    share_of_law: float
    members: dict[str, float] = field(default_factory=dict)


def by_law(
    aimed: Target, candidates: pd.DataFrame, of_one: pd.DataFrame, spent: np.ndarray, budget: float, criterion: Criterion
) -> Picked:
    """Choose the candidates that make the law's prediction at the target, or its coefficients, surest.

    Args: of_one: the candidates with the spending of one run. spent: (m,), what each costs of the budget.
    Raises: TooFewPoints where no coefficient has a known uncertainty.
    """
    found = aimed.fit
    kept = np.diag(found.covariance) > 0
    if not kept.any():
        raise TooFewPoints(
            "the law's coefficients have no known uncertainty, so that no run can be said to lower it", have=0, need=1
        )
    covariance = found.covariance[np.ix_(kept, kept)]
    rows = found.log_mean_jacobian(of_one)[:, kept]
    gradient = found.log_mean_jacobian(aimed.law_at)[0, kept]
    pool = Candidates(rows, _information(found, candidates), spent)
    picked = choose(covariance, pool, gradient, budget, criterion)
    of_law = _share_of_law(found, aimed)
    narrower = [1.0]
    for number in range(1, len(picked) + 1):
        narrower.append(_scale(found, gradient, covariance, spread_after(covariance, pool, picked[:number]), number))
    picked = picked[: _worthwhile(narrower)]
    scales = [float(np.sqrt(of_law * scale**2 + 1 - of_law)) for scale in narrower[1 : len(picked) + 1]]
    return Picked(picked, scales, of_law)


def noise_of(found: Fit) -> tuple[float, float]:
    """Return the standard deviations in log metric of a run about its cell, and of a cell about the law."""
    if np.isfinite(found.seed_std):
        return found.seed_std, found.lack_of_fit_std
    return 0.0, found.residual_std  # no cell was repeated: seed noise and lack of fit are one


def _information(found: Fit, candidates: pd.DataFrame) -> np.ndarray:
    """Compute 1 / variance that each candidate's mean adds, (m,)."""
    seed_std, lack_std = noise_of(found)
    floor = max(found.residual_std * 1e-3, 1e-12)
    seeds = candidates["seeds"].to_numpy(float) if "seeds" in candidates else np.ones(len(candidates))
    done, _ = known_runs(found.runs, candidates, found.metric)

    def precision(count: np.ndarray) -> np.ndarray:
        return np.where(count > 0, 1 / np.maximum(lack_std**2 + seed_std**2 / np.maximum(count, 1e-9), floor**2), 0.0)

    return np.maximum(precision(done + seeds) - precision(done), 0.0)


def known_runs(runs: pd.DataFrame, candidates: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Count the runs that there are in each candidate's cell already, (m,), and average their log metric, (m,), NaN without any."""
    key = [name for name in ("family", "model", "epochs") if name in runs and name in candidates and runs[name].notna().all()]
    if "model" not in key or "epochs" not in key:
        return np.zeros(len(candidates)), np.full(len(candidates), np.nan)
    groups = pd.Series(np.log(runs[metric].to_numpy(float)), index=runs.index).groupby([runs[name] for name in key])
    index = pd.MultiIndex.from_frame(candidates[key])
    return groups.size().reindex(index).fillna(0).to_numpy(float), groups.mean().reindex(index).to_numpy(float)


def _scale(found: Fit, gradient: np.ndarray, before: np.ndarray, after: np.ndarray, cells: int) -> float:
    """Return the factor by which the interval narrows: half-width afterwards over half-width now.

    It counts standard errors, and t quantiles with one degree of freedom more for each new cell.
    """
    freedom = found.estimate.degrees_of_freedom
    quantiles = found.precision.t(freedom + cells) / found.precision.t(freedom)
    return float(np.sqrt((gradient @ after @ gradient) / (gradient @ before @ gradient)) * quantiles)


def _share_of_law(found: Fit, aimed: Target) -> float:
    """Return the share of the forecast's variance at the target that comes from the law's coefficients.

    The rest is what its form may be off by, as lack of fit and the back-test show it. Nobody knows beforehand by how much more runs
    will narrow that, so that the plan takes it to stay.
    """
    jacobian = found.log_mean_jacobian(aimed.law_at)
    of_law = float(jacobian[0] @ found.covariance @ jacobian[0])
    discrepancy = found.estimate.discrepancy if isinstance(found.estimate, LawEstimate) else None
    trend = float(discrepancy.variance_at(aimed.law_at[list(found.axes)].to_numpy(float).T, jacobian)[0]) if discrepancy else 0.0
    share = of_law / (of_law + trend) if of_law + trend > 0 else 1.0
    own = log_width(interval_at(found, aimed.law_at, "mean"))
    whole = log_width(interval_at(found.forecast or found, aimed.law_at, "mean"))
    return share * min(1.0, (own / whole) ** 2) if whole > 0 else share


def _worthwhile(scales: list[float]) -> int:
    """Return how many of the picks to keep.

    The last ones are not worth their core-hours if together they narrow the interval by less than a hundredth.
    """
    return next(number for number, scale in enumerate(scales) if scale <= (1 + _NEGLIGIBLE) * scales[-1])
