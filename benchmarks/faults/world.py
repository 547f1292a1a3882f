"""The world that is struck: a Ray cluster of this process, two small disks, and the commands that work on them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.faults.server import Server

__all__ = ["HANG_SECONDS", "WORKER_TIMEOUT_SECONDS", "Attempt", "World", "new_world", "traced"]

SCALING = [sys.executable, "-P", "-m", "scaling.cli"]
HANG_SECONDS = 5.0
WORKER_TIMEOUT_SECONDS = 30.0
_DISK = "128m"


@dataclass(frozen=True)
class Attempt:
    """An open attempt, by the store and by its trace: the process that trains it, and the actor that owns the process."""

    run_id: str
    number: int
    folder: Path
    pid: int
    resume_step: int

    @property
    def actor_pid(self) -> int:
        return int((Path("/proc") / str(self.pid) / "stat").read_text().rpartition(")")[2].split()[1])

    @property
    def leash_pid(self) -> int:
        """The process between the trainer and a user's program. Raises `OSError` where there is none."""
        return _child(self.pid, b"orchestrator.cluster.leash")

    @property
    def program_pid(self) -> int:
        """A user's program. Raises `OSError` where there is none."""
        return _child(self.leash_pid, b"train.py")


class World:
    """root: a folder of its own. cluster: Ray's, of which this process is the driver of none.

    others: further stores that work in the same home on the same grid, each with its command.

    server: holds the store, in its database `database`; None where the store is a file. is_local: commands start a Ray of their own.
    """

    def __init__(self, root: Path, cluster: Any, *, server: Server | None = None, is_local: bool = False) -> None:
        self.root, self.cluster, self.server, self.is_local = root, cluster, server, is_local
        self.database = server.new_database() if server else ""
        self.home, self.disk, self.traps = root / "home", root / "disk", root / "traps"
        self.db = self.disk / "scaling.db"
        self.commands: list[subprocess.Popen[bytes]] = []
        self.others: dict[Path, subprocess.Popen[bytes]] = {}
        self.api: subprocess.Popen[bytes] | None = None
        self.nodes: list[Any] = []
        self.left: list[Any] = []
        self.file = root / "grid.yaml"

    # -- commands ----------------------------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "SCALING_DB": self.server.url(self.database) if self.server else str(self.db),
            "SCALING_HOME": str(self.home),
            "SCALING_FAULTS": str(self.traps),
            "NO_COLOR": "1",
        }

    def submit(self, **extra: str) -> subprocess.Popen[bytes]:
        """Start the command; its words go to a log."""
        process = self._submit(extra)
        self.commands.append(process)
        return process

    def submit_other(self, db: Path) -> None:
        """Start the command on another store than the world's own, unless it is at work."""
        if db not in self.others or self.others[db].poll() is not None:
            self.others[db] = self._submit({"SCALING_DB": str(db)})

    def _submit(self, extra: dict[str, str]) -> subprocess.Popen[bytes]:
        where = ["--address", "local" if self.is_local else self.cluster.address]
        arguments = ["submit", str(self.file), *where, "--checkpoint-seconds", "1", "--yes", "--json"]
        if "simulate:" in self.file.read_text():
            arguments.append("--simulate")
        with (self.root / "submit.log").open("ab") as log:
            return subprocess.Popen(
                [
                    *SCALING,
                    *arguments,
                    "--hang-seconds",
                    f"{HANG_SECONDS:g}",
                    "--worker-timeout-seconds",
                    f"{WORKER_TIMEOUT_SECONDS:g}",
                ],
                cwd=self.root,
                env=self.environment() | extra,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def living(self) -> list[subprocess.Popen[bytes]]:
        """Commands that have not ended."""
        return [process for process in self.commands if process.poll() is None]

    def scheduler(self) -> subprocess.Popen[bytes] | None:
        """The command that holds the lease."""
        with self.opened() as store:
            row = store.execute("SELECT pid FROM leases").fetchone()
        return next((process for process in self.living() if row and process.pid == row[0]), None)

    def serve(self) -> None:
        """Start the pages, or start them again."""
        with (self.root / "serve.log").open("ab") as log:
            self.api = subprocess.Popen(
                [*SCALING, "serve", "--port", "0", "--host", "127.0.0.1"],
                cwd=self.root,
                env=self.environment(),
                stdout=log,
                stderr=log,
            )

    @contextmanager
    def opened(self, db: Path | None = None) -> Iterator[Any]:
        """The store, or another one's file, without this project's code: `execute(query, parameters)`, with `?` for each. Raises `sqlite3.Error`
        whatever it is."""
        if db is not None or self.server is None:
            connection = sqlite3.connect(f"file:{db or self.db}?mode=ro", uri=True, timeout=60)
        else:
            connection = self.server.connected(self.database)
        try:
            yield connection
        finally:
            connection.close()

    @property
    def has_store(self) -> bool:
        """Whether a command has made its tables."""
        if self.server is None:
            return self.db.exists()
        with self.opened() as store:
            return store.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()[0]

    # -- what is there -----------------------------------------------------------------------------------------------------------

    def attempts(self) -> list[Attempt]:
        """Open attempts whose trainer has said that it started."""
        with self.opened() as store:
            rows = store.execute(
                "SELECT a.run_id, a.number, a.directory, r.resume_step FROM attempts a JOIN runs r ON r.id = a.run_id"
                " WHERE a.ended_at IS NULL AND a.token = r.token"
            ).fetchall()
        found = []
        for run_id, number, directory, resume_step in rows:
            lines = traced(Path(directory))
            if lines and lines[-1]["kind"] not in ("ended", "raised", "died") and _is_trainer(lines[-1]["pid"]):
                found.append(Attempt(run_id, number, Path(directory), lines[-1]["pid"], resume_step))
        return found

    def attempt_of(self, pid: int) -> tuple[str, int] | None:
        """Run and number of the attempt that a trainer process was at last."""
        newest: tuple[float, str, int] | None = None
        for path in self.home.glob("*/*/*/fault_trace.jsonl"):
            lines = traced(path.parent)
            if lines and lines[-1]["pid"] == pid and path.parent.name.isdigit():
                newest = max(newest or (0.0, "", 0), (lines[-1]["at"], path.parent.parent.name, int(path.parent.name)))
        return newest and newest[1:]

    def has_ended(self, run_id: str, number: int) -> bool:
        """Whether the store knows that an attempt is over."""
        with self.opened() as store:
            row = store.execute("SELECT ended_at FROM attempts WHERE run_id = ? AND number = ?", (run_id, number)).fetchone()
        return bool(row and row[0])

    def goes_on(self, run_id: str, number: int) -> bool:
        """Whether a later attempt of the run has started, by its trace, or nothing is left to do for it."""
        with self.opened() as store:
            later = store.execute("SELECT directory FROM attempts WHERE run_id = ? AND number > ?", (run_id, number)).fetchall()
        if any(traced(Path(directory)) for (directory,) in later):
            return True
        with self.opened() as store:
            row = store.execute("SELECT status FROM runs WHERE id = ?", (run_id,)).fetchone()
        return row is None or row[0] in ("finished", "diverged", "failed", "cancelled", "stopped")

    def taken_over(self, holder: int, since: float) -> tuple[bool, bool]:
        """Whether another living command holds the lease than the process `holder`, and whether it has written since a time."""
        with self.opened() as store:
            row = store.execute("SELECT pid FROM leases").fetchone()
            moment = datetime.fromtimestamp(since, UTC).replace(tzinfo=None).isoformat(" ")
            wrote = store.execute(
                "SELECT 1 FROM attempts WHERE heartbeat_at > ? OR ended_at > ? LIMIT 1", (moment, moment)
            ).fetchone()
        other = bool(row) and row[0] != holder and any(process.pid == row[0] for process in self.living())
        return other, other and bool(wrote)

    def open_runs(self) -> int:
        """Runs without a final status."""
        with self.opened() as store:
            return store.execute("SELECT count(*) FROM runs WHERE status IN ('pending', 'running', 'paused')").fetchone()[0]


def traced(folder: Path) -> list[dict[str, Any]]:
    """The lines of an attempt's fault trace; one that was cut off is the last."""
    lines = []
    with suppress(OSError):
        for line in (folder / "fault_trace.jsonl").read_text().splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
    return lines


def _child(pid: int, word: bytes) -> int:
    """The child of a process that has a word in its command, once it runs that. Raises `ProcessLookupError`."""
    for child in (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split():
        words = (Path("/proc") / child / "cmdline").read_bytes()
        if word in words and (word == b"orchestrator.cluster.leash") == (b"orchestrator.cluster.leash" in words):
            return int(child)
    raise ProcessLookupError(pid)


def _is_trainer(pid: int) -> bool:
    with suppress(OSError):
        return b"orchestrator.cluster.host" in (Path("/proc") / str(pid) / "cmdline").read_bytes()
    return False


@contextmanager
def new_world(cores: int, *, disks: bool = True, served: bool = False, is_local: bool = False) -> Iterator[World]:
    """A cluster, and with `disks` two file systems of 128 MB in memory, which takes root; all gone afterwards.

    served: the store is in a PostgreSQL server. is_local: commands start a Ray of their own beside the cluster.
    """
    root, environment = Path(tempfile.mkdtemp(prefix="flt-")), dict(os.environ)
    (root / "traps").mkdir()
    os.environ["SCALING_FAULTS"] = str(root / "traps")
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # for workers on the cluster as for commands
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster

    for name in ("home", "disk"):
        (root / name).mkdir()
        if disks:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", root / name], check=True)
    resources = {"num_cpus": cores, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=resources)
    server = Server() if served else None
    world = World(root, cluster, server=server, is_local=is_local)
    try:
        yield world
    finally:
        for process in [*world.living(), *world.others.values(), *([world.api] if world.api else [])]:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        for node in list(cluster.list_all_nodes()):
            cluster.remove_node(node, allow_graceful=False)  # gracefully takes half a minute each
        _kill_all(f"SCALING_FAULTS={root / 'traps'}")
        for name in ("home", "disk") if disks else ():
            _unmount(root / name)
        if server is not None:
            server.close()
        shutil.rmtree(root, ignore_errors=True)
        os.environ.clear()
        os.environ.update(environment)


def _kill_all(variable: str) -> None:
    """Kill the processes that were started with a variable in their environment: a stopped one outlives its owner, since only the kernel ends it."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


def _unmount(path: Path) -> None:
    for _ in range(20):
        if subprocess.run(["umount", path], capture_output=True).returncode == 0:
            return
        time.sleep(0.2)
    subprocess.run(["umount", "-l", path], check=False)
