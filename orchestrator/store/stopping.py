"""Queries about runs that may be stopped early: which these are, which are spared, and beside which others they are judged."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from orchestrator.resources import EarlyStop
from orchestrator.store import steering
from orchestrator.store.membership import among
from orchestrator.store.models import IS_FINETUNED, Attempt, BranchPoint, Evaluation, ExperimentRun, Run
from orchestrator.store.steering import Steer
from scaling.outcomes import RunStatus

__all__ = ["finished_peers", "held_out_losses", "runs_with_a_rule", "spared"]


def runs_with_a_rule(session: Session) -> dict[str, EarlyStop]:
    """Map the id of each run in training that its file lets stop early to its rule."""
    running = session.execute(select(Run.id, Run.options).where(Run.status == RunStatus.RUNNING))
    return {run_id: options.early_stop for run_id, options in running if options.early_stop is not None}


def spared(session: Session, run_ids: Collection[str]) -> set[str]:
    """Pick the runs that are not to be stopped early.

    They are those that other runs wait to start from, that share devices with others in a pack, or that were asked to stop before.
    """
    ids = list(run_ids)
    packed = select(Attempt.run_id).where(Attempt.run_id.in_(ids), Attempt.ended_at.is_(None), Attempt.packed > 1)
    there = select(BranchPoint.step).where(BranchPoint.run_id == Run.parent_id, BranchPoint.step == Run.parent_step).exists()
    waited_for = select(Run.parent_id).where(
        Run.parent_id.in_(ids),
        Run.parent_step.is_not(None),
        Run.status.in_((RunStatus.PENDING, RunStatus.PAUSED)),
        Run.resume_attempt.is_(None),
        ~there,
    )
    parents = {parent for parent in session.scalars(waited_for) if parent is not None}
    return parents | {*session.scalars(packed), *steering.asked_for(session, Steer.STOP)}


def finished_peers(session: Session, run: Run) -> Sequence[Row[str, int, float | None, float]]:
    """List finished runs of its experiments, on its data set and kind of device: those beside which it would stand on a frontier.

    A row has `id`, `steps`, `val_loss`, `core_hours`.
    """
    mine = select(ExperimentRun.experiment_id).where(ExperimentRun.run_id == run.id, ExperimentRun.removed_in.is_(None))
    theirs = select(ExperimentRun.run_id).where(ExperimentRun.experiment_id.in_(mine), ExperimentRun.removed_in.is_(None))
    query = select(Run.id, Run.steps, Run.val_loss, Run.core_hours).where(
        Run.id.in_(theirs),
        Run.status == RunStatus.FINISHED,
        Run.excluded_reason.is_(None),
        Run.accelerator == run.accelerator,
        Run.dataset == run.dataset,
        ~IS_FINETUNED,
    )
    return session.execute(query.order_by(Run.id)).all()


def held_out_losses(session: Session, run_ids: Collection[str]) -> dict[str, list[tuple[int, float]]]:
    """Map each run to its losses on the validation split: (step, loss), in order of the steps."""
    query = select(Evaluation.run_id, Evaluation.step, Evaluation.loss).where(
        among(session, Evaluation.run_id, run_ids), Evaluation.split == "validation", Evaluation.loss.is_not(None)
    )
    found: dict[str, list[tuple[int, float]]] = {}
    for run, step, loss in session.execute(query.order_by(Evaluation.step)):
        found.setdefault(run, []).append((step, loss or 0.0))
    return found
