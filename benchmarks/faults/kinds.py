"""The kinds of faults. Each is a function of the world and a random generator that strikes and says whom; None when nobody is there to strike.

What a kind must come to: every run it struck ends as it would have ended without it, with the same bits. `expected` names what else is
right: a run that ran out of memory has failed until it is submitted again.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.world import WORKER_TIMEOUT_SECONDS, Attempt, World

__all__ = ["KINDS", "OF_PROGRAMS", "Strike"]


@dataclass
class Strike:
    """A fault that was injected. attempts: (run, attempt number) of those that cannot go on after it; empty when none has to end.

    scheduler: process of the scheduler that was struck, if one was.
    at: when, by `time.monotonic`. trap: a file that lies in wait, so nothing is struck until it is gone.
    """

    kind: str
    attempts: Sequence[tuple[str, int]] = ()
    at: float = field(default_factory=time.monotonic)
    trap: Path | None = None
    scheduler: int | None = None
    detected: float | None = None
    resumed: float | None = None


Fault = Callable[[World, random.Random], Strike | None]


def _victim(world: World, chance: random.Random, *, saved: bool = False) -> Attempt | None:
    attempts = [attempt for attempt in world.attempts() if not saved or _checkpoints(attempt)]
    return chance.choice(attempts) if attempts else None


def _checkpoints(attempt: Attempt) -> list[Path]:
    """Files of committed checkpoints, the newest first."""
    root = attempt.folder / "checkpoints"
    rehearsed = sorted(root.glob("[0-9]*.json"), key=lambda path: -int(path.stem))
    steps = sorted((path for path in root.glob("[0-9]*") if (path / "manifest.json").exists()), key=lambda path: -int(path.name))
    return rehearsed or [file for step in steps[:1] for file in sorted(step.iterdir()) if not file.name.startswith(".")]


def _kill(kind: str, pid_of: Callable[[Attempt], int]) -> Fault:
    def strike(world: World, chance: random.Random) -> Strike | None:
        attempt = _victim(world, chance)
        if attempt is None:
            return None
        with suppress(OSError):
            os.kill(pid_of(attempt), signal.SIGKILL)
            return Strike(kind, [(attempt.run_id, attempt.number)])
        return None

    return strike


def _stop_trainer(world: World, chance: random.Random) -> Strike | None:
    """It never goes on: to its owner it hangs."""
    attempt = _victim(world, chance)
    if attempt is None:
        return None
    os.kill(attempt.pid, signal.SIGSTOP)
    return Strike("trainer stopped for good", [(attempt.run_id, attempt.number)])


def _stop_program(world: World, chance: random.Random) -> Strike | None:
    """A program that has taken a step never goes on: it reports nothing."""
    attempt = _victim(world, chance)
    if attempt is None or not (attempt.folder / "program.jsonl").stat().st_size:
        return None
    os.kill(attempt.program_pid, signal.SIGSTOP)
    return Strike("program stopped for good", [(attempt.run_id, attempt.number)])


def _kill_scheduler(world: World, chance: random.Random) -> Strike | None:
    scheduler = world.scheduler()
    if scheduler is None:
        return None
    scheduler.kill()
    scheduler.wait()
    return Strike("scheduler killed", scheduler=scheduler.pid)


def _hang_up(world: World, chance: random.Random) -> Strike | None:
    """The line to the terminal drops: it checkpoints what runs, pauses and ends."""
    scheduler = world.scheduler()
    if scheduler is None:
        return None
    scheduler.send_signal(signal.SIGHUP)
    return Strike("SIGHUP", scheduler=scheduler.pid)


def _server_away(kind: str, seconds: float) -> Fault:
    """The database's server is stopped in the middle of what it does, and started again."""

    def strike(world: World, chance: random.Random) -> Strike | None:
        if world.server is None:
            return None
        strike = Strike(kind)
        world.server.stop()
        time.sleep(seconds)
        world.server.start()
        return strike

    return strike


def _kill_raylet(world: World, chance: random.Random) -> Strike | None:
    """The Ray that a command started for itself loses its raylet, and with it every worker."""
    scheduler, attempts = world.scheduler(), world.attempts()
    if scheduler is None or not world.is_local or not attempts:
        return None
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = entry.read_text().rpartition(")")
            if name.endswith("(raylet") and int(rest.split()[1]) == scheduler.pid:
                os.kill(int(entry.parent.name), signal.SIGKILL)
                return Strike("raylet killed in a rehearsal", [(attempt.run_id, attempt.number) for attempt in attempts])
    return None


