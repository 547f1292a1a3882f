"""The trainer process: one model shape, many runs, spoken to through a pipe.

    python -P -u -m orchestrator.cluster.host FD      stdin: JSON lines of commands      file descriptor FD: JSON lines of events

Commands: `{"run": {token, config, directory, resume_from, …}}` and `{"stop": token}`. Events are those of `trainer.train`, plus `placed` (on
what it runs) and `raised` when it raises; each carries the token and `elapsed`, seconds since the command came. They also go to
`<directory>/events.jsonl`, so that nothing is lost when nobody listens. What the training prints goes to `<directory>/log.txt`.

The pipe is also the leash: when stdin ends (its owner died), the run is checkpointed and the process leaves. SIGTERM does the same.

A run may be trained by several such processes: each is given the same command with its own `group`: {coordinator, count, index}. Process 0
tells of the training; the others say only `placed`, `left` when they are through, and `raised`. A stop asked of one stops all, at one
step. Whoever hosts them lets them share one fate: when one dies, kill the others.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

from orchestrator.cluster.spool import Spool
from scaling.errors import ScalingError
from trainer.config import TrainConfig
from trainer.models import simulated
from trainer.witness import Witness

__all__ = ["main", "set_aside"]

_ALIVE_SECONDS = 5.0
"""How often a training that has nothing else to say says that it goes on."""


class _Stop:
    """Who was asked to stop: a run by its token, or, when the leash is let go or a signal comes, every run."""

    def __init__(self) -> None:
        self._tokens: set[str] = set()
        self.all = False

    def add(self, token: str) -> None:
        self._tokens.add(token)

    def covers(self, token: str) -> bool:
        return self.all or token in self._tokens


def main(events_fd: int) -> None:
    """Serve commands until stdin ends."""
    commands: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    stop = _Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(stop, "all", True))
    threading.Thread(target=_listen, args=(commands, stop), daemon=True).start()
    with os.fdopen(events_fd, "w", buffering=1) as pipe:
        while (command := commands.get()) is not None:
            _serve(command["run"], stop, pipe)
            if stop.all:
                return  # whoever told the process to stop meant the next run too; its owner starts a fresh one


def _listen(commands: SimpleQueue[dict[str, Any] | None], stop: _Stop) -> None:
    for line in sys.stdin:
        command = json.loads(line)
        if "stop" in command:
            stop.add(command["stop"])
        else:
            commands.put(command)
    stop.all = True
    commands.put(None)


def _serve(order: dict[str, Any], stop: _Stop, pipe: TextIO) -> None:
    """Train one run; every ending becomes an event."""
    started = time.monotonic()
    spool: Spool | None = None
    witness: Witness | None = None

    def emit(event: dict[str, Any]) -> None:
        line = json.dumps(event | {"token": order["token"], "elapsed": time.monotonic() - started}) + "\n"
        if witness is not None:
            witness.saw(event)
        if spool is not None and event["kind"] != "alive":
            spool.write(line)
        try:
            pipe.write(line)
        except BrokenPipeError:
            stop.all = True  # nobody listens: the spool has it all, and the leash ends the run

    try:
        directory = Path(order["directory"])
        group = order.get("group")
        if group is None:  # several would do it to one another
            set_aside(directory, order["token"])
        directory.mkdir(parents=True, exist_ok=True)
        index = group["index"] if group else 0
        suffix = f"-{index}" if index else ""
        spool = Spool(directory / f"events{suffix}.jsonl")
        witness = Witness(directory, order["token"]) if index == 0 else None
        with (directory / f"log{suffix}.txt").open("a", buffering=1) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        _train(order, stop, emit)
    except BaseException as error:  # noqa: BLE001 - the edge of the process: it must say how it ended
        raised = {
            "kind": "raised",
            "step": 0,
            "reason": _reason(error),
            "out_of_memory": _is_out_of_memory(error),
            "of_the_group": bool(order.get("group")) and _may_be_a_peers_fault(error),
        }
        emit(raised)
        with suppress(OSError):
            traceback.print_exc()
    finally:
        for record in (spool, witness):
            if record is not None:
                record.close()


def set_aside(directory: Path, token: str) -> None:
    """An attempt's folder is new, unless another store has trained the same run under the same home: then its files go elsewhere."""
    try:
        with (directory / "events.jsonl").open(encoding="utf-8") as spool:
            if json.loads(spool.readline() or "{}").get("token") == token:
                return
    except FileNotFoundError:
        return
    except ValueError:
        pass  # cut off in writing its first line: it got nowhere
    number = next(number for number in count(1) if not directory.with_name(f"{directory.name}.old-{number}").exists())
    directory.rename(directory.with_name(f"{directory.name}.old-{number}"))


