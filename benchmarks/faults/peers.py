"""The same sort of faults against this project, against Optuna with SQLite and against Ray Tune.

    python -m benchmarks.faults.peers scaling [--trials 24] [--kills 16] [--seed 0]
    python -m benchmarks.faults.peers optuna [--trials 24] [--kills 16] [--seed 0]      # needs `pip install optuna "ray[tune]"`
    python -m benchmarks.faults.peers tune

A trial is `STEPS` steps of 0.1 s, each appended to a trace file; Ray Tune's and this
project's checkpoint every ten, and three run at once. Both are set up to survive as their documentation says: Optuna with
heartbeats and `RetryFailedTrialCallback`, workers started again when they die; Ray Tune with `max_failures`, actors reused, and
`Tuner.restore` after the driver's death. Struck by SIGKILL, 42 times a minute on average: a random trial's process, and every fourth or fifth
time the driver (here: the scheduler). Optuna has no driver.

Reported: configurations without a finished trial (lost), with more than one (done twice), and steps done over steps needed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

STEPS = 60
_SECONDS = 0.1
_WORKERS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=("scaling", "optuna", "tune", "optuna-worker", "tune-driver"))
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--kills", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.peer == "scaling":
        this_project(arguments.trials, arguments.kills, arguments.seed)
    elif arguments.peer == "optuna-worker":
        optuna_worker(arguments.folder)
    elif arguments.peer == "tune-driver":
        tune_driver(arguments.folder, arguments.trials)
    else:
        with tempfile.TemporaryDirectory(prefix="peer-") as name:
            strike(arguments, Path(name))


def this_project(trials: int, kills: int, seed: int) -> None:
    """The rehearsal of as many runs, on a cluster with a slot for each of as many workers."""
    from benchmarks.faults.grids import alike
    from benchmarks.faults.round import play, truths_of_rehearsals
    from benchmarks.faults.world import new_world

    with new_world(cores=_WORKERS, disks=False) as world:
        world.file.write_text(alike(trials, steps=STEPS, step_seconds=_SECONDS, slots=_WORKERS))
        truths = truths_of_rehearsals(world.file)
        played = play(world, seed=seed, truths=truths, per_minute=42.0, kinds=["trainer killed", "scheduler killed"], most=kills)
    wrong = played.verdict
    print(
        f"scaling: {len(played.strikes)} kills over {trials} configurations in {played.wall_seconds:.0f} s: {len(wrong.lost)} lost,"
        f" {len(wrong.counted_twice)} finished or counted more than once, {1 / played.goodput:.2f} × the steps needed"
    )


def strike(arguments: argparse.Namespace, folder: Path) -> None:
    """Start it, kill parts of it, start again what has died, until it says that it is done or five minutes have passed."""
    chance, optuna = random.Random(arguments.seed), arguments.peer == "optuna"
    if optuna:
        new_study(folder, arguments.trials)
    role, wanted = ("optuna-worker", _WORKERS) if optuna else ("tune-driver", 1)

    def start() -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "benchmarks.faults.peers",
            role,
            "--folder",
            str(folder),
            "--trials",
            str(arguments.trials),
        ]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    processes = [start() for _ in range(wanted)]
    kills, started, due = 0, time.monotonic(), time.monotonic() + 2.0
    while time.monotonic() - started < 300.0:
        done = [process for process in processes if process.poll() is not None]
        if kills >= arguments.kills and len(done) == len(processes) and all(process.returncode == 0 for process in done):
            break
        for process in done:
            if process.returncode != 0:
                processes[processes.index(process)] = start()
        if kills < arguments.kills and time.monotonic() > due:
            victims = _at_work(folder)
            driver = not optuna and kills % 4 == 3
            if victims and not driver:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(victims), signal.SIGKILL)
                    kills += 1
            elif driver:
                processes[0].kill()
                kills += 1
            due = time.monotonic() + chance.expovariate(0.7)
        time.sleep(0.05)
    for process in processes:
        process.kill()
    report(arguments, folder, kills, time.monotonic() - started)


def _at_work(folder: Path) -> list[int]:
    """Processes that have appended to the trace in the last half second."""
    now, found = time.time(), set()
    for line in _traced(folder):
        if line["kind"] == "step" and now - line["at"] < 0.5:
            found.add(line["pid"])
    return sorted(found)


def _traced(folder: Path) -> list[dict[str, Any]]:
    lines = []
    with suppress(OSError):
        for text in (folder / "fault_trace.jsonl").read_text().splitlines():
            with suppress(ValueError):
                lines.append(json.loads(text))
    return lines


def _trace(folder: Path, **line: Any) -> None:
    with (folder / "fault_trace.jsonl").open("a") as file:
        file.write(json.dumps(line | {"at": time.time(), "pid": os.getpid()}) + "\n")


def report(arguments: argparse.Namespace, folder: Path, kills: int, seconds: float) -> None:
    steps = sum(line["kind"] == "step" for line in _traced(folder))
    finished = Counter(finished_optuna(folder) if arguments.peer == "optuna" else finished_tune(folder))
    lost = sum(finished[config] == 0 for config in range(arguments.trials))
    twice = sum(finished[config] > 1 for config in range(arguments.trials))
    print(
        f"{arguments.peer}: {kills} kills over {arguments.trials} configurations in {seconds:.0f} s: {lost} lost, {twice} finished more than"
        f" once, {steps / STEPS / arguments.trials:.2f} × the steps needed"
    )


# -- Optuna --------------------------------------------------------------------------------------------------------------------------


def _storage(folder: Path) -> Any:
    import optuna

    return optuna.storages.RDBStorage(
        f"sqlite:///{folder / 'optuna.db'}",
        heartbeat_interval=1,
        grace_period=3,
        failed_trial_callback=optuna.storages.RetryFailedTrialCallback(),
    )


def new_study(folder: Path, trials: int) -> None:
    import optuna

    study = optuna.create_study(study_name="peer", storage=_storage(folder))
    for config in range(trials):
        study.enqueue_trial({"config": config})


def optuna_worker(folder: Path) -> None:
    """Takes enqueued trials until none waits or runs."""
    import optuna

    study = optuna.load_study(study_name="peer", storage=_storage(folder))

    def objective(trial: Any) -> float:
        config = trial.suggest_int("config", 0, 10**6)
        for step in range(STEPS):
            time.sleep(_SECONDS)
            _trace(folder, kind="step", config=config, step=step)
        return float(config)

    states = optuna.trial.TrialState
    while study.get_trials(deepcopy=False, states=(states.WAITING, states.RUNNING)):
        if study.get_trials(deepcopy=False, states=(states.WAITING,)):
            study.optimize(objective, n_trials=1)
        else:
            optuna.storages.fail_stale_trials(study)
            time.sleep(0.5)


def finished_optuna(folder: Path) -> list[int]:
    import optuna

    study = optuna.load_study(study_name="peer", storage=_storage(folder))
    return [trial.params["config"] for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]


# -- Ray Tune ------------------------------------------------------------------------------------------------------------------------


def tune_driver(folder: Path, trials: int) -> None:
    """All trials, or what an earlier driver left."""
    import ray
    from ray import tune

    def trainable(config: dict[str, Any]) -> None:
        first = 0
        if (checkpoint := tune.get_checkpoint()) is not None:
            with checkpoint.as_directory() as place:
                first = int((Path(place) / "step").read_text())
        for step in range(first, STEPS):
            time.sleep(_SECONDS)
            _trace(folder, kind="step", config=config["config"], step=step)
            if (step + 1) % 10 == 0:
                with tempfile.TemporaryDirectory() as place:
                    (Path(place) / "step").write_text(str(step + 1))
                    tune.report({"step": step + 1}, checkpoint=tune.Checkpoint.from_directory(place))

    ray.init(address="local", num_cpus=_WORKERS, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    place = str(folder / "tune" / "peer")
    if tune.Tuner.can_restore(place):
        tuner = tune.Tuner.restore(place, trainable, resume_unfinished=True, resume_errored=True)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space={"config": tune.grid_search(list(range(trials)))},
            run_config=tune.RunConfig(
                name="peer", storage_path=str(folder / "tune"), failure_config=tune.FailureConfig(max_failures=3), verbose=0
            ),
        )
    results = tuner.fit()
    done = [result.config["config"] for result in results if result.metrics and result.metrics.get("step") == STEPS]
    (folder / "finished.json").write_text(json.dumps(done))


def finished_tune(folder: Path) -> list[int]:
    try:
        return json.loads((folder / "finished.json").read_text())
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    main()