def _zombie_scheduler(world: World, chance: random.Random) -> Strike | None:
    """Stopped past its lease while another waits for it, then awake again."""
    scheduler = world.scheduler()
    if scheduler is None:
        return None
    os.kill(scheduler.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    deadline = time.monotonic() + 60
    while world.scheduler() in (scheduler, None) and time.monotonic() < deadline and world.open_runs():
        time.sleep(0.1)
    time.sleep(1.0)
    os.kill(scheduler.pid, signal.SIGCONT)
    return Strike("scheduler stopped past its lease and back", at=stopped, scheduler=scheduler.pid)


def _kill_api(world: World, chance: random.Random) -> Strike | None:
    if world.api is None or world.api.poll() is not None:
        world.serve()
        return None
    world.api.kill()
    world.api.wait()
    world.serve()
    return Strike("API killed")


def _submitted_twice(world: World, chance: random.Random) -> Strike | None:
    if len(world.living()) > 2:
        return None
    world.submit()
    return Strike("the same file submitted at once")


def _damage(kind: str, harm: Callable[[bytes, random.Random], bytes]) -> Fault:
    def strike(world: World, chance: random.Random) -> Strike | None:
        attempt = _victim(world, chance, saved=True)
        files = _checkpoints(attempt) if attempt else []
        if attempt is None or not files:
            return None
        file = files[0] if len(files) == 1 or files[0].suffix == ".json" else chance.choice(files)
        with suppress(OSError):
            os.kill(attempt.pid, signal.SIGSTOP)  # it shall not write a newer one in between
            file.write_bytes(harm(file.read_bytes(), chance))
        with suppress(OSError):
            os.kill(attempt.pid, signal.SIGKILL)
        return Strike(kind, [(attempt.run_id, attempt.number)])

    return strike


def _flipped(content: bytes, chance: random.Random) -> bytes:
    place, bit = chance.randrange(len(content)), chance.randrange(8)
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def _truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def _full(kind: str, disk: Callable[[World], Path]) -> Fault:
    """The disk is full for one to three seconds. It is a small one in memory."""

    def strike(world: World, chance: random.Random) -> Strike | None:
        filler = disk(world) / "filler"
        strike = Strike(kind)
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        time.sleep(chance.uniform(1.0, 3.0))
        filler.unlink(missing_ok=True)
        return strike

    return strike


def _locked(seconds: float) -> Fault:
    def strike(world: World, chance: random.Random) -> Strike | None:
        def hold() -> None:
            connection = sqlite3.connect(world.db, timeout=60, isolation_level=None)
            with suppress(sqlite3.Error):
                connection.execute("BEGIN IMMEDIATE")
                time.sleep(seconds)
                connection.execute("ROLLBACK")
            connection.close()

        threading.Thread(target=hold).start()
        return Strike(f"database locked for {seconds:g} s")

    return strike


def _trap(point: str, what: str, kind: str) -> Fault:
    def strike(world: World, chance: random.Random) -> Strike | None:
        trap = world.traps / point
        if trap.exists() or not world.living():
            return None
        draft = trap.with_suffix(".draft")
        draft.write_text(what)
        draft.rename(trap)
        return Strike(kind, trap=trap)

    return strike


def _kill_node(world: World, chance: random.Random) -> Strike | None:
    """A second node comes, and goes by SIGKILL with whatever runs on it."""
    on_it = _on_second_node(world)
    if not on_it:
        return None
    world.cluster.remove_node(world.nodes.pop(), allow_graceful=False)
    return Strike("Ray node killed", [(attempt.run_id, attempt.number) for attempt in on_it])


def _drain_node(world: World, chance: random.Random) -> Strike | None:
    """A second node is told that it will be taken away."""
    from ray._raylet import GcsClient
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    on_it = _on_second_node(world)
    if not on_it:
        return None
    node = world.nodes.pop()
    deadline = int(1000 * (time.time() + 20))
    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    GcsClient(address=world.cluster.address).drain_node(node.node_id, reason, "spot", deadline)
    world.left.append(node)
    return Strike("node drained", [(attempt.run_id, attempt.number) for attempt in on_it])


def _on_second_node(world: World) -> list[Attempt]:
    """Attempts on the second node, which is started if there is none. A node that has been drained goes when nothing runs on it."""
    for node in list(world.left):
        if not any(_is_below(attempt.actor_pid, node) for attempt in world.attempts()):
            world.left.remove(node)
            world.cluster.remove_node(node, allow_graceful=False)
    if not world.nodes:
        world.nodes.append(world.cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20))
        return []
    return [attempt for attempt in world.attempts() if _is_below(attempt.actor_pid, world.nodes[0])]


