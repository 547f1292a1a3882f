"""`submit`: accept an experiments file, then see it through, as the scheduler or behind the one that is already at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from orchestrator.adoption import workers_left
from orchestrator.attempt import AttemptLog
from orchestrator.follower import Ended, Follower
from orchestrator.home import home_folder, make_folder
from orchestrator.patience import HANG_SECONDS, Patience
from orchestrator.plan import Plan
from orchestrator.recovery import recover
from orchestrator.search.advance import Searches, asked_by, results_in
from orchestrator.search.cells import SearchedCell
from orchestrator.search.replay import replay
from orchestrator.slots import LEASE_SECONDS
from orchestrator.store import Store, lease, queries, searches
from orchestrator.store.again import AGAIN
from orchestrator.store.grid import Accepted, accept, known_statuses
from orchestrator.store.identity import claim
from orchestrator.store.models import Experiment, ExperimentRun, Run
from scaling.errors import StoreAway, StoreError, UsageError
from scaling.fault_points import reached
from scaling.outcomes import RunStatus

if TYPE_CHECKING:
    from orchestrator.cluster import RayCluster
    from orchestrator.scheduler import Scheduler

__all__ = ["Ended", "Progress", "accept_plan", "plan_status", "see_through"]

_FOLLOW_SECONDS = 1.0
_TICK_SECONDS = 0.5
_SHARE = 30.0
"""Looking at how a large grid stands takes time; it is done so seldom that the scheduler spends a thirtieth of its time on it."""

_LIVES = 3
"""How often a Ray of this command's own is started; one that keeps dying is not started for ever."""

_FINAL = tuple(status for status in RunStatus if status.is_final)


@dataclass(frozen=True)
class Progress:
    """How an experiment stands, for a display.

    seconds: since this call began to see it through.
    counts: runs by status. running: attempts under way (empty when another scheduler runs them).
    core_hours, estimated_core_hours: useful ones so far, and of the whole grid by the plan's estimate.
    eta_seconds: by the share of estimated core-hours done and the time it took; None until something has been done.
    """

    experiment: str
    seconds: float
    counts: dict[str, int]
    running: list[AttemptLog]
    core_hours: float
    estimated_core_hours: float
    best_val_loss: float | None
    eta_seconds: float | None


def plan_status(store: Store, plan: Plan) -> dict[str, str]:
    """Run id → `new` or the status it has in the store."""
    ids = [run.id for run in plan.runs]
    with store.read() as session:
        known = {run_id: str(status) for run_id, status in known_statuses(session, ids).items()}
    return {run_id: known.get(run_id, "new") for run_id in ids}


def accept_plan(store: Store, plan: Plan, *, revise: bool = False) -> Accepted:
    """Write down that the plan's runs are wanted; durable when this returns. Raises `UsageError` for another study of the same name."""
    if plan.card.provisional and plan.spec.simulate is None:
        raise UsageError(
            f"data set {plan.card.name!r} is only declared, so nothing can be trained on it",
            hint="--dry-run plans it, --simulate rehearses it; to train, name a data set at hand",
        )
    resources, options = plan.resources, plan.options
    rows = [run.row(resources, options) for run in plan.runs]
    with store.write() as session:
        accepted = accept(
            session,
            name=plan.spec.name,
            file=plan.document.path,
            text=plan.document.text,
            resolved=plan.resolved,
            shared=plan.shared,
            runs=rows + _asked_before(session, plan),
            searched=[_search_row(cell) for cell in plan.cells],
            revise=revise,
        )
        if plan.searches:
            session.flush()
            Searches().advance(session, accepted.experiment_id)
            session.flush()
            accepted = _with_stopped_ones(session, accepted)
    reached("accepted")
    return accepted


def _asked_before(session: Session, plan: Plan) -> list[dict[str, Any]]:
    """The runs that the file's searches have asked for so far, and those they ask for first.

    So far: whatever they asked for once belongs to the experiment, though a trial that is to be tried again leaves open what comes after it.
    """
    if not plan.searches:
        return []
    experiment = session.scalar(select(Experiment.id).where(Experiment.name == plan.spec.name))
    states = replay(plan.cells, results_in(session, experiment, revived=AGAIN))
    rows = {row["id"]: row for state in states for row in state.runs}
    return [*rows.values(), *(row for row in asked_by(session, experiment, plan.cells) if row["id"] not in rows)]


