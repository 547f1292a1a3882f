"""Where the time of the main job goes: start-up, compile, train, store, fit, page.

    python benchmarks/main_job.py [FILE] [--csv benchmarks/main_job.csv]
    python benchmarks/main_job.py table      # the medians of each version of the code in benchmarks/main_job.csv

Runs `scaling submit FILE` (default: experiments.yaml) in an empty folder with a cold compilation cache, then `scaling fit` and the first and
a later `/frontier`, and prints a table. Training, compilation and idle time are read from the ledger of the very run that was timed.
Device-seconds are summed over all workers; wall seconds are what a user waits. Python keeps compiled modules, as it does unless told otherwise.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from csv_table import markdown, rows_of

SCALING = str(Path(sys.executable).with_name("scaling"))
ROOT = Path(__file__).parents[1]
CSV = Path(__file__).with_suffix(".csv")


def timed(*command: str, cwd: Path, environment: dict[str, str]) -> tuple[float, str]:
    """Wall seconds of a command, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout


def ledger(db: Path) -> dict[str, float]:
    """Device-seconds by what they went into, from the store."""
    with sqlite3.connect(db) as connection:
        parts = ("useful", "startup", "evaluation", "checkpoint", "redone")
        sums = connection.execute(f"SELECT {', '.join(f'sum({part}_seconds)' for part in parts)} FROM attempts").fetchone()
        held, workers = connection.execute("SELECT sum(held_seconds), count(*) FROM allocations").fetchone()
        (first,) = connection.execute("SELECT min(started_at) FROM allocations").fetchone()
        (accepted,) = connection.execute("SELECT min(created_at) FROM runs").fetchone()
    seconds = dict(zip(parts, sums, strict=True))
    until_first = (datetime.fromisoformat(first) - datetime.fromisoformat(accepted)).total_seconds()
    return seconds | {"idle": held - sum(seconds.values()), "held": held, "workers": workers, "ray start": until_first}


def commit_seconds(folder: Path) -> float:
    """A durable commit of the store, median of 50."""
    from orchestrator.store import Store, lease

    times = []
    with Store.open(str(folder / "commits.db")) as store:
        for _ in range(50):
            started = time.perf_counter()
            with store.write() as session:
                lease.take(session, "benchmark")
            times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def pages(folder: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds until the server answers, of the first `/frontier`, and of a later one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    server = subprocess.Popen([SCALING, "serve", "--port", str(port)], cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
                break
            except OSError:
                time.sleep(0.02)
        ready = time.perf_counter() - started
        times = []
        for _ in range(2):
            started = time.perf_counter()
            urllib.request.urlopen(f"http://127.0.0.1:{port}/frontier", timeout=60).read()
            times.append(time.perf_counter() - started)
        return ready, *times
    finally:
        server.terminate()
        server.wait()


def cpu_model() -> str:
    """As the kernel names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def table() -> None:
    """A column a version of the code, a row a part; medians of its cold runs."""
    rows = rows_of(CSV)
    versions = {(row["date"], row["code_version"], row["machine"]): None for row in rows}
    parts = {(row["part"], row["kind"]): None for row in rows}
    lines = [["cold runs", *(len(_seconds(rows, version, "submit, all of it")) for version in versions)]]
    lines += [
        [f"{part}, {kind} s", *(f"{statistics.median(_seconds(rows, version, part)):.3g}" for version in versions)]
        for part, kind in parts
    ]
    print(markdown(["", *(f"{date}, {code}, {machine}" for date, code, machine in versions)], lines))


def _seconds(rows: list[dict[str, str]], version: tuple[str, str, str], part: str) -> list[float]:
    return [
        float(row["seconds"])
        for row in rows
        if (row["date"], row["code_version"], row["machine"]) == version and row["part"] == part
    ]


def main() -> None:
    if sys.argv[1:] == ["table"]:
        table()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "experiments.yaml")
    parser.add_argument("--csv", type=Path, help="append the figures to this file")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="scaling-benchmark-") as name:
        folder = Path(name)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"SCALING_DB": str(folder / "scaling.db"), "SCALING_HOME": str(folder / "runs"), "NO_COLOR": "1"}
        help_seconds, _ = timed(SCALING, "--help", cwd=folder, environment=environment)
        plan_seconds, _ = timed(SCALING, "submit", str(arguments.file.absolute()), "--dry-run", cwd=folder, environment=environment)
        submit_seconds, _ = timed(SCALING, "submit", str(arguments.file.absolute()), cwd=folder, environment=environment)
        again_seconds, _ = timed(SCALING, "submit", str(arguments.file.absolute()), cwd=folder, environment=environment)
        fit_seconds, _ = timed(SCALING, "fit", cwd=folder, environment=environment)
        spent = ledger(folder / "scaling.db")
        ready, first, later = pages(folder, environment)
        rows = [
            ("scaling --help", help_seconds, "wall"),
            ("plan (--dry-run)", plan_seconds, "wall"),
            ("submit, all of it", submit_seconds, "wall"),
            ("  Ray up and joined", spent["ray start"], "wall"),
            ("  workers held", spent["held"], "device"),
            ("    start-up and compile", spent["startup"], "device"),
            ("    train", spent["useful"], "device"),
            ("    evaluate", spent["evaluation"], "device"),
            ("    checkpoint", spent["checkpoint"], "device"),
            ("    idle", spent["idle"], "device"),
            ("submit again, nothing to do", again_seconds, "wall"),
            ("store: one durable commit", commit_seconds(folder), "wall"),
            ("scaling fit", fit_seconds, "wall"),
            ("serve: until it answers", ready, "wall"),
            ("  first /frontier", first, "wall"),
            ("  /frontier again", later, "wall"),
        ]
    machine = f"{cpu_model()}, {os.cpu_count()} cores"
    print(f"{arguments.file.name} on {machine}")
    for label, seconds, kind in rows:
        print(f"{label:30} {seconds:9.3f} s  {kind}")
    if arguments.csv:
        from orchestrator.provenance import code_version

        new = not arguments.csv.exists()
        with arguments.csv.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["date", "code_version", "machine", "file", "part", "seconds", "kind"])
            date = datetime.now(UTC).strftime("%Y-%m-%d")
            writer.writerows(
                [date, code_version(), machine, arguments.file.name, label.strip(), f"{seconds:.4f}", kind]
                for label, seconds, kind in rows
            )


if __name__ == "__main__":
    main()