def _stop_worker(world: World, chance: random.Random) -> Strike | None:
    """The actor and its trainer are stopped past the worker timeout, then wake up: zombies."""
    attempt = _victim(world, chance)
    if attempt is None:
        return None
    with suppress(OSError):
        pids = attempt.actor_pid, attempt.pid
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

        def wake() -> None:
            time.sleep(WORKER_TIMEOUT_SECONDS + 6.0)
            for pid in pids:
                with suppress(OSError):
                    os.kill(pid, signal.SIGCONT)

        threading.Thread(target=wake).start()
        return Strike("worker stopped past its timeout and back", [(attempt.run_id, attempt.number)])
    return None


def _is_below(pid: int, node: object) -> bool:
    """Whether a worker process belongs to a node: its parent is the node's raylet."""
    raylet = node.all_processes["raylet"][0].process.pid  # type: ignore[attr-defined]
    with suppress(OSError, ValueError, IndexError):
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1]) == raylet
    return False


def _clock(world: World, chance: random.Random) -> Strike | None:
    """The machine's clock, as the commands see it through libfaketime, is set by up to an hour, forward or back."""
    file = world.root / "clock"
    if not file.exists():
        return None
    file.write_text(f"{chance.choice((-1, 1)) * chance.randrange(60, 3600):+d}s\n")
    return Strike("wall clock set")


def _replace_store(world: World, chance: random.Random) -> Strike | None:
    """The file of the database is replaced by a copy, as from a backup. Who wrote to the old one must end, and what it wrote since is gone."""
    scheduler = world.scheduler()
    if scheduler is None:
        return None
    _copy(world.db, world.disk / "backup.db")
    for name in ("scaling.db-wal", "scaling.db-shm"):
        (world.disk / name).unlink(missing_ok=True)
    (world.disk / "backup.db").replace(world.db)
    return Strike("store replaced", scheduler=scheduler.pid)


def _copy(db: Path, target: Path) -> None:
    with closing(sqlite3.connect(db, timeout=60)) as old, closing(sqlite3.connect(target)) as copy:
        old.backup(copy)


def _remove_home(world: World, chance: random.Random) -> Strike | None:
    """All that is in the home is away for one to six seconds; or the folders of runs that are in training are gone for good."""
    if chance.random() < 0.5:
        away = world.home / ".away"
        away.mkdir(exist_ok=True)
        moved = [folder for folder in world.home.iterdir() if folder.is_dir() and folder != away and folder.name != "compile-cache"]
        strike = Strike("home removed")
        for folder in moved:
            folder.rename(away / folder.name)
        time.sleep(chance.uniform(1.0, 6.0))
        for folder in moved:
            (away / folder.name).rename(folder)
        return strike
    attempts = world.attempts()
    for attempt in attempts:
        with suppress(OSError):
            os.kill(attempt.pid, signal.SIGSTOP)
    stopped = [attempt for attempt in world.attempts() if attempt in attempts]  # the others ended meanwhile
    for attempt in stopped:
        shutil.rmtree(attempt.folder.parent, ignore_errors=True)
    for attempt in attempts:
        with suppress(OSError):
            os.kill(attempt.pid, signal.SIGCONT)
    return Strike("home removed", [(attempt.run_id, attempt.number) for attempt in stopped]) if stopped else None


def _second_store(world: World, chance: random.Random) -> Strike | None:
    """Another store begins the same grid in the same home: a new one, or a copy of the database as it is now. It is judged as well."""
    if len(world.others) > 1 or not world.scheduler():
        return None
    other = world.disk / f"other-{len(world.others)}.db"
    if chance.random() < 0.5:
        _copy(world.db, other)
    world.submit_other(other)
    return Strike("two stores in one home")


