"""How long a run takes that does nothing: from dispatch to a result that is durably committed; against Ray Tune with reused actors.

    python benchmarks/dispatch.py [--runs 500] [--cells 60] [--no-peer] [--profile]

- dispatch: rehearsals whose steps take no time, one worker, through the whole path: attempt begun in the store, worker
  actor, trainer process, events, result and charge committed to SQLite with synchronous=FULL.
- Ray Tune: trials that return at once, one at a time, actors reused, in the same script and on the same kind of cluster.
- makespan: a grid of 300 runs of five sizes, rehearsed on slices, against the lower bound max(longest run, work / slices).
- memory: of the scheduler's process, after a tenth of the runs and after all.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

_GRID = """\
name: {name}
dataset: {{name: declared, title: {name}, train_examples: {examples}, validation_examples: 100, num_classes: 10, image_shape: [32, 32, 3]}}
models: {models}
epochs: {epochs}
batch_size: 100
learning_rate: 0.1
seeds: {seeds}
resources: {{accelerator: TPU-v4, topology: 1x1x1}}
simulate: {{chips: {chips}, speed: {speed}}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the makespan's grid, by its lower bound; 0 leaves it out")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scaling-dispatch-") as name:
        folder = Path(name)
        no_op_runs(folder, arguments.runs, profile=arguments.profile)
        if arguments.seconds:
            makespan(folder, arguments.seconds)
        if not arguments.no_peer:
            ray_tune(folder, min(arguments.runs, 100))


class Study:
    """A store and a scheduler that sees one grid through, and notes when each run ended."""

    def __init__(self, folder: Path, **fields: Any) -> None:
        from orchestrator.experiments_file import read_spec
        from orchestrator.planning.accept import accept_plan
        from orchestrator.planning.plan import make_plan
        from orchestrator.store import Store

        self.folder = folder
        folder.mkdir(parents=True)
        file = folder / "grid.yaml"
        file.write_text(_GRID.format(**fields))
        self.plan = make_plan(*read_spec(file, simulate=True))
        self.store = Store.open(str(folder / "scaling.db"))
        accept_plan(self.store, self.plan)

    def run(self) -> None:
        from orchestrator.scheduling.see_through import see_through

        ended = see_through(self.store, self.plan.spec.name, home=self.folder / "runs", temp_dir=None, on_progress=self.on_progress)
        assert ended == "done"

    def on_progress(self, progress: Any) -> None:
        pass

    def attempts(self) -> list[Any]:
        from sqlalchemy import select

        from orchestrator.store.models import Attempt

        with self.store.read() as session:
            query = select(Attempt.started_at, Attempt.ended_at, Attempt.outcome).order_by(Attempt.ended_at)
            return list(session.execute(query))


def no_op_runs(folder: Path, runs: int, *, profile: bool) -> None:
    """The time between the ends of two runs that follow each other on one worker."""
    memory: list[tuple[int, int]] = []

    class Watched(Study):
        def on_progress(self, progress: Any) -> None:
            memory.append((progress.counts.get("finished", 0), _resident_bytes()))

    study = Watched(
        folder / "no-op", name="no-op", examples=100, models="[F0]", epochs="[1]", seeds=list(range(runs)), chips=1, speed="1e15"
    )
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    study.run()
    profiler.disable()
    ends = [ended for _, ended, outcome in study.attempts() if outcome == "finished"]
    assert len(ends) == runs
    gaps = sorted((after - before).total_seconds() * 1e3 for before, after in itertools.pairwise(ends))
    whole = (ends[-1] - ends[0]).total_seconds() * 1e3 / (runs - 1)
    print(
        f"no-op runs: {whole:.1f} ms each over {runs} runs (median {statistics.median(gaps):.1f}, p95 {gaps[int(0.95 * len(gaps))]:.1f}),"
        f" one durable commit each; a sync of this disk takes {_sync_milliseconds(folder):.1f} ms"
    )
    early = min((entry for entry in memory if entry[0] >= runs // 10), default=memory[0])
    print(f"memory of the scheduler: {early[1] >> 20} MB after {early[0]} runs, {memory[-1][1] >> 20} MB after {memory[-1][0]}")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def makespan(folder: Path, seconds: float) -> None:
    """60 cells × 5 seeds on 4 slices; the lower bound is `seconds` of real time."""
    fields: dict[str, Any] = {
        "name": "makespan",
        "examples": 1_000_000,
        "models": "[F0, F1, F3, F3+, F7]",
        "epochs": "[0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4]",
        "seeds": "[0, 1, 2, 3, 4]",
        "chips": 4,
    }
    work = [run.estimated_seconds for run in Study(folder / "sizes", speed=1.0, **fields).plan.runs]
    bound = max(max(work), sum(work) / fields["chips"])
    study = Study(folder / "makespan", speed=bound / seconds, **fields)
    study.run()
    attempts = study.attempts()
    taken = (max(ended for _, ended, _ in attempts) - min(started for started, _, _ in attempts)).total_seconds()
    print(f"makespan of {len(work)} runs on 4 slices: {taken:.1f} s, lower bound {seconds:.1f} s, ratio {taken / seconds:.3f}")


def ray_tune(folder: Path, trials: int) -> None:
    """Ray Tune with actors that are reused, one trial at a time; by its own times of result."""
    try:
        from ray import tune
    except ImportError as error:
        print(f"Ray Tune: not installed ({error})")
        return
    import ray

    class NoOp(tune.Trainable):
        def step(self) -> dict[str, Any]:
            return {"loss": 0.0, "done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            pass

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    started = time.monotonic()
    tuner = tune.Tuner(
        NoOp,
        param_space={"seed": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
    )
    results = tuner.fit()
    taken = time.monotonic() - started
    ends = sorted(result.metrics["timestamp"] for result in results)
    print(
        f"Ray Tune: {1e3 * taken / trials:.1f} ms a trial over {trials} trials, reused actors ({ends[-1] - ends[0]} s first to last)"
    )
    ray.shutdown()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _sync_milliseconds(folder: Path) -> float:
    import os

    times = []
    with (folder / "sync").open("wb") as file:
        for _ in range(50):
            started = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


if __name__ == "__main__":
    main()
