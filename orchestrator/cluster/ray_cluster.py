"""Ray: joins or starts it, asks what it has, and puts workers on it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.cluster.device_request import DeviceRequest
from orchestrator.cluster.host_group import HostGroup
from orchestrator.cluster.inventory import HEAD, Node, checked_capacity, local_cores, nodes_alive
from orchestrator.cluster.mailbox import ALONE_SECONDS
from orchestrator.cluster.own_folder import own_folder
from orchestrator.cluster.protocol import WorkerLost, WorkerUnreachable
from orchestrator.cluster.ray_errors import why
from orchestrator.cluster.reservation import elsewhere, give_back
from orchestrator.cluster.token import check_token, keep_token_private
from orchestrator.cluster.worker import Worker
from orchestrator.messages import Assignment
from scaling.errors import ClusterError
from scaling.packages import check_packages

__all__ = ["RayCluster", "RayGone", "RayWorker"]

_NAMESPACE = "scaling"
"""Ray's namespace of workers that outlive their scheduler: they are found by name in it."""

_VITAL = {"raylet", "gcs_server"}
"""Processes of a Ray without which it places nothing."""

_OBJECT_STORE_BYTES = 80_000_000
_CLOSE_SECONDS = 10.0
"""How long trainer processes may take to leave before they are killed."""
_CONNECT_SECONDS = 20
_LONGEST_TEMP_DIR = 26
"""The path of a socket may have 107 bytes; below the folder come our folder (15), the session's (43) and the socket (21)."""
_ON_HEAD_SECONDS = 60


class RayGone(ClusterError):
    """Reports that the Ray that this process started has lost its raylet or its head service: nothing can be placed on it any more."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the Ray that this command started has died ({what} ended)",
            hint="the system may have killed it for want of memory; `scaling submit` goes on from the last checkpoints",
        )


class RayWorker:
    """Wraps a worker actor for the scheduler: calls return Ray references, which `RayCluster.ready` waits for.

    name: of an actor that outlives its scheduler; None of one that goes with it. reservation: what Ray would keep when the actor is killed.
    """

    def __init__(self, actor: Any, name: str | None = None, reservation: str | None = None) -> None:
        self._actor, self.name, self._reservation = actor, name, reservation

    def adopt(self, scheduler: str) -> object:
        return self._actor.adopt.remote(scheduler)

    def start(self, assignment: Assignment) -> object:
        return self._actor.start.remote(assignment.to_dict())

    def stop(self, token: str) -> object:
        return self._actor.stop.remote(token)

    def abort(self, token: str) -> object:
        return self._actor.abort.remote(token)

    def next_events(self, wait_seconds: float, after: int = -1, settled: int = -1) -> object:
        return self._actor.next_events.remote(wait_seconds, after, settled)

    def end(self) -> Any:
        """Ask it to end its trainer process."""
        return self._actor.close.remote()

    def close(self) -> None:
        """End its trainer process and give the devices back."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(self.end(), timeout=_CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Give the devices back at once."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actor)
        if self._reservation is not None:
            give_back(self._reservation)


