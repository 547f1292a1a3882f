"""Runs that start from another run's checkpoint: when they wait, where they start, and which part of their cost the other run has borne.

A branch point is a checkpoint that a run of a trunk has committed for others. A run with a parent starts from the parent's branch point
at its `parent_step`. Until there is one it waits. When there will be none it is done alone, from its first step: as the same run,
since the trunk is the same bits. Its useful core-hours are what it would cost alone, `inherited_core_hours` the part of them that the
parent's steps gave. So Σ (core_hours − inherited_core_hours) is what a grid did cost, each step once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session, aliased

from orchestrator.resources import Resources
from orchestrator.store.experiments import wanted_runs
from orchestrator.store.models import Attempt, BranchPoint, Run
from scaling.accelerators import core_hours
from scaling.outcomes import RunStatus

__all__ = ["BranchState", "branch_of", "branch_states", "disinherit", "inherit", "note_branch_points", "pinned_steps", "reparent"]

_DONE = (RunStatus.FINISHED, RunStatus.DIVERGED)


@dataclass(frozen=True)
class BranchState:
    """Says whether a pending run with a parent has to wait for it.

    waits: it starts later, `reason` says for what. inherited: share of its steps, 0 … 1, that it need not take when it starts now.
    """

    waits: bool
    inherited: float = 0.0
    reason: str = ""


def branch_states(session: Session, run_ids: Sequence[str], *, left_out: Iterable[str] = ()) -> dict[str, BranchState]:
    """Map each pending run of `run_ids` that has a parent and has no checkpoint of its own to its `BranchState`.

    left_out: parents that wait for something that may never come, as a budget; their children do not wait for them.
    """
    parent, hopeless = aliased(Run), set(left_out)
    query = (
        select(
            Run.id,
            Run.parent_id,
            Run.parent_step,
            Run.steps,
            Run.resources,
            parent.status,
            parent.options,
            parent.resume_step,
            BranchPoint,
        )
        .join(parent, parent.id == Run.parent_id)
        .outerjoin(BranchPoint, (BranchPoint.run_id == Run.parent_id) & (BranchPoint.step == Run.parent_step))
        .where(Run.parent_id.is_not(None), Run.resume_attempt.is_(None), Run.status == RunStatus.PENDING)
    )
    wanted = set(run_ids)
    unwanted_parents = _unwanted(session)
    found: dict[str, BranchState] = {}
    for run_id, parent_id, step, steps, resources, status, parents, reached, point in session.execute(query):
        if run_id not in wanted or step is None:
            continue
        if point is not None and _same_accelerator(point, resources):
            found[run_id] = BranchState(waits=False, inherited=step / steps)
        elif (
            point is not None  # on devices whose core-hours cannot be added to this run's
            or status.is_final
            or status is RunStatus.PAUSED  # nobody knows for how long
            or reached > step
            or step not in parents.checkpoint_at  # it was begun without knowing of this run
            or parent_id in unwanted_parents
            or parent_id in hopeless
        ):
            found[run_id] = BranchState(waits=False)
        else:
            found[run_id] = BranchState(
                waits=True, inherited=step / steps, reason=f"starts from run {parent_id} once that is at step {step}"
            )
    return found


def _unwanted(session: Session) -> set[str]:
    """List the ids of parents that no experiment wants any more: nobody will train them."""
    children = select(Run.parent_id).where(Run.parent_id.is_not(None), Run.status == RunStatus.PENDING)
    return set(session.scalars(select(Run.id).where(Run.id.in_(children), Run.id.not_in(wanted_runs()))))


def branch_of(session: Session, run: Run) -> BranchPoint | None:
    """Return the branch point from which a run that has not begun starts; None when it starts at its first step."""
    if run.parent_id is None or run.parent_step is None or run.resume_attempt is not None:
        return None
    point = session.get(BranchPoint, (run.parent_id, run.parent_step))
    return point if point is not None and _same_accelerator(point, run.resources) else None


def _same_accelerator(point: BranchPoint, resources: Resources) -> bool:
    """Say whether a branch point was written on the run's kind of device: core-hours of two kinds cannot be added."""
    return point.accelerator == resources.kind.name


def inherit(session: Session, run: Run, first_step: int) -> None:
    """Add the cost of the parent's steps before `first_step` to the core-hours of a run whose attempt began there.

    Where the branch point was damaged the attempt began earlier in the trunk, and the cost is taken by share of steps.
    """
    point = session.get(BranchPoint, (run.parent_id, run.parent_step))
    if point is None or run.parent_step is None:
        return
    inherited = point.core_hours * min(1.0, first_step / run.parent_step)
    run.core_hours += inherited - run.inherited_core_hours
    run.inherited_core_hours = inherited


def disinherit(run: Run) -> None:
    """Take the trunk's share off a run's core-hours: it left no checkpoint of its own, and begins at its first step again."""
    run.core_hours -= run.inherited_core_hours
    run.inherited_core_hours = 0.0


def note_branch_points(session: Session, run: Run, attempt: Attempt, checkpoints: Iterable[tuple[int, float]]) -> None:
    """Record those of an attempt's committed checkpoints that other runs start from.

    checkpoints: step, and the attempt's training seconds up to there.
    """
    for step, seconds in checkpoints:
        if step in run.options.checkpoint_at:
            cost = run.core_hours + core_hours(attempt.cores, seconds)
            session.merge(
                BranchPoint(
                    run_id=run.id, step=step, attempt=attempt.number, accelerator=attempt.accelerator, core_hours=max(0.0, cost)
                )
            )


def pinned_steps(session: Session) -> set[tuple[str, int, int]]:
    """Return (run, attempt, step) of the branch points from which a run may yet start."""
    child = (
        select(Run.parent_id, Run.parent_step)
        .where(Run.parent_id.is_not(None), Run.parent_step.is_not(None), Run.status.not_in(_DONE))
        .distinct()
    )
    query = select(BranchPoint.run_id, BranchPoint.attempt, BranchPoint.step)
    return {
        (run, attempt, step)
        for run, attempt, step in session.execute(query.where(tuple_(BranchPoint.run_id, BranchPoint.step).in_(child)))
    }


def reparent(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Let new rows of runs start from branch points that are there already, where that saves more than their plan does.

    So a longer budget that is added to a grid goes on from where the longest so far began to decay. A shorter one starts from what an
    earlier parent left, instead of from a parent that will not pass its step again.
    """
    trunks = {row["options"].trunk for row in rows} - {None}
    if not trunks:
        return
    points: dict[str, list[BranchPoint]] = {}
    for point, options in session.execute(select(BranchPoint, Run.options).join(Run, Run.id == BranchPoint.run_id)):
        if options.trunk and options.trunk in trunks:
            points.setdefault(options.trunk, []).append(point)
    starts: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: -row["steps"]):  # parents before their children
        resources, options = row["resources"], row["options"]
        own = row["parent_step"] or max(options.checkpoint_at, default=0)
        usable = [
            point
            for point in points.get(options.trunk, ())
            if point.run_id != row["id"] and point.step <= own and _same_accelerator(point, resources)
        ]
        best = max(usable, key=lambda point: point.step, default=None)
        planned = row["parent_step"] if row["parent_id"] and starts.get(row["parent_id"], 0) <= own else None
        if best is not None and best.step >= (planned or 0):
            row["parent_id"], row["parent_step"] = best.run_id, best.step
        elif planned is None:
            row["parent_id"] = row["parent_step"] = None
        starts[row["id"]] = row["parent_step"] or 0
