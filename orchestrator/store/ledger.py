"""The ledger: allocations and attempts, what they did and what they cost.

An attempt is known by its token. Every write that would advance a run compares the token first, in the same transaction, so an attempt
that was given up and wakes up again (a zombie) changes nothing. {end attempt, charge, requeue} is one call in one transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from orchestrator.resources import Resources, RunOptions
from orchestrator.store import finetunings, trunks
from orchestrator.store.models import Allocation, Attempt, Evaluation, Metric, Run, now
from orchestrator.store.upsert import upsert_rows
from scaling.accelerators import core_hours
from scaling.errors import StaleToken
from scaling.fault_points import reached
from scaling.outcomes import AttemptOutcome, RunStatus

_METRICS: Any = Metric.__table__
_EVALUATIONS: Any = Evaluation.__table__

__all__ = [
    "MAX_FAILURES",
    "Charge",
    "Grant",
    "begin_attempt",
    "begin_attempts",
    "close_allocation",
    "end_attempt",
    "heartbeat",
    "note_held_seconds",
    "open_allocation",
    "record",
]

MAX_FAILURES = 3
"""Attempts in a row that may die or be lost, each without getting further than the one before, until the run has failed. Preemptions,
interruptions and what a scheduler's own end took down are free."""

_NEXT_STATUS = {
    AttemptOutcome.FINISHED: RunStatus.FINISHED,
    AttemptOutcome.DIVERGED: RunStatus.DIVERGED,
    AttemptOutcome.INTERRUPTED: RunStatus.PENDING,
    AttemptOutcome.PREEMPTED: RunStatus.PENDING,
    AttemptOutcome.RAISED: RunStatus.FAILED,
    AttemptOutcome.OUT_OF_MEMORY: RunStatus.FAILED,
    AttemptOutcome.DIED: RunStatus.PENDING,
    AttemptOutcome.STORAGE: RunStatus.PENDING,
    AttemptOutcome.LOST: RunStatus.PENDING,
    AttemptOutcome.ORPHANED: RunStatus.PENDING,
    AttemptOutcome.CANCELLED: RunStatus.CANCELLED,
}
_COUNTED = (AttemptOutcome.DIED, AttemptOutcome.LOST)


@dataclass(frozen=True)
class Grant:
    """Allows one attempt to run: holds its number, token and folder, and the checkpoint to start from."""

    run_id: str
    number: int
    token: str
    config: dict[str, Any]
    resources: Resources
    options: RunOptions
    resume_attempt: int | None
    resume_step: int
    parent: str | None = None
    branched_from: int | None = None
    """Number of the attempt of `parent` whose checkpoint it starts from."""
    packed: int = 1
    """How many attempts share the devices; each is charged its share."""
    store: str | None = None
    """Id of the store, the first part of its folder; None before stores had one."""
    resume_store: str | None = None
    """Id of the store of the attempt whose checkpoint it starts from."""
    resume_directory: str | None = None
    """The folder that this checkpoint was written to, by its name then."""
    saved_seconds: float = 0.0
    """Training seconds of the steps up to that checkpoint on these devices."""
    weights_folder: str | None = None
    """The folder, relative to SCALING_HOME, of the checkpoint whose weights a fine-tuning starts from; None where it starts from none."""
    weights_directory: str | None = None
    """The folder that this one was written to, by its name then."""
    weights_step: int = 0

    @property
    def folder(self) -> str:
        """Return the attempt's own folder, relative to SCALING_HOME."""
        return _folder(self.store, self.run_id, self.number)

    @property
    def resume_folder(self) -> str | None:
        """Return the folder that holds the checkpoint to start from, relative to SCALING_HOME; None for a fresh start."""
        if self.branched_from is not None:
            return _folder(self.resume_store, self.parent, self.branched_from)
        return None if self.resume_attempt is None else _folder(self.resume_store, self.run_id, self.resume_attempt)


