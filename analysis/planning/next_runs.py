"""`plan`: the next runs that make a prediction surest for a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Unpack

import numpy as np
import pandas as pd

from analysis.backtest.forecast import ForecastEstimate
from analysis.finetuned import refuse_plan
from analysis.fitting.fit import FitSettings
from analysis.interval import Interval
from analysis.planning.budget import budget_in
from analysis.planning.by_forecast import by_forecast
from analysis.planning.by_law import by_law
from analysis.planning.design import Criterion
from analysis.planning.result import NextRuns
from analysis.planning.target import aim, interval_at
from analysis.reading.prices import MONEY, currency_of, priced_as
from analysis.reading.source import source_of
from analysis.unfinished import takes_runs
from scaling.errors import DataError, UnknownName, UsageError

__all__ = ["plan"]


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

    The value at the target and its interval are the forecast's, as `analysis.predict` gives them. Where that is a forecast of compute,
    candidates are judged by what it would say after them, under all its members together, see `analysis.planning.by_forecast`. A law
    that is named, and a target of several inputs, are judged as if the law were right, see `analysis.planning.by_law`: by its
    coefficients, as far as it has any.

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
    now, now_run = interval_at(aimed.forecast, aimed.at, "mean"), interval_at(aimed.forecast, aimed.at, "new-run")
    if not min(now.low, now_run.low, interval_at(found, aimed.law_at, "mean").low) > 0:
        raise UsageError(
            f"no number can be given at {aimed.words}: it is too far beyond the runs", hint="aim nearer to the compute of the runs"
        )
    of_one = _of_one_run(candidates)
    estimate = aimed.forecast.estimate
    if criterion == "c" and isinstance(estimate, ForecastEstimate):
        made = by_forecast(aimed, estimate, candidates, of_one, spent, limit.amount, x)
    else:
        made = by_law(aimed, candidates, of_one, spent, limit.amount, criterion)
    steps = [_scaled(now, scale) for scale in made.scales]
    chosen = candidates.iloc[made.picked].reset_index(drop=True)
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
        after=steps[-1] if steps else now,
        now_run=now_run,
        after_run=_new_run(now, now_run, made.scales[-1] if steps else 1.0),
        share_of_law=made.share_of_law,
        members=made.members,
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
