"""Rows to put into a store."""

from orchestrator.messages import Assignment
from orchestrator.resources import Resources, RunOptions
from orchestrator.store import ledger
from orchestrator.store.grid import accept
from tests.trainer import test_rehearsal
from trainer import ScheduleConfig


def a_run(run_id="a" * 16, **changes):
    return {
        "id": run_id, "family": "nfnet", "model": "nano-F0", "dataset": "digits", "epochs": 1.0, "learning_rate": 1.6, "batch_size": 64,
        "seed": 0, "config": {"seed": 0}, "shape": "s", "resources": Resources("cpu", 1), "options": RunOptions(), "params": 10, "steps": 100,
        "examples_seen": 6400, "unique_examples": 1347, "train_flops": 1e9,
    } | changes  # fmt: skip


def rehearsal(seconds, seed=0, **changes):
    """A row of a rehearsal that takes so many real seconds on one real CPU core, 100 steps a second."""
    steps = round(100 * seconds)
    config = test_rehearsal.config(seed=seed, schedule=ScheduleConfig(epochs=steps * 64 / 1000))
    options = RunOptions(execution={"params": 10, "speed": 100.0, "step_seconds": 1.0})
    return a_run(config.run_id(), config=config.to_dict(), options=options, steps=steps, seed=seed, **changes)


def rehearsals(*seconds):
    return [rehearsal(duration, seed) for seed, duration in enumerate(seconds)]


def accepted(store, *runs, name="study", shared=None, revise=False):
    with store.write() as session:
        return accept(
            session,
            name=name,
            file="f.yaml",
            text="",
            resolved={"runs": [run["id"] for run in runs]},
            shared=shared or {},
            runs=runs,
            revise=revise,
        )


def an_assignment(token="t", directory="/home/1", **changes):
    fields = {"config": {}, "working_directory": "/home", "compile_cache": "/home/compile-cache", "checkpoint_seconds": 60.0}
    return Assignment(token=token, directory=directory, **(fields | changes))


def granted(store, run_id="a" * 16, home="/home"):
    with store.write() as session:
        allocation = ledger.open_allocation(session, scheduler="me", shape="s", accelerator="cpu", cores=2)
        return ledger.begin_attempt(session, run_id, allocation_id=allocation, home=home)
