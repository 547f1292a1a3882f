"""`plan`: the next runs that make a prediction surest for a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Unpack

import numpy as np
import pandas as pd

from analysis.finetuned import refuse_plan
from analysis.fitting.fit import FitSettings
from analysis.fitting.law_estimate import LawEstimate
from analysis.fitting.result import Fit
from analysis.interval import Interval
from analysis.planning.budget import budget_in
from analysis.planning.design import Candidates, Criterion, choose, spread_after
from analysis.planning.result import NextRuns, log_width
from analysis.planning.target import Target, aim
from analysis.reading.prices import MONEY, currency_of, priced_as
from analysis.reading.source import source_of
from analysis.unfinished import takes_runs
from scaling.errors import DataError, TooFewPoints, UnknownName, UsageError

__all__ = ["plan"]

_NEGLIGIBLE = 0.01


@takes_runs
def plan(
    runs: pd.DataFrame,
    candidates: pd.DataFrame,
    *,
    budget: float | str | None = None,
    budget_core_hours: float | None = None,
    target: float | Mapping[str, float],
    x: str = "core_hours",
    law: str | None = None,
    on: Literal["all", "frontier"] | None = None,
    criterion: Criterion = "c",
    **settings: Unpack[FitSettings],
) -> NextRuns:
    """Choose the candidates that most reduce the uncertainty of the prediction at `target`.

    Runs that would narrow the interval by less than a hundredth together are left out, though there were budget for them.

    The value at the target and its interval are the forecast's, as `analysis.predict` gives them. The law that weighs the candidates
    may be another, see `analysis.planning.target.aim`. Of it only the factor counts by which the interval narrows. The law is
    linearised at its present estimate. A cell adds the information of its place over its variance, (lack of fit)² + (seed noise)² /
    seeds. A candidate in a cell that was run before adds only what more seeds add.

    Args:
        runs: what was done, as for `analysis.fit`.
        candidates: one row a cell that could be run, with the law's inputs of one run, `core_hours` of all that the row stands for and, where
            that is several runs, `seeds`, and `runs` where these are more. Other columns (`model`, `epochs`, …) name it. Prices that were named for the runs are theirs too, see
            `analysis.reading.prices.priced_as`.
        budget: to spend on them: a number of core-hours, or money, `"500 USD"`, where prices are known. budget_core_hours: the same in
            core-hours. target: compute in the unit of `x`, or each of the law's inputs.
        law: None: the chosen one, see `analysis.planning.target.aim`.
        criterion: `c`: the prediction at the target; `D`: all coefficients together.
        on, settings: of `analysis.fit`: metric, level …

    Raises: what `analysis.fit` raises; DataError or UsageError for candidates that cannot be priced.
    """
    refuse_plan(settings.get("metric"))
    if criterion not in ("c", "D"):
        raise UnknownName("criterion", criterion, ("c", "D"))
    if (budget is None) == (budget_core_hours is None):
        raise UsageError("a plan needs one budget", hint='give budget=50, of core-hours, or budget="500 USD"')
    limit = budget_in(budget if budget is not None else budget_core_hours or 0.0)
    _require_core_hours(candidates)
    candidates = priced_as(candidates, runs)
    limit, kinds = limit.of(candidates), _kinds(candidates) if x in MONEY else []
    if limit.currency is None and len(kinds) > 1:
        raise UsageError(
            f"a budget of core-hours on {len(kinds)} kinds of accelerator, {', '.join(kinds)}, does not compare",
            hint='give it in money: --budget "500 USD"',
        )
    spent = _positive(candidates, limit.column, "every candidate needs its price")
    aimed = aim(runs, target, candidates, x=x, law=law, on=on, **settings)
    found = aimed.fit
    _require_inputs(candidates, found.axes)
    kept = np.diag(found.covariance) > 0
    if not kept.any():
        raise TooFewPoints(
            "the law's coefficients have no known uncertainty, so that no run can be said to lower it", have=0, need=1
        )
    covariance = found.covariance[np.ix_(kept, kept)]
    rows = found.log_mean_jacobian(_of_one_run(candidates))[:, kept]
    gradient = found.log_mean_jacobian(aimed.law_at)[0, kept]
    pool = Candidates(rows, _information(found, candidates), spent)
    picked = choose(covariance, pool, gradient, limit.amount, criterion)

    now, now_run = _at(aimed.forecast, aimed.at, "mean"), _at(aimed.forecast, aimed.at, "new-run")
    if not min(now.low, now_run.low, _at(found, aimed.law_at, "mean").low) > 0:
        raise UsageError(
            f"no number can be given at {aimed.words}: it is too far beyond the runs", hint="aim nearer to the compute of the runs"
        )
    of_law = _share_of_law(found, aimed)
    narrower = [1.0]
    for number in range(1, len(picked) + 1):
        narrower.append(_scale(found, gradient, covariance, spread_after(covariance, pool, picked[:number]), number))
    picked = picked[: _worthwhile(narrower)]
    scales = [float(np.sqrt(of_law * scale**2 + 1 - of_law)) for scale in narrower[: len(picked) + 1]]
    steps = [_scaled(now, scale) for scale in scales[1:]]
    chosen = candidates.iloc[picked].reset_index(drop=True)
    chosen = chosen.assign(mean_low=[step.low for step in steps], mean_high=[step.high for step in steps])
    currency = currency_of(chosen)
    return NextRuns(
        target=aimed.words,
        at={name: float(aimed.at[name].iloc[0]) for name in aimed.forecast.axes},
        forecast=aimed.forecast,
        fit=found,
        law_at={name: float(aimed.law_at[name].iloc[0]) for name in found.axes},
        criterion=criterion,
        budget=limit,
        core_hours=float(chosen["core_hours"].astype(float).sum()) if len(_kinds(chosen)) < 2 else float("nan"),
        cost=float(chosen["cost"].sum()) if currency else None,
        currency=currency,
        candidates=len(candidates),
        chosen=chosen,
        now=now,
        after=_scaled(now, scales[-1]),
        now_run=now_run,
        after_run=_new_run(now, now_run, scales[-1]),
        share_of_law=of_law,
        notes=tuple(source_of(candidates)["notes"]),
    )


def _of_one_run(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates with the spending of one run each, which is what a law takes; a row may stand for several."""
    runs = next((candidates[name].astype(float) for name in ("runs", "seeds") if name in candidates), 1.0)
    return candidates.assign(
        **{name: candidates[name].astype(float) / runs for name in ("core_hours", "cost") if name in candidates}
    )