class RayCluster:
    """Connects to Ray. `address="local"` starts one for this process alone; anything else joins that cluster.

    temp_dir: where a local Ray keeps its sockets and logs. When left out, a folder that only this user can enter. It goes with this
        process, or, when that is killed, with the next one that starts a Ray.
    alone_seconds: how long a worker on a cluster of others stays without a run and without a scheduler.
    """

    def __init__(self, address: str = "local", *, temp_dir: str | None = None, alone_seconds: float = ALONE_SECONDS) -> None:
        self.address, self._temp_dir, self.alone_seconds = address, temp_dir, alone_seconds
        self._avoided: set[str] = set()
        self._own_node: list[Node] = []
        self._left_behind = contextlib.ExitStack()

    @property
    def is_own(self) -> bool:
        """Say whether it was started for this process alone."""
        return self.address == "local"

    def __enter__(self) -> RayCluster:
        """Connect. Raises `ClusterError` when nobody answers."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        check_packages("orchestrator")
        if ray.is_initialized():
            raise ClusterError("this process has joined a Ray already", hint="ray.shutdown() leaves it; then submit again")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        if self.is_own:
            options |= {
                "address": "local",
                "num_cpus": local_cores(),
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES,
            }
            keep_token_private()
            if folder := self._temp_dir or self._left_behind.enter_context(_private_folder()):
                options["_temp_dir"] = folder
        else:
            _refuse_silent_address(self.address)
            if _is_head(self.address):
                check_token(self.address)
            options["address"] = self.address
        try:
            with _neutral_directory(), _own_signals(), _deaf_to_hangups(), _nothing_unused():
                ray.init(**options)
        except Exception as error:  # a Ray that does not come up in time is a bare Exception
            self._left_behind.close()
            cure = "is `ray start --head` running there? `--address local` needs no cluster"
            if self.is_own:
                cure = "is this machine overloaded, or short of memory or disk? nothing was lost: submit again"
            raise ClusterError(f"cannot join Ray at {self.address}: {why(error)}", hint=cure) from error
        return self

    def __exit__(self, *_exception: object) -> None:
        import ray

        ray.shutdown()
        self._left_behind.close()

    def check(self) -> None:
        """Raise `RayGone` when the Ray that this process started cannot go on. A cluster of others says itself which of its nodes live."""
        if not self.is_own:
            return
        import ray

        node: Any = ray._private.worker._global_node  # the processes that `ray.init` started: there is no public way
        if dead := {name for name, _ in node.dead_processes()} & _VITAL:
            raise RayGone(" and ".join(sorted(dead)))

    def capacity(self, request: DeviceRequest) -> int:
        """Return what `protocol.Cluster.capacity` does. For chips that are only stated any one node is enough: they take nothing of it."""
        request.check()
        nodes = self._nodes_that_stay()
        if request.stated is None:
            return checked_capacity(request, nodes, self.address)
        if not nodes:
            raise ClusterError(f"no node at {self.address} may be given a worker", hint="add nodes")
        return request.stated

    def _nodes_that_stay(self) -> list[Node]:
        """List the nodes that may be given a worker.

        A Ray of our own has one, as long as it lives: it is asked for once, and not before each run.
        """
        if self._own_node:
            return self._own_node
        left_out = self.draining() | self._avoided
        nodes = [node for node in nodes_alive() if node["NodeID"] not in left_out]
        if self.is_own:
            self._own_node = nodes
        return nodes

    def avoid(self, nodes: Iterable[str]) -> None:
        """Put no more workers on these nodes."""
        self._avoided.update(nodes)

    def new_worker(self, request: DeviceRequest, *, owner: str) -> RayWorker:
        """Start a worker actor in the background: see `protocol.Cluster`.

        On a cluster of others it outlives its scheduler: a new one finds it by its name.
        """
        import ray

        outlives: dict[str, Any] = {}
        if not self.is_own:
            outlives = {"name": f"worker-{secrets.token_hex(8)}", "namespace": _NAMESPACE, "lifetime": "detached"}
        alone_seconds = self.alone_seconds if outlives else None
        options = {"max_restarts": 0, "max_task_retries": 0, "max_concurrency": 8, **outlives}
        actor: object
        reservation = None
        if request.hosts > 1:
            name = f"hosts-{secrets.token_hex(8)}"
            reservation = None if outlives else name  # a detached actor's ends with it
            # On the head: a node that is taken away must not take with it the group of a slice that is elsewhere.
            host_group = ray.remote(HostGroup).options(num_cpus=0, resources={HEAD: 0.001}, **options)
            actor = host_group.remote(request, owner, alone_seconds, name, sorted(self._avoided))
        else:
            need = request.need
            actor = (
                ray.remote(Worker)
                .options(
                    num_cpus=need.num_cpus,
                    num_gpus=need.num_gpus,
                    resources=need.resources,
                    label_selector={**need.label_selector, **elsewhere(self._avoided)} or None,
                    **options,
                )
                .remote(request.environment, owner, alone_seconds)
            )
        return RayWorker(actor, outlives.get("name"), reservation)

    def close(self, workers: Sequence[RayWorker], meanwhile: Callable[[], None] = lambda: None) -> None:
        """End the trainer processes of all these at once, and give their devices back. `meanwhile` is called about once a second."""
        import ray

        asked, deadline = [worker.end() for worker in workers], time.monotonic() + _CLOSE_SECONDS
        while asked and time.monotonic() < deadline:
            _, asked = ray.wait(asked, num_returns=len(asked), timeout=1.0)
            meanwhile()
        for worker in workers:
            worker.kill()

    def find_worker(self, name: str) -> RayWorker | None:
        """Return the worker of that name that another scheduler left, if it lives."""
        import ray

        try:
            return RayWorker(ray.get_actor(name, namespace=_NAMESPACE), name)
        except ValueError:
            return None

    @property
    def dashboard(self) -> str:
        """Return the URL at which Ray takes jobs; empty when the cluster has no dashboard."""
        import ray

        head = ray._private.worker.get_dashboard_url()
        return f"http://{head}" if head else ""

    def on_head(self, function: Callable[..., object], *arguments: object) -> Any:
        """Call a function on the cluster's head and return its result. Raises `ClusterError` when the head cannot be asked."""
        import ray

        there = ray.remote(function).options(num_cpus=0, resources={HEAD: 0.001}, max_retries=0)
        try:
            return ray.get(there.remote(*arguments), timeout=_ON_HEAD_SECONDS)
        except ray.exceptions.RayError as error:
            raise ClusterError(
                f"the head of the cluster at {self.address} cannot be asked: {why(error)}",
                hint="is scaling installed there, in the same version?",
            ) from error

    def draining(self) -> set[str]:
        """List the nodes, by Ray's ids, that have been told that they will be taken away."""
        from ray._private.state import state  # Ray Train and Ray Serve ask here too: there is no public way

        return set(state.get_draining_nodes())

    def ready(self, references: list[object], seconds: float) -> list[object]:
        """Return those of `references` that have an answer, waiting up to `seconds` for the first."""
        import ray

        if not references:
            return []
        done, _ = ray.wait(references, num_returns=1, timeout=seconds)
        if not done or len(references) == 1:
            return done
        more, _ = ray.wait(references, num_returns=len(references), timeout=0)
        return [*done, *(reference for reference in more if reference not in done)]

    def answer(self, reference: Any) -> Any:
        """Return the value behind a reference.

        Raises `WorkerLost` when the worker or its node is gone, `WorkerUnreachable` when nobody can tell.
        """
        import ray

        try:
            return ray.get(reference)
        except ray.exceptions.ActorUnavailableError as error:
            raise WorkerUnreachable(why(error)) from error
        except ray.exceptions.RayError as error:
            raise WorkerLost(why(error), preempted=bool(getattr(error, "preempted", False))) from error


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Restore this process's signal handlers afterwards: that of `ray.init` on SIGTERM would end the command before its runs checkpoint."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _deaf_to_hangups() -> Iterator[None]:
    """Block SIGHUP for processes that start here: a terminal that closes sends it to all of them, and runs need their Ray to checkpoint.

    A SIGHUP that comes to this process meanwhile is heard afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _nothing_unused() -> Iterator[None]:
    """Start Ray without autoscaler, reader of logs and dashboard: nothing asks them, and `ray.init` waits for them to start.

    There is no public way to leave them out; where a version of Ray names them otherwise, they start.
    """
    from ray._private.node import Node

    names = ("start_monitor", "start_log_monitor", "start_api_server")
    before = {name: getattr(Node, name) for name in names if hasattr(Node, name)}
    for name in before:
        setattr(Node, name, lambda _node, *_arguments, **_options: None)
    try:
        yield
    finally:
        for name, start in before.items():
            setattr(Node, name, start)


@contextlib.contextmanager
def _private_folder() -> Iterator[str | None]:
    """Make a private folder for a Ray of our own: its usual one is open to everyone and stays. Yields None where Ray is to choose.

    Ray chooses where RAY_TMPDIR names a folder, and where no path is short enough for Ray's sockets below it.
    """
    place = next(
        (place for place in (tempfile.gettempdir(), "/tmp") if len(place) <= _LONGEST_TEMP_DIR and os.access(place, os.W_OK)), None
    )
    if place is None or os.environ.get("RAY_TMPDIR"):
        yield None
        return
    with own_folder("ray-", place) as folder:
        yield f"{folder}/r"  # Ray opens the one it is given to everyone; nobody gets through to it


@contextlib.contextmanager
def _neutral_directory() -> Iterator[None]:
    """Work in an empty folder meanwhile.

    Ray puts the driver's working directory first on its workers' path, where a folder called `trainer` would shadow ours.
    """
    before = Path.cwd()
    with own_folder("scaling-", tempfile.gettempdir()) as empty:
        os.chdir(empty)
        try:
            yield
        finally:
            os.chdir(before)


def _is_head(address: str) -> bool:
    """Say whether this is `host:port`, and not `auto` or the address of a Ray client's server."""
    return "://" not in address and address.rpartition(":")[2].isdigit()


def _refuse_silent_address(address: str) -> None:
    """Raise `ClusterError` when the port is closed: Ray itself would try for a minute."""
    import socket

    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto" or not separator or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"nobody answers at {address}: {error}", hint="is `ray start --head` running there? `--address local` needs no cluster"
        ) from error