def _with_stopped_ones(session: Session, accepted: Accepted) -> Accepted:
    """A run that was stopped early is done for an experiment that lists it, and not for a search."""
    again = [run_id for run_id, status in known_statuses(session, accepted.done).items() if status is RunStatus.PENDING]
    return replace(accepted, again=accepted.again + again, done=[run_id for run_id in accepted.done if run_id not in again])


def _search_row(cell: SearchedCell) -> dict[str, Any]:
    names = ("family", "model", "epochs", "template")
    return {name: getattr(cell, name) for name in names} | {"policy": cell.policy.to_dict()}


def see_through(
    store: Store,
    experiment: str,
    *,
    home: str | Path,
    address: str = "local",
    checkpoint_seconds: float = 60.0,
    order: str = "longest-first",
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_notice: Callable[[str], None] = lambda sentence: None,
    temp_dir: str | None = None,
    hang_seconds: float = HANG_SECONDS,
    lease_seconds: float = LEASE_SECONDS,
) -> Ended:
    """Wait until every run of the experiment has reached a final status: "done".

    Takes the scheduler's lease if it is free, and then runs everything that any experiment of the store wants. Otherwise follows, and
    takes over when the holder goes.

    Args:
        home: SCALING_HOME, the folder under which attempts write; made if need be.
        address: a Ray cluster, or "local" to start one for this call.
        order: a value of `orchestrator.scheduler.Order`.
        should_stop: polled about twice a second. When it says True, a scheduler lets what runs checkpoint and puts its experiment's
            other runs aside: "paused". A follower just goes, and the scheduler it followed works on: "left". One whose scheduler was
            stopped ends as that did: "paused".
        on_notice: called with a sentence when somebody else's command begins or ceases to matter, or this one had to begin anew.
        temp_dir: where a local Ray keeps its files.
        hang_seconds: how long a run may give no sign of life; see `orchestrator.patience`.
        lease_seconds: how long a worker may not answer before its runs go on elsewhere; see `orchestrator.slots`.

    Raises:
        UsageError: `home` is a URL, or cannot be made.
        StoreError: it would take over from a scheduler on a cluster, with `address` "local".
    """
    # Ray's names stay out of the way of whoever only reads.
    from orchestrator.cluster import RayGone

    home = home_folder(home)
    make_folder(home)
    store.be_patient()
    options: dict[str, Any] = {
        "home": home,
        "address": address,
        "checkpoint_seconds": checkpoint_seconds,
        "order": order,
        "temp_dir": temp_dir,
        "hang_seconds": hang_seconds,
        "lease_seconds": lease_seconds,
    }
    clock, lives = _Clock(), 1
    while True:
        try:
            return _lead_or_follow(store, experiment, clock, should_stop, on_progress, on_notice, **options)
        except (StoreAway, RayGone) as error:  # as if this scheduler had died, and another one came
            lives += isinstance(error, RayGone)
            if lives > _LIVES:
                raise
            on_notice(f"{error}; going on from what is in the store")


def _lead_or_follow(
    store: Store,
    experiment: str,
    clock: _Clock,
    should_stop: Callable[[], bool],
    on_progress: Callable[[Progress], None],
    on_notice: Callable[[str], None],
    **options: Any,
) -> Ended:
    identity, watch, follower = lease.new_holder(), lease.Watch(lambda: store.away_seconds), Follower(on_notice)
    while _open_runs(store, experiment):
        with store.write() as session:
            holds = lease.take(session, identity, watch)
            if holds:
                claim(session)  # before the workers are looked at: those of a copy are its original's
            if holds and options["address"] == "local":
                _refuse_cluster_workers(session, identity)
        if holds:
            follower.takes_over()
            ended = _schedule(store, experiment, identity, clock, should_stop, on_progress, **options)
            break  # what is pending still was left out by a budget
        follower.follows(store)
        on_progress(_progress(store, experiment, [], clock))
        if should_stop():
            return "left"
        time.sleep(_FOLLOW_SECONDS)
    else:
        ended = follower.ended(store, experiment)
    on_progress(_progress(store, experiment, [], clock))
    return ended