@dataclass(frozen=True)
class Charge:
    """Holds the seconds an attempt held its cores, by use: `useful` steps survive, `redone` ones were lost with the attempt."""

    useful: float = 0.0
    redone: float = 0.0
    startup: float = 0.0
    evaluation: float = 0.0
    checkpoint: float = 0.0

    @property
    def total(self) -> float:
        return self.useful + self.redone + self.startup + self.evaluation + self.checkpoint


def _folder(store: str | None, run_id: str | None, number: int) -> str:
    return f"{store}/{run_id}/{number}" if store else f"{run_id}/{number}"


def open_allocation(
    session: Session, *, scheduler: str, shape: str, accelerator: str, cores: int, worker: str | None = None
) -> int:
    """Record that devices are held from now on, by the actor `worker` if it may outlive the scheduler. Returns the allocation's id."""
    allocation = Allocation(scheduler=scheduler, shape=shape, accelerator=accelerator, cores=cores, worker=worker)
    session.add(allocation)
    session.flush()
    return allocation.id


def close_allocation(session: Session, allocation_id: int, *, held_seconds: float) -> None:
    """Record that devices were given back after `held_seconds`.

    At least the sum of what its attempts were charged is recorded: a worker that was taken over and never answered did not report its time.
    """
    attempts = session.scalars(select(Attempt).where(Attempt.allocation_id == allocation_id))
    held_seconds = max(held_seconds, sum(attempt.charged_seconds for attempt in attempts))
    session.execute(update(Allocation).where(Allocation.id == allocation_id).values(ended_at=now(), held_seconds=held_seconds))


def note_held_seconds(session: Session, held_seconds: Mapping[int, float]) -> None:
    """Record for how long open allocations have held their devices: id → seconds, by a clock that does not jump."""
    for allocation_id, seconds in held_seconds.items():
        session.execute(update(Allocation).where(Allocation.id == allocation_id).values(held_seconds=seconds))


def begin_attempt(
    session: Session,
    run_id: str,
    *,
    allocation_id: int,
    home: str,
    store: str | None = None,
    estimated_core_hours: float | None = None,
) -> Grant:
    """Start an attempt of a pending run. Raises `StaleToken` when the run is not pending any more.

    home: SCALING_HOME. store: the store's id, under which the attempt's folder lies there.
    estimated_core_hours: what the run is expected to cost in all, for `estimate_error` to judge by afterwards; of its first attempt.
    """
    run = session.get(Run, run_id)
    if run is None or run.status is not RunStatus.PENDING:
        raise StaleToken(f"run {run_id} is {run.status if run else 'unknown'}, not pending")
    allocation = session.get(Allocation, allocation_id)
    assert allocation is not None
    number = (session.scalar(select(func.max(Attempt.number)).where(Attempt.run_id == run_id)) or 0) + 1
    token = secrets.token_hex(16)
    branch = trunks.branch_of(session, run)
    if branch is None and run.resume_attempt is None:
        trunks.disinherit(run)
    source = _source_of(session, run.parent_id, branch.attempt) if branch else _source_of(session, run_id, run.resume_attempt)
    saved_core_hours = branch.core_hours if branch else run.core_hours
    origin = finetunings.origin(session, run)
    grant = Grant(
        run_id,
        number,
        token,
        run.config,
        run.resources,
        run.options,
        run.resume_attempt,
        branch.step if branch else run.resume_step,
        run.parent_id,
        branch.attempt if branch else None,
        store=store,
        resume_store=source[0],
        resume_directory=source[1],
        saved_seconds=0.0 if run.resources.stated is not None else saved_core_hours / core_hours(allocation.cores, 1.0),
    )
    if origin is not None:
        attempt, step = origin
        folder = _folder(attempt.store, attempt.run_id, attempt.number)
        grant = replace(grant, weights_folder=folder, weights_directory=attempt.directory, weights_step=step)
    session.add(
        Attempt(
            run_id=run_id,
            number=number,
            token=token,
            allocation_id=allocation_id,
            directory=f"{home.rstrip('/')}/{grant.folder}",
            store=store,
            accelerator=allocation.accelerator,
            cores=allocation.cores,
            resumed_from=run.resume_attempt,
            branched_from=grant.branched_from,
            first_step=grant.resume_step,
        )
    )
    run.status, run.reason, run.token = RunStatus.RUNNING, "", token
    run.accelerator, run.cores = allocation.accelerator, allocation.cores
    if number == 1 and estimated_core_hours is not None:
        run.estimated_core_hours = estimated_core_hours
    return grant


