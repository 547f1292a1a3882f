"""`early_stop: {confidence: 0.99, after: 0.5}`: runs that cannot reach the frontier any more are stopped, by what the store holds.

The rule is `analysis.early_stop`; here is what it is asked about. A run that is to be stopped is stopped as a user would do it: by an
intent with the numbers as its reason, so that a scheduler that dies in between leaves it to the next one. It keeps its last checkpoint;
`scaling retry` lets it go on, and it is not asked about again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from orchestrator.resources import EarlyStop
from orchestrator.store import steering
from orchestrator.store.estimates import measured_rates
from orchestrator.store.membership import among
from orchestrator.store.models import Attempt, BranchPoint, Evaluation, ExperimentRun, Run
from orchestrator.store.steering import Steer
from scaling.accelerators import estimate_core_hours
from scaling.outcomes import RunStatus

__all__ = ["stop_dominated"]


def stop_dominated(session: Session) -> bool:
    """Ask for the end of every run in training that its file lets stop early and that is dominated. A `Planner` of the scheduler.

    Three kinds of runs are spared: one that others wait for to start from, one that shares its devices with others in a pack, and one that was
    asked to stop before.
    """
    running = session.execute(select(Run.id, Run.options).where(Run.status == RunStatus.RUNNING)).all()
    judged = {run_id: options.early_stop for run_id, options in running if options.early_stop is not None}
    if not judged:
        return False
    spared, asked = _spared(session, judged), False
    for run_id, rule in judged.items():
        if run_id not in spared and (reason := _verdict(session, run_id, rule)) is not None:
            steering.ask(session, Steer.STOP, runs=[run_id], reason=reason)
            asked = True
    return asked


def _spared(session: Session, run_ids: Iterable[str]) -> set[str]:
    ids = list(run_ids)
    packed = select(Attempt.run_id).where(Attempt.run_id.in_(ids), Attempt.ended_at.is_(None), Attempt.packed > 1)
    there = select(BranchPoint.step).where(BranchPoint.run_id == Run.parent_id, BranchPoint.step == Run.parent_step).exists()
    waited_for = select(Run.parent_id).where(
        Run.parent_id.in_(ids), Run.status.in_((RunStatus.PENDING, RunStatus.PAUSED)), Run.resume_attempt.is_(None), ~there
    )
    parents = {parent for parent in session.scalars(waited_for) if parent is not None}
    return parents | {*session.scalars(packed), *steering.asked_for(session, Steer.STOP)}


def _verdict(session: Session, run_id: str, rule: EarlyStop) -> str | None:
    """Why the run is to be stopped, by its newest evaluation; None when it is not."""
    import pandas as pd

    from analysis.early_stop import outlook

    run = session.get(Run, run_id)
    assert run is not None
    looks = [share for share in run.options.evaluate_at if share >= rule.after]
    taken = _losses(session, [run_id])
    at = [share for share in looks if (run_id, _step(share, run.steps)) in taken]
    if not at:
        return None
    share = at[-1]
    peers = _finished_peers(session, run)
    then = _losses(session, [peer.id for peer in peers])
    finished = pd.DataFrame(
        [(peer.id, then.get((peer.id, _step(share, peer.steps))), peer.val_loss, peer.core_hours) for peer in peers],
        columns=["id", "loss_then", "val_loss", "core_hours"],
    ).astype({"loss_then": float, "val_loss": float, "core_hours": float})
    found = outlook(
        taken[run_id, _step(share, run.steps)],
        _core_hours_at_its_end(session, run),
        finished,
        confidence=rule.confidence,
        looks=len(looks),
    )
    if found is None or not found.is_dominated:
        return None
    return f"stopped after {share:.0%} of its steps: {found.sentence}"


def _finished_peers(session: Session, run: Run) -> list[Any]:
    """Finished runs of its experiments, on its kind of device: those beside which it would stand on a frontier."""
    mine = select(ExperimentRun.experiment_id).where(ExperimentRun.run_id == run.id, ExperimentRun.removed_in.is_(None))
    theirs = select(ExperimentRun.run_id).where(ExperimentRun.experiment_id.in_(mine), ExperimentRun.removed_in.is_(None))
    query = select(Run.id, Run.steps, Run.val_loss, Run.core_hours).where(
        Run.id.in_(theirs),
        Run.status == RunStatus.FINISHED,
        Run.excluded_reason.is_(None),
        Run.accelerator == run.accelerator,
        Run.dataset == run.dataset,
    )
    return list(session.execute(query.order_by(Run.id)))


def _losses(session: Session, run_ids: list[str]) -> dict[tuple[str, int], float]:
    """(run, step) → held-out loss."""
    query = select(Evaluation.run_id, Evaluation.step, Evaluation.loss).where(
        among(session, Evaluation.run_id, run_ids), Evaluation.split == "validation", Evaluation.loss.is_not(None)
    )
    return {(run, step): loss for run, step, loss in session.execute(query) if loss is not None}


def _step(share: float, steps: int) -> int:
    """After which step a run is evaluated for this share of its steps, as `trainer.train` has it."""
    return math.ceil(share * steps)


def _core_hours_at_its_end(session: Session, run: Run) -> float:
    """The lower of two estimates, so that no run is called dearer than it is: with which it was started, and by what is measured now."""
    now = estimate_core_hours(run.train_flops, *measured_rates(session).nearest(run.shape, run.family, run.resources))
    return min(cost for cost in (now, run.estimated_core_hours, math.inf) if cost is not None)
