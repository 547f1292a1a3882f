"""Wait until an experiment is done: as the scheduler of its store, or behind the one that is already at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.cluster import RayCluster, RayGone
from orchestrator.home import home_folder, make_folder
from orchestrator.scheduling.early_stop import stop_dominated
from orchestrator.scheduling.follower import Ended, Follower
from orchestrator.scheduling.policy import SchedulingPolicy
from orchestrator.scheduling.recovery import recover
from orchestrator.scheduling.scheduler import Scheduler
from orchestrator.search.advance import Searches
from orchestrator.search.finetuning import Finetunings
from orchestrator.store import Session, Store, handover, lease, queries
from orchestrator.store.identity import claim
from orchestrator.store.progress import Progress, progress_of
from scaling.errors import StoreAway, StoreError
from scaling.outcomes import RunStatus

__all__ = ["Ended", "Progress", "see_through"]

_FOLLOW_SECONDS = 1.0
_TICK_SECONDS = 0.5
_SHARE = 30.0
"""Counting the progress of a large grid takes time; it is done so seldom that the scheduler spends a thirtieth of its time on it."""

_LIVES = 3
"""How often a Ray of this command's own is started at most, since one that keeps dying must not be started for ever."""


def see_through(
    store: Store,
    experiment: str,
    *,
    home: str | Path,
    address: str = "local",
    policy: SchedulingPolicy | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_notice: Callable[[str], None] = lambda sentence: None,
    temp_dir: str | None = None,
) -> Ended:
    """Wait until every run of the experiment has reached a final status: "done".

    Takes the scheduler's lease if it is free, and then runs everything that any experiment of the store wants. Otherwise follows, and
    takes over when the holder goes.

    Args:
        home: SCALING_HOME, the folder under which attempts write; made if need be.
        address: a Ray cluster, or "local" to start one for this call.
        should_stop: polled about twice a second. When it says True, a scheduler lets runs in training checkpoint and pauses its
            experiment's other runs: "paused". A follower just goes, and the scheduler it followed works on: "left". One whose scheduler
            was stopped ends as that did: "paused".
        on_notice: called with a sentence when somebody else's command begins or ceases to matter, or this one had to begin anew.
        temp_dir: where a local Ray keeps its files.

    Raises:
        UsageError: `home` is a URL, or cannot be made.
        StoreError: it would take over from a scheduler on a cluster, with `address` "local".
    """
    folder = home_folder(home)
    make_folder(folder)
    store.wait_for_server()
    clock = _Clock()

    def told(_running: object = None) -> None:
        with store.read() as session:
            progress = progress_of(session, experiment)
        on_progress(replace(progress, seconds=time.monotonic() - clock.started))

    def schedule(identity: str) -> Ended:
        cluster = RayCluster(address, temp_dir=temp_dir)
        return _schedule(store, experiment, identity, cluster, folder, policy, clock.seldom(told), should_stop)

    lives = 1
    while True:
        try:
            ended = _lead_or_follow(store, experiment, schedule, address == "local", Follower(on_notice), told, should_stop)
            told()
            return ended
        except (StoreAway, RayGone) as error:  # as if this scheduler had died, and another one came
            lives += isinstance(error, RayGone)
            if lives > _LIVES:
                raise
            on_notice(f"{error}; going on from what is in the store")


def _lead_or_follow(
    store: Store,
    experiment: str,
    schedule: Callable[[str], Ended],
    is_local: bool,
    follower: Follower,
    told: Callable[..., None],
    should_stop: Callable[[], bool],
) -> Ended:
    """Call `schedule` once the lease is free, with the name under which it was taken; until then follow its holder."""
    identity, watch = lease.new_holder(), lease.Watch(lambda: store.away_seconds)
    while _open_runs(store, experiment):
        with store.write() as session:
            holds = lease.take(session, identity, watch)
            if holds:
                claim(session)  # before the workers are looked at: those of a copy are its original's
            if holds and is_local:
                _refuse_cluster_workers(session, identity)
        if holds:
            follower.takes_over()
            return schedule(identity)  # what is pending still afterwards was left out by a budget
        follower.follows(store)
        told()
        if should_stop():
            return "left"
        time.sleep(_FOLLOW_SECONDS)
    return follower.ended(store, experiment)


def _schedule(
    store: Store,
    experiment: str,
    identity: str,
    cluster: RayCluster,
    home: Path,
    policy: SchedulingPolicy | None,
    on_tick: Callable[..., None],
    should_stop: Callable[[], bool],
) -> Ended:
    """Run one life of a scheduler that has just taken the lease; the lease is given back, whatever happens."""
    try:
        with _joined(store, identity, cluster):
            rules = [Finetunings(Searches()).advance, stop_dominated]
            scheduler = Scheduler(
                store, cluster, identity=identity, home=home, working_directory=Path.cwd(), policy=policy, rules=rules
            )
            return "done" if scheduler.run(experiment, should_stop, on_tick) else "paused"
    finally:
        with store.write() as session:
            if cluster.is_own and lease.holds(session, identity):
                recover(session, scheduler="")  # what an exception left open: nobody else will go on with it
            lease.release(session, identity)


def _refuse_cluster_workers(session: Session, identity: str) -> None:
    """Raise `StoreError` when the last scheduler left workers on a cluster.

    A scheduler without that cluster would give up their attempts and start the runs again here, while they train on.
    """
    if names := handover.names_of_workers_left(session, scheduler=identity):
        raise StoreError(
            f"the last scheduler of this store left {len(names)} worker{'s' if len(names) > 1 else ''} on a Ray cluster, which may still be training",
            hint="submit with --address of that cluster; if it is gone, with that of any other, where their runs start again",
        )


@contextmanager
def _joined(store: Store, identity: str, cluster: RayCluster) -> Iterator[None]:
    """Keep Ray joined, and the lease renewed while Ray starts and ends.

    On a busy machine, or after Ray's own death, either may take longer than the lease lasts.
    """
    with _lease_kept(store, identity):
        cluster.__enter__()
    try:
        yield
    finally:
        with _lease_kept(store, identity):
            cluster.__exit__()


@contextmanager
def _lease_kept(store: Store, identity: str) -> Iterator[None]:
    """Renew the lease from a thread while the body runs."""
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


def _open_runs(store: Store, experiment: str) -> bool:
    with store.read() as session:
        counts = queries.status_counts(session, experiment)
    return any(not RunStatus(status).is_final and status != RunStatus.PAUSED for status in counts)


class _Clock:
    """Remembers when this command began, and when it is to look again."""

    def __init__(self) -> None:
        self.started = self._next_look = time.monotonic()

    def seldom(self, told: Callable[..., None]) -> Callable[..., None]:
        """Return a function to be called at any time, which calls `told` at most twice a second and for at most a thirtieth of the time."""

        def tell(running: object) -> None:
            if (started := time.monotonic()) >= self._next_look:
                told(running)
                self._next_look = started + max(_TICK_SECONDS, _SHARE * (time.monotonic() - started))

        return tell
