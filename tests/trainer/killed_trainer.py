"""Trains small runs that stop dead at named moments, so that another process can kill them there.

    python -m tests.trainer.killed_trainer STEP [FOLDER POINT]…

Each run is a process of its own, forked from one that has imported everything: their ids are its first line. A run checkpoints as often as
it can; at its point it prints that and sleeps. When nothing more comes from stdin, how each of them ended is the last line.
"""

import os
import sys
import time
import traceback
from functools import partial
from pathlib import Path

from tests.trainer import small_run
from tests.trainer.conftest import compiling_quickly
from trainer import train
from trainer.audit import Recorder
from trainer.data.loader import Loader

POINTS = {
    "data read, step not taken": "the batch is there, the parameters are those before it",
    "step taken, not recorded": "the parameters are those after it, the audit does not know",
    "before the commit": "the checkpoint's files are written, its manifest is not there yet",
    "after the commit": "the manifest is there, nobody has been told",
    "stopped at an epoch's end": "the checkpoint is of the last step of an epoch",
}

CONFIG = small_run.config(depth=1)
"""Everything but stochastic depth, which needs a second block: it draws from the same stream as dropout."""


def halt(folder, point):
    """Stand still. The thread that writes checkpoints goes on, and there is one before this is told."""
    deadline = time.monotonic() + 60
    while not any(Path(folder).glob("checkpoints/*/manifest.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    print(f"{point}\n", end="", flush=True)  # in one piece, since others write there too
    time.sleep(600)


def before(owner, name, moment, halt):
    original = getattr(owner, name)

    def wrapped(*arguments):
        if moment(*arguments):
            halt()
        return original(*arguments)

    setattr(owner, name, wrapped)


def after(owner, name, moment, halt):
    original = getattr(owner, name)

    def wrapped(*arguments):
        result = original(*arguments)
        if moment(result, *arguments):
            halt()
        return result

    setattr(owner, name, wrapped)


def run(folder, point, step):
    stop_here = partial(halt, folder, point)

    def is_manifest(_draft, target):
        return str(target).endswith(f"/{step}/manifest.json")

    taken = iter(range(10**6))
    stop, on_event = (lambda: False), None
    if not point.startswith(("data", "step")):  # asked to stop at that step, so that its checkpoint is being written
        stop = lambda: next(taken) == step  # noqa: E731
    if point == "data read, step not taken":
        after(Loader, "__next__", lambda batch, _loader: batch.step == step, stop_here)
    elif point == "step taken, not recorded":
        before(Recorder, "record_batch", lambda _recorder, batch: batch.step == step, stop_here)
    elif point == "before the commit":
        before(os, "replace", is_manifest, stop_here)
    elif point == "after the commit":
        after(os, "replace", lambda _result, *paths: is_manifest(*paths), stop_here)
    elif point == "stopped at an epoch's end":
        on_event = lambda event: stop_here() if event["kind"] == "checkpoint" and event["step"] == step else None  # noqa: E731
    else:
        raise SystemExit(f"no point {point!r}")
    with compiling_quickly():
        train(CONFIG, directory=folder, checkpoint_seconds=0.0, should_stop=stop, on_event=on_event)


def forked(*arguments):
    """The id of a process that does this run and nothing else. One that does not come to its point says so."""
    if process := os.fork():
        return process
    try:
        run(*arguments)
    except BaseException:  # noqa: BLE001 - the parent is told below
        traceback.print_exc()
    print("it did not stand still", flush=True)
    os._exit(1)


def main(step, *runs):
    processes = [forked(folder, point, int(step)) for folder, point in zip(runs[::2], runs[1::2], strict=True)]
    print(*processes, flush=True)
    sys.stdin.read()
    print(*[os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes])


if __name__ == "__main__":
    main(*sys.argv[1:])
