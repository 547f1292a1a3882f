"""The prices that the store's experiments state, by the latest version of each file: what a run cost is found anew whenever it is asked.

So are the cores of a chip of the accelerators that they declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.store.experiments import latest_revision
from orchestrator.store.models import Experiment, Revision
from orchestrator.store.run_sums import RunSums
from scaling.prices import Prices, declared_cores

__all__ = ["all_prices", "cost_columns", "experiment_cost", "prices_of"]


def prices_of(session: Session, experiment: str) -> Prices | None:
    """Return what an experiment says chip-hours cost; None where it does not."""
    revision = latest_revision(session, experiment)
    return Prices.of(revision.resolved) if revision else None


def all_prices(session: Session) -> dict[str, Prices]:
    """Map the name of each experiment that states prices, or the cores of a chip, to them, the oldest experiment first."""
    newest = select(func.max(Revision.id)).group_by(Revision.experiment_id)
    query = select(Experiment.name, Revision.resolved).join(Revision).where(Revision.id.in_(newest)).order_by(Experiment.id)
    found = {name: Prices.of(resolved) or Prices({}, cores=declared_cores(resolved)) for name, resolved in session.execute(query)}
    return {name: prices for name, prices in found.items() if prices.an_hour or prices.cores}


def cost_columns(row: Mapping[str, Any], prices: Mapping[str, Prices], asked: Iterable[str] = ()) -> dict[str, Any]:
    """Return `chips`, `cost`, `allocated_cost` and `currency` of a run's row.

    Where no experiment that wants the run prices its accelerator, the last three are those of the row: of an imported run what its file
    says, else None.

    prices: of `all_prices`. asked: the experiment that is asked about, whose prices count first; then those of the newest that has any.
    """
    accelerator, cores = row["accelerator"], row["cores"]
    known = [prices[name] for name in (*asked, *reversed(row["experiments"])) if name in prices]
    declaring = next((each for each in known if accelerator in each.cores), Prices({}))
    chips = {"chips": cores // declaring.cores_per_chip(accelerator) if accelerator and cores else None}
    for each in known:
        if each.a_core_hour(accelerator) is not None:
            useful, held = (each.cost(accelerator, row[f"{kind}core_hours"]) for kind in ("", "allocated_"))
            return chips | {"cost": useful, "allocated_cost": held, "currency": each.currency}
    return chips | {name: row.get(name) for name in ("cost", "allocated_cost", "currency")}  # those that an imported run brings


def experiment_cost(revision: Revision | None, sums: Sequence[RunSums], estimated_core_hours: float | None) -> dict[str, Any]:
    """Return `cost`, `allocated_cost`, `estimated_cost` and `currency` of an experiment, at the prices of its latest revision.

    All are None where it states none, and the first two where some of its runs were trained on an accelerator without a price.
    sums: over its runs.
    """
    prices = Prices.of(revision.resolved) if revision else None
    if prices is None or revision is None:
        return {"cost": None, "allocated_cost": None, "estimated_cost": None, "currency": None}
    trained = [each for each in sums if each.accelerator is not None]
    useful = held = None
    if all(prices.a_core_hour(each.accelerator) is not None for each in trained):
        useful = fsum(prices.cost(each.accelerator, each.core_hours) or 0.0 for each in trained)
        held = fsum(prices.cost(each.accelerator, each.allocated_core_hours) or 0.0 for each in trained)
    estimated = prices.cost(revision.resolved["resources"]["accelerator"], estimated_core_hours)
    return {"cost": useful, "allocated_cost": held, "estimated_cost": estimated, "currency": prices.currency}