def _source_of(session: Session, run_id: str | None, number: int | None) -> tuple[str | None, str | None]:
    """Return store and folder of the attempt that has the checkpoint to start from; both None where there is none."""
    query = select(Attempt.store, Attempt.directory).where(Attempt.run_id == run_id, Attempt.number == number)
    found = session.execute(query).first() if number is not None else None
    return (found[0], found[1]) if found else (None, None)


def begin_attempts(
    session: Session, runs: Mapping[str, float | None], *, allocation_id: int, home: str, store: str | None = None
) -> list[Grant]:
    """Start attempts of those of these runs that are still pending, to be trained at once on the same devices.

    runs: id → estimated core-hours. They, `home` and `store` are as `begin_attempt` takes them.
    """
    grants: list[Grant] = []
    for run_id, estimate in runs.items():
        with suppress(StaleToken):
            begun = begin_attempt(
                session, run_id, allocation_id=allocation_id, home=home, store=store, estimated_core_hours=estimate
            )
            grants.append(begun)
    tokens = [grant.token for grant in grants]
    session.execute(update(Attempt).where(Attempt.token.in_(tokens)).values(packed=len(grants)))
    return [replace(grant, packed=len(grants)) for grant in grants]


def record(
    session: Session,
    token: str,
    *,
    step: int | None = None,
    steps: int | None = None,
    first_step: int | None = None,
    train_loss: float | None = None,
    place: Mapping[str, Any] | None = None,
    metrics: Iterable[tuple[int, str, float | None]] = (),
    evaluations: Iterable[Mapping[str, Any]] = (),
    checkpoint_step: int | None = None,
    checkpoints: Iterable[tuple[int, float]] = (),
) -> bool:
    """Record the progress of an attempt. Returns False, and writes nothing, when its token is no longer the run's.

    Args:
        steps: how many the run will have, where a program says so.
        first_step: where it really started. Below the granted step when the checkpoint there was damaged or gone: then steps of
            earlier attempts are done again, and no longer count as useful.
        place: host, node, device, devices, threads, code_version, jaxlib_version; accelerator and cores, where the file asks for any.
        metrics: (step, name, value) rows; the same row again is the same row.
        evaluations: rows with step, split, loss, top1, top5, examples, seconds.
        checkpoint_step: a checkpoint was committed in this attempt's folder: a next attempt starts there.
        checkpoints: all that were committed since the last call, each with this attempt's training seconds up to there.
    """
    found = session.execute(
        select(Attempt, Run).join(Run, Run.id == Attempt.run_id).where(Attempt.token == token, Run.token == token)
    ).first()
    if found is None:
        return False
    attempt, run = found
    attempt.heartbeat_at = now()
    for name, value in (place or {}).items():
        setattr(attempt, name, value)
    if place and "cores" in place:  # only now it is known which card was given
        attempt.allocation.accelerator, attempt.allocation.cores = attempt.accelerator, attempt.cores
    run.accelerator, run.cores = attempt.accelerator, attempt.cores
    if first_step is not None:
        fell_back = first_step < attempt.first_step
        if attempt.branched_from is not None or (fell_back and run.inherited_core_hours):
            trunks.inherit(session, run, first_step)
        if fell_back:
            attempt.first_step = first_step
            _redo(session, run, attempt, from_step=first_step)
    if step is not None:
        run.step = attempt.last_step = step
    if steps is not None:
        run.steps = steps
    if train_loss is not None:
        run.train_loss = train_loss
    if checkpoint_step is not None:
        run.resume_attempt, run.resume_step = attempt.number, checkpoint_step
        attempt.checkpoint_step = checkpoint_step
    trunks.note_branch_points(session, run, attempt, checkpoints)
    points = {(at, name): {"run_id": run.id, "step": at, "name": name, "value": value} for at, name, value in metrics}
    upsert_rows(session, _METRICS, list(points.values()))
    upsert_rows(session, _EVALUATIONS, [{"run_id": run.id, **row} for row in evaluations])
    return True


