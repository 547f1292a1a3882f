"""`budget: {core_hours: …}`: a cap on the core-hours that an experiment's runs have been charged and may yet be charged.

No run starts that would pass the cap by its estimate; a run that has started is not stopped. A run that several experiments want may start
when one of them can pay. It counts against all of them, since a run is charged once and shown in each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from orchestrator.store.experiments import latest_revision, wanted_runs
from orchestrator.store.grid import Waiting
from orchestrator.store.models import Experiment, ExperimentRun, Run
from scaling.outcomes import RunStatus
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
class _Remaining:
    name: str
    limit: float
    left: float


def affordable(session: Session, waiting: Sequence[Waiting], estimate: Callable[[Waiting], float | None]) -> Affordable:
    """Pick the waiting runs that the budgets allow: those of high priority first, then cheap ones first, as many as fit.

    estimate: core-hours of a whole run; None counts as 0. A run that goes on from its own checkpoint is counted by the steps to come:
    those before it have been charged.
    """
    budgets = _remaining(session)
    if not budgets or not waiting:
        return Affordable(list(waiting), {}, bool(budgets))
    payers = _payers(session, [run.id for run in waiting])
    allowed: list[Waiting] = []
    left_out: dict[str, str] = {}
    for run in sorted(waiting, key=lambda run: (-run.priority, run.work, run.id)):
        mine = [budgets[payer] for payer in payers[run.id] if payer in budgets]
        cost = (estimate(run) or 0.0) * run.ahead
        if len(mine) < len(payers[run.id]) or any(budget.left >= cost for budget in mine):
            allowed.append(run)
            for budget in mine:
                budget.left -= cost
        else:
            budget = max(mine, key=lambda budget: budget.left)
            # Not how much is left: that changes with every run that ends, and each change would be written into every run left out.
            left_out[run.id] = (
                f"left out by the budget of {budget.limit:g} core-hours of {budget.name}: needs about {amount(cost)}, more than is left"
            )
    return Affordable(allowed, left_out, True)


def budget_of(session: Session, experiment: str) -> float | None:
    """Return the cap of an experiment in core-hours, by its latest revision; None when it has none."""
    revision = latest_revision(session, experiment)
    return (revision.resolved.get("budget") or {}).get("core_hours") if revision else None


def _remaining(session: Session) -> dict[int, _Remaining]:
    """Map the id of each experiment with a budget to what is left of the cap.

    What was charged is taken off, and what runs in training are expected to cost yet.
    """
    budgets = {}
    for experiment in session.scalars(select(Experiment)):
        limit = budget_of(session, experiment.name)
        if limit is None:
            continue
        ours = wanted_runs(experiment.id)
        charged = session.scalar(select(func.sum(Run.allocated_core_hours)).where(Run.id.in_(ours))) or 0.0
        started = select(func.sum(Run.estimated_core_hours - Run.core_hours)).where(
            Run.id.in_(ours), Run.status == RunStatus.RUNNING, Run.estimated_core_hours > Run.core_hours
        )
        budgets[experiment.id] = _Remaining(experiment.name, limit, limit - charged - (session.scalar(started) or 0.0))
    return budgets


def _payers(session: Session, ids: Sequence[str]) -> dict[str, list[int]]:
    """Map each run id to the ids of the experiments that want the run."""
    payers: dict[str, list[int]] = {run_id: [] for run_id in ids}
    query = select(ExperimentRun.run_id, ExperimentRun.experiment_id).where(ExperimentRun.removed_in.is_(None))
    for run_id, experiment_id in session.execute(query):
        if run_id in payers:
            payers[run_id].append(experiment_id)
    return payers
