"""Trains a small run and stops dead at a named moment, so that another process can kill it there.

    python -m tests.trainer.killed_trainer FOLDER CACHE POINT STEP

It checkpoints as often as it can. At the point it prints a line and sleeps.
"""

import os
import sys
import time

import jax

from tests.trainer import small_run
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


def halt():
    print("there", flush=True)
    time.sleep(600)


def before(owner, name, moment):
    original = getattr(owner, name)

    def wrapped(*arguments):
        if moment(*arguments):
            halt()
        return original(*arguments)

    setattr(owner, name, wrapped)


def after(owner, name, moment):
    original = getattr(owner, name)

    def wrapped(*arguments):
        result = original(*arguments)
        if moment(result, *arguments):
            halt()
        return result

    setattr(owner, name, wrapped)


def main(folder, cache, point, step):
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

    def is_manifest(_draft, target):
        return str(target).endswith(f"/{step}/manifest.json")

    taken = iter(range(10**6))
    stop, on_event = (lambda: False), None
    if not point.startswith(("data", "step")):  # asked to stop at that step, so that its checkpoint is being written
        stop = lambda: next(taken) == step  # noqa: E731
    if point == "data read, step not taken":
        after(Loader, "__next__", lambda batch, _loader: batch.step == step)
    elif point == "step taken, not recorded":
        before(Recorder, "record_batch", lambda _recorder, batch: batch.step == step)
    elif point == "before the commit":
        before(os, "replace", is_manifest)
    elif point == "after the commit":
        after(os, "replace", lambda _result, *paths: is_manifest(*paths))
    elif point == "stopped at an epoch's end":
        on_event = lambda event: halt() if event["kind"] == "checkpoint" and event["step"] == step else None  # noqa: E731
    else:
        raise SystemExit(f"no point {point!r}")
    train(small_run.config(), directory=folder, checkpoint_seconds=0.0, should_stop=stop, on_event=on_event)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