def _kinds(candidates: pd.DataFrame) -> list[str]:
    """List the accelerators of the candidates, as far as is known."""
    return sorted(set(candidates["accelerator"].dropna())) if "accelerator" in candidates else []


def _require_core_hours(candidates: pd.DataFrame) -> None:
    if candidates.empty:
        raise DataError(
            "there are no candidates to choose from", hint="every cell of the file is done: add models or epoch budgets to it"
        )
    if "core_hours" not in candidates:
        raise UnknownName(
            "column",
            "core_hours",
            [str(name) for name in candidates],
            hint="a candidate needs its price: call that column of the candidates core_hours",
        )
    _positive(candidates, "core_hours", "every candidate needs its price")
    if "seeds" in candidates:
        seeds = pd.to_numeric(candidates["seeds"], errors="coerce").to_numpy(float)
        bad = ~(np.isfinite(seeds) & (seeds >= 1))
        if bad.any():
            raise DataError(
                f"candidate {int(np.argmax(bad)) + 1} has no seeds of 1 or more", hint="seeds says how many runs a row stands for"
            )


def _require_inputs(candidates: pd.DataFrame, axes: tuple[str, ...]) -> None:
    for name in axes:
        _positive(candidates, name, "the law needs it of every candidate; another --law may not")


def _positive(candidates: pd.DataFrame, column: str, hint: str) -> np.ndarray:
    """Return the column as numbers, (m,). Raises DataError, which names the first candidate without a positive one."""
    numbers = pd.to_numeric(candidates[column], errors="coerce").to_numpy(float)
    bad = ~(np.isfinite(numbers) & (numbers > 0))
    if bad.any():
        raise DataError(f"candidate {int(np.argmax(bad)) + 1} has no positive {column}", hint=hint)
    return numbers


def _information(found: Fit, candidates: pd.DataFrame) -> np.ndarray:
    """Compute 1 / variance that each candidate's mean adds, (m,)."""
    seed_std, lack_std = found.seed_std, found.lack_of_fit_std
    if not np.isfinite(seed_std):  # no cell was repeated: seed noise and lack of fit are one
        seed_std, lack_std = 0.0, found.residual_std
    floor = max(found.residual_std * 1e-3, 1e-12)
    seeds = candidates["seeds"].to_numpy(float) if "seeds" in candidates else np.ones(len(candidates))
    done = _seeds_done(found.runs, candidates)

    def precision(count: np.ndarray) -> np.ndarray:
        return np.where(count > 0, 1 / np.maximum(lack_std**2 + seed_std**2 / np.maximum(count, 1e-9), floor**2), 0.0)

    return np.maximum(precision(done + seeds) - precision(done), 0.0)


def _seeds_done(runs: pd.DataFrame, candidates: pd.DataFrame) -> np.ndarray:
    """Count the runs that the law has in each candidate's cell already, (m,)."""
    key = [name for name in ("family", "model", "epochs") if name in runs and name in candidates and runs[name].notna().all()]
    if "model" not in key or "epochs" not in key:
        return np.zeros(len(candidates))
    counts = runs.groupby(key).size()
    index = pd.MultiIndex.from_frame(candidates[key])
    return counts.reindex(index).fillna(0).to_numpy(float)


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
    own = log_width(_at(found, aimed.law_at, "mean"))
    whole = log_width(_at(found.forecast or found, aimed.law_at, "mean"))
    return share * min(1.0, (own / whole) ** 2) if whole > 0 else share


def _worthwhile(scales: list[float]) -> int:
    """Return how many of the picks to keep.

    The last ones are not worth their core-hours if together they narrow the interval by less than a hundredth.
    """
    return next(number for number, scale in enumerate(scales) if scale <= (1 + _NEGLIGIBLE) * scales[-1])


def _at(found: Fit, place: pd.DataFrame, kind: Literal["mean", "new-run"]) -> Interval:
    row = found.predict(place, kind=kind).iloc[0]
    return Interval(float(row["mean"]), float(row["low"]), float(row["high"]))


def _scaled(interval: Interval, scale: float) -> Interval:
    value = np.log(interval.value)
    return Interval(
        *(float(np.exp(value + scale * (np.log(end) - value))) for end in (interval.value, interval.low, interval.high))
    )


def _new_run(mean: Interval, run: Interval, scale: float) -> Interval:
    """Return the interval of a new run after the plan: the mean's half-widths shrink, and what a new run has on top of them stays."""
    value, ends = np.log(mean.value), []
    for sign, ours, theirs in ((-1, mean.low, run.low), (1, mean.high, run.high)):
        half, whole = abs(np.log(ours) - value), abs(np.log(theirs) - value)
        ends.append(value + sign * np.sqrt((scale * half) ** 2 + max(0.0, whole**2 - half**2)))
    return Interval(mean.value, float(np.exp(ends[0])), float(np.exp(ends[1])))
