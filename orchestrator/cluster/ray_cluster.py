"""Ray: join or start it, ask what it has, and put workers on it."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.cluster.worker import Worker
from orchestrator.provenance import check_packages
from scaling.accelerators import Accelerator
from scaling.errors import ClusterError

__all__ = ["RayCluster", "RemoteWorker", "WorkerLost"]

_OBJECT_STORE_BYTES = 80_000_000
_CONNECT_SECONDS = 20


class WorkerLost(ClusterError):
    """A worker or its node is gone; `preempted` when it was taken away rather than broken."""

    def __init__(self, what: str, *, preempted: bool) -> None:
        self.preempted = preempted
        super().__init__(f"the worker is gone ({what})", hint="the run is put on another worker")


class RemoteWorker:
    """A worker actor, as the scheduler holds it: calls return Ray references, which `RayCluster.ready` waits for."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def start(self, order: Mapping[str, Any]) -> Any:
        return self._actor.start.remote(dict(order))

    def stop(self, token: str) -> Any:
        return self._actor.stop.remote(token)

    def abort(self) -> Any:
        return self._actor.abort.remote()

    def next_events(self, wait_seconds: float) -> Any:
        return self._actor.next_events.remote(wait_seconds)

    def close(self) -> None:
        """End its trainer process and give the devices back."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(self._actor.close.remote(), timeout=10)
        self.kill()

    def kill(self) -> None:
        """Give the devices back at once."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actor)


@dataclass(frozen=True)
class _Need:
    """What one worker asks Ray for."""

    num_cpus: float
    num_gpus: float
    resources: dict[str, float]
    label_selector: dict[str, str]


class RayCluster:
    """A connection to Ray. `address="local"` starts one for this process alone; anything else joins that cluster."""

    def __init__(self, address: str = "local", *, temp_dir: str | None = None) -> None:
        self.address, self._temp_dir = address, temp_dir

    def __enter__(self) -> RayCluster:
        """Connect. Raises `ClusterError` when nobody answers."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        check_packages()
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        if self.address == "local":
            options |= {
                "address": "local",
                "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES,
            }
            if self._temp_dir:
                options["_temp_dir"] = self._temp_dir
        else:
            _refuse_silent_address(self.address)
            options["address"] = self.address
        try:
            with _neutral_directory(), _own_signals():
                ray.init(**options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise ClusterError(
                f"cannot join Ray at {self.address}: {_first_line(error)}",
                hint="is `ray start --head` running there? `--address local` needs no cluster",
            ) from error
        return self

    def __exit__(self, *_exception: object) -> None:
        import ray

        ray.shutdown()

    def chips(self, kind: Accelerator, *, at_least: int) -> int:
        """Chips of `kind` (cores, for a CPU) that the cluster has, busy or free. Of a real kind: simulated chips are as many as the file says.

        Raises `ClusterError` when no single node has `at_least`: a run stays on one host.
        """
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        name = _resource(kind)
        largest = max((node.get(name, 0) for node in nodes), default=0)
        _need(kind, at_least)
        if largest < at_least:
            unit = "core" if kind.name == "cpu" else "chip"
            raise ClusterError(
                f"a run needs {at_least} {kind.name} {unit}{'s' if at_least > 1 else ''} on one node;"
                f" the largest of the {len(nodes)} at {self.address} has {largest:g} {name}",
                hint="change `resources` in the file, or add nodes",
            )
        return int(sum(node.get(name, 0) for node in nodes))

    def new_worker(self, kind: Accelerator, chips: int) -> RemoteWorker:
        """Hold `chips` of `kind` on one host. The actor starts in the background."""
        import ray

        need = _need(kind, chips)
        actor = (
            ray.remote(Worker)
            .options(
                num_cpus=need.num_cpus,
                num_gpus=need.num_gpus,
                resources=need.resources,
                label_selector=need.label_selector or None,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=3,
            )
            .remote(_environment(kind, chips))
        )
        return RemoteWorker(actor)

    def ready(self, references: list[Any], seconds: float) -> list[Any]:
        """Those of `references` that have an answer, waiting up to `seconds` for the first."""
        import ray

        if not references:
            return []
        done, _ = ray.wait(references, num_returns=1, timeout=seconds)
        if not done or len(references) == 1:
            return done
        more, _ = ray.wait(references, num_returns=len(references), timeout=0)
        return [*done, *(reference for reference in more if reference not in done)]

    def answer(self, reference: Any) -> Any:
        """The value behind a reference. Raises `WorkerLost` when the worker or its node is gone."""
        import ray

        try:
            return ray.get(reference)
        except ray.exceptions.RayError as error:
            raise WorkerLost(_first_line(error), preempted=bool(getattr(error, "preempted", False))) from error


def _resource(kind: Accelerator) -> str:
    """Ray's name for it."""
    return "CPU" if kind.name == "cpu" else "TPU" if kind.name.startswith("TPU") else "GPU"


def _need(kind: Accelerator, chips: int) -> _Need:
    if kind.is_simulated:
        return _Need(0, 0, {}, {})
    if kind.name == "cpu":
        return _Need(chips, 0, {}, {})
    if not kind.name.startswith("TPU"):
        return _Need(1, chips, {}, {})
    if chips > kind.chips_per_host:
        raise ClusterError(
            f"a slice of {chips} {kind.name} chips spans several hosts, which this version plans (`--dry-run`) but does not run",
            hint=f"up to {kind.chips_per_host} chips run on one host",
        )
    generation = kind.name.removeprefix("TPU-")
    return _Need(1, 0, {"TPU": chips}, {"ray.io/tpu-pod-type": f"{generation}-{chips * kind.cores_per_chip}"})


def _environment(kind: Accelerator, chips: int) -> dict[str, str]:
    """For the trainer process, before JAX starts. NPROC fixes its threads, and with them its bits, whatever the machine has."""
    if kind.name == "cpu":
        return {"NPROC": str(chips), "OMP_NUM_THREADS": str(chips), "JAX_PLATFORMS": "cpu"}
    return {}


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """`ray.init` puts its own handler on SIGTERM, which would end the command before its runs could checkpoint."""
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
def _neutral_directory() -> Iterator[None]:
    """Ray puts the driver's working directory first on its workers' path, where a folder called `trainer` would shadow ours."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="scaling-") as empty:
        os.chdir(empty)
        try:
            yield
        finally:
            os.chdir(before)


def _refuse_silent_address(address: str) -> None:
    """Ray tries for a minute before it gives up; a closed port shows at once."""
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


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
