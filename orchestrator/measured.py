"""A plan with what has been measured in place of the file's stated utilisation."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.plan import Plan, PlannedRun
from orchestrator.store import open_readonly
from orchestrator.store.estimates import Rates, measured_rates
from scaling.errors import StoreError
from scaling.outcomes import RunStatus

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Measured", "measured_plan", "rates_in", "rates_of"]


def rates_of(url: str) -> Rates:
    """What the store at `url` has measured; nothing where there is no store that this version can read: a plan needs none."""
    with suppress(StoreError), open_readonly(url) as store, store.read() as session:
        return measured_rates(session)
    return Rates()


def rates_in(runs: pd.DataFrame) -> Rates:
    """What a table of runs has measured, by family and kind of accelerator: finished runs with `train_flops`, `core_hours` and `accelerator`."""
    if not {"status", "family", "accelerator", "train_flops", "core_hours"} <= set(runs):
        return Rates()
    done = runs[(runs["status"] == RunStatus.FINISHED) & (runs["core_hours"] > 0) & (runs["train_flops"] > 0)]
    totals = done.groupby(["family", "accelerator"], as_index=False)[["core_hours", "train_flops"]].sum()
    rows = totals.to_dict("records")
    return Rates(by_family={(row["family"], row["accelerator"]): row["core_hours"] / row["train_flops"] for row in rows})


@dataclass(frozen=True)
class Measured:
    """The plan, and how many of its runs are estimated from a rate that was measured rather than by the file's MFU; of a search, those it is
    expected to ask for."""

    plan: Plan
    runs: int


def measured_plan(plan: Plan, rates: Rates) -> Measured:
    """Estimates by finished runs of the same shape, else by a probe of it, else by finished runs of the family, else as the file states.

    A rehearsal keeps its estimates: they are the speed that it rehearses.
    """
    if plan.spec.simulate:
        return Measured(plan, 0)
    runs = tuple(_measured(run, plan, rates) for run in plan.runs)
    searches = tuple(replace(search, run=_measured(search.run, plan, rates)) for search in plan.searches)
    count = sum(new is not old for new, old in zip(runs, plan.runs, strict=True))
    count += sum(new.expected_runs for new, old in zip(searches, plan.searches, strict=True) if new.run is not old.run)
    return Measured(replace(plan, runs=runs, searches=searches), count)


def _measured(run: PlannedRun, plan: Plan, rates: Rates) -> PlannedRun:
    hours = rates.core_hours(
        shape=run.config.shape_id(),
        family=run.config.model.family,
        accelerator=plan.spec.resources.accelerator,
        train_flops=run.train_flops,
        stated=None,
    )
    if hours is None:
        return run
    seconds = hours * 3600 / plan.spec.resources.core_count
    return replace(run, estimated_seconds=seconds, estimated_core_hours=hours)