KINDS: dict[str, tuple[float, Fault]] = {
    "trainer killed": (6, _kill("trainer killed", lambda attempt: attempt.pid)),
    "worker actor killed": (3, _kill("worker actor killed", lambda attempt: attempt.actor_pid)),
    "scheduler killed": (1.5, _kill_scheduler),
    "trainer stopped for good": (1, _stop_trainer),
    "API killed": (0.7, _kill_api),
    "the same file submitted at once": (0.5, _submitted_twice),
    "checkpoint truncated": (1.5, _damage("checkpoint truncated", _truncated)),
    "checkpoint bit-flipped": (1.5, _damage("checkpoint bit-flipped", _flipped)),
    "disk full for checkpoints": (0.4, _full("disk full for checkpoints", lambda world: world.home)),
    "disk full for the database": (0.4, _full("disk full for the database", lambda world: world.disk)),
    "database locked for 2 s": (0.5, _locked(2.0)),
    "database locked for 30 s": (0.0, _locked(30.0)),
    "out of memory": (1, _trap("step", "memory", "out of memory")),
    "hang": (0.7, _trap("step", "hang", "hang")),
    "killed at an epoch's edge": (1.5, _trap("epoch", "kill", "killed at an epoch's edge")),
    "killed before a checkpoint's commit": (1.5, _trap("checkpoint-drafted", "kill", "killed before a checkpoint's commit")),
    "killed after a checkpoint's commit": (1.5, _trap("checkpoint-committed", "kill", "killed after a checkpoint's commit")),
    "killed after the result, before it is told": (
        1.5,
        _trap("result-written", "kill", "killed after the result, before it is told"),
    ),
    "scheduler killed between hearing and commit": (0.5, _trap("heard", "kill", "scheduler killed between hearing and commit")),
    "scheduler killed between end and requeue": (0.5, _trap("ended", "kill", "scheduler killed between end and requeue")),
    "scheduler killed after the commit": (0.5, _trap("written-down", "kill", "scheduler killed after the commit")),
    "scheduler killed after a grant": (0.5, _trap("granted", "kill", "scheduler killed after a grant")),
    "submit killed as it has accepted": (0.0, _trap("accepted", "kill", "submit killed as it has accepted")),
    "Ray node killed": (0.7, _kill_node),
    "node drained": (0.7, _drain_node),
    "SIGHUP": (0.7, _hang_up),
    "PostgreSQL away (5 minutes)": (0.0, _server_away("PostgreSQL away (5 minutes)", 300.0)),
    "PostgreSQL away (10 seconds)": (0.0, _server_away("PostgreSQL away (10 seconds)", 10.0)),
    "raylet killed in a rehearsal": (0.0, _kill_raylet),
    "worker stopped past its timeout and back": (0.0, _stop_worker),
    "wall clock set": (0.0, _clock),
    "store replaced": (0.0, _replace_store),
    "home removed": (0.0, _remove_home),
    "two stores in one home": (0.0, _second_store),
    "scheduler stopped past its lease and back": (0.0, _zombie_scheduler),
    "program killed": (0.0, _kill("program killed", lambda attempt: attempt.program_pid)),
    "leash killed": (0.0, _kill("leash killed", lambda attempt: attempt.leash_pid)),
    "program stopped for good": (0.0, _stop_program),
}
"""Kind → (how often it is drawn, relative to others; how it strikes). Those of weight 0 take long, or are newer than rounds that are to be replayed: they
have rounds of their own."""

OF_PROGRAMS = (
    "program killed",
    "leash killed",
    "program stopped for good",
    "trainer killed",
    "worker actor killed",
    "trainer stopped for good",
    "scheduler killed",
    "SIGHUP",
    "Ray node killed",
    "node drained",
    "hang",
    "out of memory",
    "killed before a checkpoint's commit",
    "killed after a checkpoint's commit",
    "killed after the result, before it is told",
    "scheduler killed between hearing and commit",
    "scheduler killed between end and requeue",
    "scheduler killed after the commit",
    "scheduler killed after a grant",
    "database locked for 2 s",
)
"""Kinds that strike runs which a program trains. A damaged checkpoint is not among them: it is the program's."""
