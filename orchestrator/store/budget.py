"""`budget: {core_hours: …, usd: …}`: caps on what an experiment's runs have been charged and may yet be charged, in core-hours and in money.

No run starts that would pass the cap by its estimate; a run that has started is not stopped. A run that several experiments want may start
when one of them can pay. It counts against all of them, since a run is charged once and shown in each. Money is core-hours at the experiment's own prices; a
shared run that was trained on an accelerator without one counts nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.store.experiments import latest_revision, wanted_runs
from orchestrator.store.grid import Waiting
from orchestrator.store.models import Experiment, ExperimentRun, Run
from orchestrator.store.prices import prices_of
from scaling.outcomes import RunStatus
from scaling.prices import Prices
from scaling.rounding import amount

__all__ = ["Affordable", "affordable", "budget_of"]


@dataclass(frozen=True)
class Affordable:
    """Says which pending runs may start, and why the others may not.

    runs: those that may start. left_out: run id → the reason why it may not. limited: whether the end of an attempt may change both.
    """

    runs: list[Waiting]
    left_out: dict[str, str]
    limited: bool


@dataclass
class _Cap:
    """Holds one limit of an experiment, and what is left of it. prices: None in core-hours."""

    name: str
    limit: float
    prices: Prices | None
    left: float

    def charge(self, accelerator: str | None, core_hours: float) -> float:
        """Return what core-hours take off the cap, in its unit."""
        return core_hours if self.prices is None else self.prices.cost(accelerator, core_hours) or 0.0

    @property
    def words(self) -> str:
        return f"{self.limit:g} {'core-hours' if self.prices is None else self.prices.currency}"


def affordable(session: Session, waiting: Sequence[Waiting], estimate: Callable[[Waiting], float | None]) -> Affordable:
    """Pick the waiting runs that the budgets allow: those of high priority first, pre-training first, then cheap ones, as many as fit.

    estimate: core-hours of a whole run; None counts as 0. A run that goes on from its own checkpoint is counted by the steps to come:
    those before it have been charged.
    """
    budgets = _remaining(session)
    if not budgets or not waiting:
        return Affordable(list(waiting), {}, bool(budgets))
    payers = _payers(session, [run.id for run in waiting])
    allowed: list[Waiting] = []
    left_out: dict[str, str] = {}
    for run in sorted(waiting, key=lambda run: (-run.priority, run.is_finetuning, run.work, run.id)):
        mine = [budgets[payer] for payer in payers[run.id] if payer in budgets]
        hours, accelerator = (estimate(run) or 0.0) * run.ahead, run.resources.accelerator
        if len(mine) < len(payers[run.id]) or any(all(cap.left >= cap.charge(accelerator, hours) for cap in caps) for caps in mine):
            allowed.append(run)
            for cap in chain(*mine):
                cap.left -= cap.charge(accelerator, hours)
        else:
            # One that is passed, of the experiment that has most left.
            cap = max(
                (min(caps, key=lambda cap: cap.left - cap.charge(accelerator, hours)) for caps in mine), key=lambda cap: cap.left
            )
            # Not how much is left: that changes with every run that ends, and each change would be written into every run left out.
            left_out[run.id] = (
                f"left out by the budget of {cap.words} of {cap.name}: "
                f"needs about {amount(cap.charge(accelerator, hours))}, more than is left"
            )
    return Affordable(allowed, left_out, True)


def budget_of(session: Session, experiment: str) -> dict[str, float | None]:
    """Return the caps of an experiment by its latest revision, `{"core_hours", "money"}`; None where it has no such cap."""
    revision = latest_revision(session, experiment)
    stated = (revision.resolved.get("budget") or {}) if revision else {}
    money = stated.get("usd") if stated.get("money") is None else stated["money"]
    return {"core_hours": stated.get("core_hours"), "money": money}


def _remaining(session: Session) -> dict[int, list[_Cap]]:
    """Map the id of each experiment with a budget to its caps.

    What was charged is taken off, and what runs in training are expected to cost yet.
    """
    budgets = {}
    for experiment in session.scalars(select(Experiment)):
        limits = budget_of(session, experiment.name)
        prices = {"core_hours": None, "money": prices_of(session, experiment.name) or Prices({})}
        caps = [_Cap(experiment.name, limit, prices[unit], limit) for unit, limit in limits.items() if limit is not None]
        if not caps:
            continue
        ours = wanted_runs(experiment.id)
        charged = select(Run.accelerator, func.sum(Run.allocated_core_hours)).where(Run.id.in_(ours))
        started = select(Run.accelerator, func.sum(Run.estimated_core_hours - Run.core_hours)).where(
            Run.id.in_(ours), Run.status == RunStatus.RUNNING, Run.estimated_core_hours > Run.core_hours
        )
        for query in (charged, started):
            for accelerator, hours in session.execute(query.group_by(Run.accelerator)):
                for cap in caps:
                    cap.left -= cap.charge(accelerator, hours or 0.0)
        budgets[experiment.id] = caps
    return budgets


def _payers(session: Session, ids: Sequence[str]) -> dict[str, list[int]]:
    """Map each run id to the ids of the experiments that want the run."""
    payers: dict[str, list[int]] = {run_id: [] for run_id in ids}
    query = select(ExperimentRun.run_id, ExperimentRun.experiment_id).where(ExperimentRun.removed_in.is_(None))
    for run_id, experiment_id in session.execute(query):
        if run_id in payers:
            payers[run_id].append(experiment_id)
    return payers
