"""A process that writes checkpoints and is killed at every single thing it does to the disk, one life each.

    python -m tests.trainer.killed_writer FOLDER

For k = 1, 2, …: a child writes the checkpoints of steps 30 and 40 into a fresh copy of a folder that holds those of 10 and 20, and stops
before its k-th operation on that folder; this process then kills it with SIGKILL. Prints a JSON line for each: {"folder", "before": what
it was about to do}; the last life is not killed and has `before` null. It loads no JAX, so that a life costs milliseconds.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from trainer.checkpoint import Keep, Snapshot, Writer
from trainer.checkpoint.files import Piece
from trainer.storage import storage_at


def snapshot_of(step, life="0"):
    """A state and counters that only this step has."""
    numbers = np.random.default_rng(step)
    arrays = {f"params/{name}": numbers.normal(size=size).astype(np.float32) for name, size in (("kernel", (64, 65)), ("gain", 3))}
    arrays["optimizer/count"] = np.asarray(step)
    pieces = {name: [Piece((0,) * array.ndim, array)] for name, array in arrays.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    return Snapshot(step, pieces, shapes, {"position": 64 * step, "checkpoint": step // 10}, life)


def write(folder, *steps, first_step=0, keep=None, life="0"):
    """Checkpoints of `steps`, as one life of a trainer writes them; the outcome of each."""
    writer, outcomes = Writer(storage_at(folder), keep=keep or Keep(), first_step=first_step), []
    for step in steps:
        writer.submit(snapshot_of(step, life))
        outcomes.append(writer.take(wait=True))
    writer.close()
    return outcomes


def _child(folder, stop_before, pipe):
    count = 0

    def happens(what, path):
        nonlocal count
        if str(path).startswith(str(folder)):
            count += 1
            if count == stop_before:
                os.write(pipe, f"{what} {Path(path).name}".encode())
                time.sleep(600)

    def hook(event, arguments):
        if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir") and isinstance(arguments[0], str | os.PathLike):
            happens(event, arguments[0])

    fsync = os.fsync

    def counted_fsync(handle):
        happens("fsync", os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    os.fsync = counted_fsync
    sys.addaudithook(hook)
    write(folder, 30, 40, first_step=20, life="1")


def main(root):
    base = root / "base"
    write(base, 10, 20)
    for number in range(1, 1000):
        folder = root / str(number)
        shutil.copytree(base, folder)
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            try:
                _child(folder, number, send)
            finally:
                os._exit(0)
        os.close(send)
        with os.fdopen(receive) as pipe:
            before = pipe.read(1)
            if before:
                os.kill(child, signal.SIGKILL)
            before += pipe.read()
        os.waitpid(child, 0)
        print(json.dumps({"folder": str(folder), "before": before or None}), flush=True)
        if not before:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
