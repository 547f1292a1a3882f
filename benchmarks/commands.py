"""How long the commands take that a user types between trainings, with everything warm: wall and processor seconds.

    python benchmarks/commands.py [FILE] [--db STORE] [-n 9] [--against FOLDER] [--csv benchmarks/commands.csv]

FILE: an experiments file, default experiments.yaml. STORE: where its runs are finished; by default a store is made with all of them finished, their
losses on a stated surface and their core-hours as estimated, so that nothing is trained. It is copied: the one that is named stays as it is.
FOLDER: another checkout, whose commands take turns with ours.

Prints the median of n of each. Processor time, user and system, says what a command does; wall time is what a user waits for, and doubles where other
programs want the same cores.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
GOALS = {"scaling status": 1.0, "scaling fit": 2.5, "submit --dry-run": 2.5, "submit again, nothing to do": 3.0}
"""Wall seconds on two cores."""


def finished_store(file: Path, db: Path) -> None:
    """Make a store in which all runs of the file are finished: val_loss = (1 + (params/5000)^-0.3) · (.02 + examples^-0.4), with a spread of seeds."""
    import sqlalchemy as sa

    from orchestrator.experiments_file import read_spec
    from orchestrator.planning.accept import accept_plan
    from orchestrator.planning.plan import make_plan
    from orchestrator.store import Store
    from orchestrator.store.models import Run

    plan = make_plan(*read_spec(file))
    with Store.open(str(db)) as store:
        accept_plan(store, plan)
        with store.write() as session:
            for number, run in enumerate(plan.runs):
                loss = (1 + (run.params / 5000) ** -0.3) * (0.02 + run.examples_seen**-0.4) * (1 + 0.02 * (number * 7 % 5 - 2))
                done = {"status": "finished", "step": run.steps, "core_hours": run.estimated_core_hours}
                done |= {"val_loss": loss, "val_top1": 0.9, "accelerator": "cpu"}
                session.execute(sa.update(Run).where(Run.id == run.id).values(**done))


def commands(file: Path) -> dict[str, list[str]]:
    """By label, what is typed after `scaling`."""
    return {
        "scaling --help": ["--help"],
        "scaling status": ["status"],
        "scaling runs": ["runs"],
        "scaling fit": ["fit"],
        "submit --dry-run": ["submit", str(file), "--dry-run"],
        "submit again, nothing to do": ["submit", str(file)],
    }


def timed(words: list[str], folder: Path, code: Path) -> tuple[float, float]:
    """Wall and processor seconds of a command of the checkout `code`."""
    environment = os.environ | {"SCALING_DB": str(folder / "scaling.db"), "SCALING_HOME": str(folder / "runs"), "NO_COLOR": "1"}
    environment |= {"PYTHONPATH": str(code)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "scaling.cli", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"scaling {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(
    every: dict[str, list[str]], folder: Path, checkouts: dict[str, Path], repeats: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """Medians of wall and processor seconds by (command, checkout). The first round warms caches and does not count."""
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for turn in range(repeats + 1):
        for label, words in every.items():
            for name, code in checkouts.items():
                seconds = timed(words, folder, code)
                if turn:
                    taken.setdefault((label, name), []).append(seconds)
    return {key: tuple(map(statistics.median, zip(*seconds, strict=True))) for key, seconds in taken.items()}


def show(medians: dict[tuple[str, str], tuple[float, float]]) -> None:
    print(f"{'':30} {'checkout':10} {'wall s':>8} {'cpu s':>8} {'goal s':>8}")
    for (label, name), (wall, cpu) in medians.items():
        goal = f"{GOALS[label]:8.1f}" if label in GOALS else ""
        print(f"{label:30} {name:10} {wall:8.2f} {cpu:8.2f} {goal}".rstrip())


def append(path: Path, medians: dict[tuple[str, str], tuple[float, float]], file: Path, repeats: int) -> None:
    from benchmarks.main_job import cpu_model
    from orchestrator.provenance import code_version

    new = not path.exists()
    with path.open("a", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        if new:
            writer.writerow(["date", "code_version", "checkout", "machine", "file", "command", "wall_seconds", "cpu_seconds", "n"])
        about = [f"{cpu_model()}, {os.cpu_count()} cores", file.name]
        date = datetime.now(UTC).strftime("%Y-%m-%d")
        for (label, name), (wall, cpu) in medians.items():
            version = code_version() if name == "this" else ""
            writer.writerow([date, version, name, *about, label, f"{wall:.3f}", f"{cpu:.3f}", repeats])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "experiments.yaml")
    parser.add_argument("--db", type=Path, help="a store of SQLite in which the file's runs are finished")
    parser.add_argument("-n", type=int, default=9, help="of each command")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout to compare with")
    parser.add_argument("--csv", type=Path, help="append the figures to this file")
    arguments = parser.parse_args()

    file, checkouts = arguments.file.absolute(), {"this": ROOT}
    if arguments.against:
        checkouts = {"other": arguments.against.absolute()} | checkouts
    with tempfile.TemporaryDirectory(prefix="scaling-benchmark-") as name:
        folder = Path(name)
        if arguments.db:
            with sqlite3.connect(arguments.db) as theirs, sqlite3.connect(folder / "scaling.db") as copy:
                theirs.backup(copy)
        else:
            finished_store(file, folder / "scaling.db")
        medians = measured(commands(file), folder, checkouts, arguments.n)
    show(medians)
    if arguments.csv:
        append(arguments.csv, medians, file, arguments.n)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
