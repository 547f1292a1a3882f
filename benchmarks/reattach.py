"""A scheduler is killed on a cluster, and comes back after a while: how many of the running runs are restarted, and how soon it has them again.

    python benchmarks/reattach.py [--downtimes 0 20 60 300] [--runs 4]
    python benchmarks/reattach.py table    # what the file says, for docs/clusters.md

For each downtime: a Ray cluster of one node, `scaling submit --address` of rehearsals that outlast it, SIGKILL of the command once all of them are
under way, the pause, the same command again. Asserts nothing; appends a row a downtime to benchmarks/reattach.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from csv_table import markdown, rows_of

COLUMNS = ("date", "code_version", "downtime_seconds", "running", "restarted", "finished", "attempts", "seconds_to_take_over", "steps_during_downtime")  # fmt: skip
STUDY = """\
name: reattach
dataset: {{name: declared, title: T, train_examples: 100000, validation_examples: 100, num_classes: 10, image_shape: [64, 64, 3]}}
models: [F0]
epochs: [1]
batch_size: 100
learning_rate: {{grid: [{rates}]}}
resources: {{accelerator: TPU-v4, topology: 2x2x2, mfu: 0.36}}
simulate: {{speed: {speed}, chips: {chips}}}
"""
SCALING = str(Path(sys.executable).with_name("scaling"))


def table(path: Path) -> str:
    """A row a downtime."""
    head = ["the scheduler was away for", "runs under way", "restarted", "steps they took meanwhile"]
    rows = [
        [
            f"{float(row['downtime_seconds']):g} s",
            row["running"],
            row["restarted"],
            f"{int(row['steps_during_downtime']):,}",
            row["seconds_to_take_over"],
        ]
        for row in rows_of(path)
    ]
    return markdown([*head, "seconds until they were taken over"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
    parser.add_argument("--downtimes", type=float, nargs="*", default=[0.0, 20.0, 60.0, 300.0])
    parser.add_argument("--runs", type=int, default=4)
    options = parser.parse_args()
    path = Path(__file__).with_suffix(".csv")
    if options.what == "table":
        print(table(path))
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for downtime in options.downtimes:
            row = measured(cluster.address, downtime, options.runs)
            is_new = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                if is_new:
                    writer.writeheader()
                writer.writerow(row)
            print(row, flush=True)
    finally:
        cluster.shutdown()


def measured(address: str, downtime: float, runs: int) -> dict[str, object]:
    """One row of the table."""
    from orchestrator.experiments_file import read_spec
    from orchestrator.planning.plan import make_plan
    from orchestrator.provenance import code_version

    with tempfile.TemporaryDirectory(prefix="reattach-") as name:
        folder = Path(name)
        file, database = folder / "study.yaml", folder / "scaling.db"
        fields = {"rates": ", ".join(f"{0.2 * (n + 1):g}" for n in range(runs)), "chips": 8 * runs}
        file.write_text(STUDY.format(speed=1, **fields))
        length = downtime + 60
        file.write_text(STUDY.format(speed=make_plan(*read_spec(file)).runs[0].estimated_seconds / length, **fields))
        command = [SCALING, "submit", str(file), "--address", address, "--yes"]
        environment = os.environ | {"SCALING_DB": str(database), "SCALING_HOME": str(folder / "runs")}
        log = (folder / "log").open("w")

        def ask(question: str) -> list[tuple]:
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
                return connection.execute(question).fetchall()

        def wait(question: str) -> float:
            started = time.monotonic()
            while True:
                try:
                    if ask(question)[0][0]:
                        return time.monotonic() - started
                except sqlite3.OperationalError:
                    pass  # it is being made
                time.sleep(0.05)

        first = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        wait(f"SELECT count(*) = {runs} FROM attempts WHERE ended_at IS NULL AND last_step > 0")
        first.kill()
        first.wait()
        before = dict(ask("SELECT token, last_step FROM attempts WHERE ended_at IS NULL"))
        time.sleep(downtime)
        second = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        holder = ask("SELECT scheduler FROM allocations LIMIT 1")[0][0]
        took = wait(f"SELECT count(*) = 0 FROM allocations WHERE scheduler = '{holder}' AND ended_at IS NULL")
        known = sum(before.values())
        wait(f"SELECT sum(step) > {known} FROM runs")
        steps = ask("SELECT sum(step) FROM runs")[0][0] - known
        second.wait()
        log.close()
        attempts = ask("SELECT token, number, outcome FROM attempts")
        kept = sum(token in before and number == 1 and outcome == "finished" for token, number, outcome in attempts)
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "code_version": code_version(),
            "downtime_seconds": downtime,
            "running": len(before),
            "restarted": len(before) - kept,
            "finished": ask("SELECT count(*) FROM runs WHERE status = 'finished'")[0][0],
            "attempts": len(attempts),
            "seconds_to_take_over": round(took, 1),
            "steps_during_downtime": steps,
        }


if __name__ == "__main__":
    main()
