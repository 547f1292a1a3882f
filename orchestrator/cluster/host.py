"""The trainer process: one model shape, many runs, spoken to through a pipe.

    python -P -m orchestrator.cluster.host      stdin: JSON lines of commands      file descriptor 3: JSON lines of events

Commands: `{"run": {config, directory, resume_from, checkpoint_seconds}}` and `{"stop": true}`. Events are those of `trainer.train`,
plus `raised` when it raises; each carries `elapsed`, seconds since the command came. They also go to `<directory>/events.jsonl`, so
that nothing is lost when nobody listens. What the training prints goes to `<directory>/log.txt`.

The pipe is also the leash: when stdin ends (its owner died), the run is checkpointed and the process leaves.
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
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

__all__ = ["main"]

EVENTS_FD = 3


def main() -> None:
    """Serve commands until stdin ends."""
    commands: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=_listen, args=(commands, stop), daemon=True).start()
    with os.fdopen(EVENTS_FD, "w", buffering=1) as pipe:
        while (command := commands.get()) is not None:
            stop.clear()
            _serve(command["run"], stop, pipe)


def _listen(commands: SimpleQueue[dict[str, Any] | None], stop: threading.Event) -> None:
    for line in sys.stdin:
        command = json.loads(line)
        if "stop" in command:
            stop.set()
        else:
            commands.put(command)
    stop.set()
    commands.put(None)


def _serve(order: dict[str, Any], stop: threading.Event, pipe: TextIO) -> None:
    """Train one run; every ending becomes an event."""
    started = time.monotonic()
    directory = Path(order["directory"])
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "events.jsonl").open("a", buffering=1) as spool, (directory / "log.txt").open("a", buffering=1) as log:

        def emit(event: dict[str, Any]) -> None:
            line = json.dumps(event | {"elapsed": time.monotonic() - started, "pid": os.getpid()})
            spool.write(line + "\n")
            try:
                pipe.write(line + "\n")
            except BrokenPipeError:
                stop.set()  # nobody listens: the spool has it all, and the leash ends the run

        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            _train(order, stop, emit)
        except BaseException as error:  # noqa: BLE001 - the edge of the process: it must say how it ended
            traceback.print_exc()
            emit({"kind": "raised", "step": 0, "reason": _reason(error), "out_of_memory": _is_out_of_memory(error)})


def _train(order: dict[str, Any], stop: threading.Event, emit: Any) -> None:
    for folder in order.get("import_path", ()):
        if folder not in sys.path:
            sys.path.append(folder)  # a user's own families and data sets; last, so that they shadow nothing

    import jax
    from jax.sharding import Mesh

    from trainer import TrainConfig, train

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
        }
    )
    train(
        TrainConfig.from_dict(order["config"]),
        directory=order["directory"],
        resume_from=order.get("resume_from"),
        should_stop=stop.is_set,
        on_event=emit,
        mesh=Mesh(devices, ("batch",)) if len(devices) > 1 else None,
        checkpoint_seconds=order["checkpoint_seconds"],
    )


def _configure(jax: Any, order: dict[str, Any]) -> None:
    """Keep compiled programs on disk, so that a second process of a shape loads what the first compiled."""
    jax.config.update("jax_compilation_cache_dir", order["compile_cache"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _reason(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()


if __name__ == "__main__":
    main()