def _train(order: dict[str, Any], stop: _Stop, emit: Any) -> None:
    if order["working_directory"] not in sys.path:
        sys.path.append(order["working_directory"])  # a user's own families and data sets; last, so that they shadow nothing

    config = TrainConfig.from_dict(order["config"])
    if config.model.family == simulated.FAMILY:
        _rehearse(config, order, stop, emit)
        return

    import jax

    from orchestrator.provenance import code_version
    from trainer import Execution, train
    from trainer.distributed import mesh_over, whole_mesh

    _configure(jax, order)
    devices = jax.local_devices()
    emit(
        {
            "kind": "placed",
            "step": 0,
            "host": socket.gethostname(),
            "device": devices[0].device_kind,
            "devices": len(devices),
            "threads": int(os.environ.get("NPROC", os.cpu_count() or 1)),
            "jaxlib_version": jax.lib.__version__,
            "code_version": code_version(),
        }
    )
    result = train(
        config,
        directory=order["directory"],
        resume_from=order.get("resume_from"),
        should_stop=_polled(stop, order["token"], emit),
        on_event=emit,
        mesh=whole_mesh() if order.get("group") else mesh_over(devices),
        execution=Execution.from_dict(order.get("execution") or {}),
        evaluate_at=order.get("evaluate_at") or (),
        checkpoint_seconds=order["checkpoint_seconds"],
    )
    if jax.process_index() > 0:
        emit({"kind": "left", "step": result.last_step, "outcome": str(result.outcome)})


def _polled(stop: _Stop, token: str, emit: Any) -> Callable[[], bool]:
    """`should_stop` of a training, which also tells every few seconds that the training asks."""
    told = time.monotonic()

    def should_stop() -> bool:
        nonlocal told
        if time.monotonic() - told > _ALIVE_SECONDS:
            told = time.monotonic()
            emit({"kind": "alive", "step": 0})
        return stop.covers(token)

    return should_stop


def _rehearse(config: TrainConfig, order: dict[str, Any], stop: _Stop, emit: Any) -> None:
    """A run that is only simulated: the same process, orders and events, without JAX."""
    from orchestrator.provenance import code_version
    from trainer.simulated import simulate

    resources = order["resources"]
    place = {"host": socket.gethostname(), "device": resources["accelerator"], "devices": resources["chips"], "threads": 1}
    emit({"kind": "placed", "step": 0, **place, "jaxlib_version": None, "code_version": code_version()})
    simulate(
        config,
        params=order["params"],
        step_seconds=resources["step_seconds"],
        speed=resources["speed"],
        directory=order["directory"],
        resume_from=order.get("resume_from"),
        should_stop=_polled(stop, order["token"], emit),
        on_event=emit,
        checkpoint_seconds=order["checkpoint_seconds"],
    )


def _configure(jax: Any, order: dict[str, Any]) -> None:
    """Keep compiled programs on disk, so that a second process of a shape loads what the first compiled; find the group's others, once."""
    jax.config.update("jax_compilation_cache_dir", order["compile_cache"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if (group := order.get("group")) and not jax.distributed.is_initialized():
        from trainer.distributed import Group, join

        join(Group(**group))


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):  # also of a process without JAX
        return True
    from trainer.memory import is_out_of_memory

    return is_out_of_memory(error)


def _may_be_a_peers_fault(error: BaseException) -> bool:
    """A peer that died shows as a failed collective, which JAX raises as its own error or, from Gloo, as a ValueError."""
    return type(error).__name__ == "JaxRuntimeError" or "gloo" in str(error).lower()


def _reason(error: BaseException) -> str:
    """One line: of our own errors what is wrong and what to do, of others also what they are called."""
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, ScalingError):
        return f"{text} ({error.hint})" if error.hint else text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    main(int(sys.argv[1]))