def _redo(session: Session, run: Run, attempt: Attempt, *, from_step: int) -> None:
    """Move seconds of earlier attempts from useful to redone, by share of steps: their steps from `from_step` on are done again."""
    earlier = select(Attempt).where(Attempt.run_id == run.id, Attempt.number < attempt.number, Attempt.checkpoint_step > from_step)
    for other in session.scalars(earlier):
        assert other.checkpoint_step is not None
        surviving = max(0, from_step - other.first_step) / max(1, other.checkpoint_step - other.first_step)
        lost = other.useful_seconds * (1.0 - surviving)
        other.useful_seconds -= lost
        other.redone_seconds += lost
        other.checkpoint_step = max(from_step, other.first_step)
        run.core_hours -= core_hours(other.cores, lost)


def heartbeat(session: Session, tokens: Iterable[str]) -> None:
    """Record that these attempts are alive now."""
    session.execute(update(Attempt).where(Attempt.token.in_(list(tokens))).values(heartbeat_at=now()))


def end_attempt(
    session: Session,
    token: str,
    *,
    outcome: AttemptOutcome,
    reason: str,
    charge: Charge,
    last_step: int | None = None,
    result: Mapping[str, Any] | None = None,
    alone: bool = False,
) -> RunStatus:
    """End an attempt, charge what it cost, and set its run's status: one of the final ones, or back to pending. Returns the status.

    Args:
        result: val_loss, val_top1, val_top5, train_loss, chance_loss of a finished run.
        alone: the run is not packed with others any more.

    Raises:
        StaleToken: the run has gone on without this attempt.
    """
    found = session.execute(
        select(Attempt, Run).join(Run, Run.id == Attempt.run_id).where(Attempt.token == token, Run.token == token)
    ).first()
    if found is None:
        raise StaleToken("this attempt is no longer the current one of its run")
    attempt, run = found
    attempt.outcome, attempt.reason, attempt.ended_at = outcome, reason, now()
    attempt.last_step = last_step if last_step is not None else attempt.last_step
    attempt.useful_seconds, attempt.redone_seconds, attempt.startup_seconds = charge.useful, charge.redone, charge.startup
    attempt.evaluation_seconds, attempt.checkpoint_seconds = charge.evaluation, charge.checkpoint

    session.flush()
    reached("ended")
    run.core_hours += core_hours(attempt.cores, charge.useful)
    run.allocated_core_hours += core_hours(attempt.cores, charge.total)
    run.token = None
    run.status, run.reason = _NEXT_STATUS[outcome], reason
    if outcome in _COUNTED:
        got_further = attempt.checkpoint_step is not None and attempt.checkpoint_step > attempt.first_step
        run.failures = 1 if got_further else run.failures + 1
        if run.failures >= MAX_FAILURES:
            run.status, run.reason = RunStatus.FAILED, f"{run.failures} attempts ended like this: {reason}"
    for name, value in (result or {}).items():
        if value is not None:  # an attempt that resumed at the last step has no training loss of its own
            setattr(run, name, value)
    if alone:
        run.options = replace(run.options, pack=1)
    if attempt.code_version:
        run.code_version = attempt.code_version
    if run.status.is_final:
        run.ended_at = now()
        run.step = attempt.last_step or run.step
    else:
        run.step = run.resume_step
    return run.status