def _schedule(
    store: Store,
    experiment: str,
    identity: str,
    clock: _Clock,
    should_stop: Callable[[], bool],
    on_progress: Callable[[Progress], None],
    **options: Any,
) -> Ended:
    """One life of a scheduler that has just taken the lease; gives the lease back, whatever happens."""
    from orchestrator.cluster import RayCluster
    from orchestrator.early_stop import stop_dominated
    from orchestrator.scheduler import Order, Scheduler

    address = options["address"]
    try:
        with _joined(store, identity, RayCluster(address, temp_dir=options["temp_dir"])) as cluster:
            scheduler = Scheduler(
                store,
                cluster,
                identity=identity,
                home=options["home"],
                working_directory=Path.cwd(),
                checkpoint_seconds=options["checkpoint_seconds"],
                order=Order(options["order"]),
                patience=Patience(hang_seconds=options["hang_seconds"]),
                lease_seconds=options["lease_seconds"],
                planners=[Searches().advance, stop_dominated],
            )
            scheduler.on_tick = partial(_tick, store, experiment, scheduler, clock, on_progress)
            return "done" if scheduler.run(experiment, should_stop) else "paused"
    finally:
        with store.write() as session:
            if address == "local" and lease.holds(session, identity):
                recover(session, scheduler="")  # what an exception left open: nobody else will go on with it
            lease.release(session, identity)


def _refuse_cluster_workers(session: Session, identity: str) -> None:
    """A scheduler without their cluster would give up what they are at and start it again here, while they train on."""
    if names := workers_left(session, scheduler=identity):
        raise StoreError(
            f"the last scheduler of this store left {len(names)} worker{'s' if len(names) > 1 else ''} on a Ray cluster, which may still be training",
            hint="submit with --address of that cluster; if it is gone, with that of any other, where their runs start again",
        )


@contextmanager
def _joined(store: Store, identity: str, cluster: RayCluster) -> Iterator[RayCluster]:
    """Ray, with the lease renewed while it starts and while it ends: on a busy machine, or after its own death, either may take longer than the lease lasts."""
    with _lease_kept(store, identity):
        cluster.__enter__()
    try:
        yield cluster
    finally:
        with _lease_kept(store, identity):
            cluster.__exit__()


@contextmanager
def _lease_kept(store: Store, identity: str) -> Iterator[None]:
    """Renew the lease from a thread meanwhile."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(lease.LEASE_SECONDS / 3):
            with suppress(StoreError), store.write() as session:
                lease.renew(session, identity)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _tick(store: Store, experiment: str, scheduler: Scheduler, clock: _Clock, on_progress: Callable[[Progress], None]) -> None:
    if time.monotonic() < clock.next_look:
        return
    started = time.monotonic()
    on_progress(_progress(store, experiment, scheduler.running, clock))
    took = time.monotonic() - started
    clock.next_look = started + max(_TICK_SECONDS, _SHARE * took)


def _open_runs(store: Store, experiment: str) -> bool:
    with store.read() as session:
        counts = queries.status_counts(session, experiment)
    return any(not RunStatus(status).is_final and status != RunStatus.PAUSED for status in counts)


class _Clock:
    """When this command began, and what had been done by then: the rate behind the ETA. `next_look`: when progress is told next."""

    def __init__(self) -> None:
        self.started = self.next_look = time.monotonic()
        self.done_before: float | None = None


def _progress(store: Store, experiment: str, running: list[AttemptLog], clock: _Clock) -> Progress:
    estimated = func.coalesce(Run.estimated_core_hours, 0.0)
    share = Run.step * 1.0 / case((Run.steps > 0, Run.steps), else_=1)
    query = (
        select(
            Run.status,
            func.count(),
            func.sum(estimated),
            func.sum(estimated * case((Run.status.in_(_FINAL), 1.0), else_=share)),
            func.sum(Run.core_hours),
            func.min(Run.val_loss),
        )
        .join(Run.wanted_by)
        .join(ExperimentRun.experiment)
        .where(ExperimentRun.removed_in.is_(None), Experiment.name == experiment)
        .group_by(Run.status)
    )
    with store.read() as session:
        rows = session.execute(query).all()
        searched = searches.progress(session, experiment)
    counts = {status: count for status, count, *_ in rows}
    total, done = sum(row[2] for row in rows), sum(row[3] for row in rows)
    total += searched["core_hours_ahead"] if searched else 0.0
    if clock.done_before is None:
        clock.done_before = done
    advanced = done - clock.done_before
    elapsed = time.monotonic() - clock.started
    return Progress(
        experiment=experiment,
        seconds=elapsed,
        counts={str(status): counts[status] for status in RunStatus if status in counts},
        running=running,
        core_hours=sum(row[4] for row in rows),
        estimated_core_hours=total,
        best_val_loss=min((row[5] for row in rows if row[5] is not None), default=None),
        eta_seconds=elapsed * (total - done) / advanced if advanced > 0.02 * total else None,
    )
