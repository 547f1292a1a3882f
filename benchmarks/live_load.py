"""Fifty clients look at /frontier while 300 runs finish: statuses, times, computations for each version of the results, memory.

    python benchmarks/live_load.py [--clients 50] [--streams 20] [--runs 300] [--seconds 150] [--csv benchmarks/live_load.csv]
    python benchmarks/live_load.py table    # what the file says, for docs/pages.md

Makes a store of 600 runs of which half have finished, starts `scaling serve` over it, and a process that finishes the other half as a scheduler does:
an attempt, its metrics, its evaluation and its end in transactions of their own. Some clients hold an event stream and load the page when it tells of
new results, as a browser does; the others load it once a second. All send the ETag that they know. Asserts nothing; appends a row.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

from a_large_store import run_rows
from csv_table import markdown, rows_of

from api.inward import Reply

COLUMNS = (
    "date", "clients", "streams", "runs", "seconds", "requests", "ok", "first_answer", "not_modified", "server_errors", "lost", "p50_ms", "p95_ms", "p99_ms",
    "computations", "versions", "most_for_one_version", "server_mb_before", "server_mb_middle", "server_mb_after", "worker_mb_before", "worker_mb_middle",
    "worker_mb_after", "load",
)  # fmt: skip
ACCEPTED = ("id", "family", "model", "dataset", "epochs", "learning_rate", "batch_size", "seed", "config", "shape", "resources", "options", "params", "steps", "examples_seen", "unique_examples", "train_flops", "estimated_core_hours", "created_at")  # fmt: skip


def begin_store(db: Path, rows: list[dict]) -> int:
    """Accept all runs as an experiment, and open the allocation that trains them: its number."""
    from orchestrator.store import Store
    from orchestrator.store.grid import accept
    from orchestrator.store.ledger import open_allocation

    wanted = [{name: row[name] for name in ACCEPTED} for row in rows]
    named = {"name": "made", "file": "made.yaml", "text": "name: made\n", "resolved": {"name": "made"}, "shared": {}}
    with Store.open(str(db)) as store, store.write() as session:
        accept(session, **named, runs=wanted)
        return open_allocation(session, scheduler="benchmark", shape="any", accelerator="cpu", cores=1)


def finish(db: str, first: int, count: int, allocation: int, seconds: float) -> None:
    """Finish so many runs, one after the other and evenly over the seconds, as the ledger of a scheduler does."""
    from orchestrator.store import Store
    from orchestrator.store.ledger import Charge, begin_attempt, end_attempt, record
    from scaling.outcomes import AttemptOutcome

    began = time.monotonic()
    with Store.open(db) as store:
        for number, row in enumerate(run_rows(count, first)):
            steps, loss = row["steps"], row["val_loss"] or 2.3
            with store.write() as session:
                grant = begin_attempt(session, row["id"], allocation_id=allocation, home="scaling-runs")
            metrics = [(step, "train_loss", loss * (1 + 2 / step)) for step in range(1, steps + 1, max(1, steps // 20))]
            scores = {"step": steps, "split": "validation", "loss": loss, "top1": 0.5, "top5": 0.9, "examples": 450, "seconds": 0.1}
            with store.write() as session:
                record(
                    session, grant.token, step=steps, train_loss=loss, place={"host": "here"}, metrics=metrics, evaluations=[scores]
                )
            with store.write() as session:
                charge = Charge(useful=3600 * row["core_hours"], startup=0.5)
                result = {"val_loss": loss, "val_top1": 0.5, "val_top5": 0.9, "train_loss": 0.9 * loss}
                end_attempt(
                    session, grant.token, outcome=AttemptOutcome.FINISHED, reason="", charge=charge, last_step=steps, result=result
                )
            time.sleep(max(0.0, began + seconds * (number + 1) / count - time.monotonic()))


def serve(db: str, log: str) -> None:
    """Run `scaling serve`, and write a line for each computation that its worker is asked for: the version of the results, and the page."""
    from api import worker
    from scaling.cli.serve import serve_command

    asked = worker.InProcess.begin

    def begin(of: worker.InProcess, path: str, query: bytes, accept: bytes, state: dict[str, str]) -> Future[Reply]:
        with open(log, "a") as file:
            file.write(f"{state['version']}\t{path}\n")
        return asked(of, path, query, accept, state)

    worker.InProcess.begin = begin  # type: ignore[method-assign]
    serve_command(port=0, db=db)


class Clients:
    """Look at the page until `close`: `seen` counts statuses, `took` are milliseconds."""

    def __init__(self, port: int, clients: int, streams: int) -> None:
        self.port, self.seen, self.took, self._over = port, Counter(), [], threading.Event()
        self._threads = [threading.Thread(target=self._stream if n < streams else self._poll, daemon=True) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _load(self, tag: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        began = time.perf_counter()
        try:
            connection.request("GET", "/frontier", headers={"Accept": "text/html", "Accept-Encoding": "gzip", "If-None-Match": tag})
            answer = connection.getresponse()
            answer.read()
        except OSError:
            self.seen["lost"] += 1
            return tag
        finally:
            connection.close()
        self.took.append(1e3 * (time.perf_counter() - began))
        self.seen[answer.status] += 1
        return answer.headers.get("ETag") or tag

    def _poll(self) -> None:
        tag = ""
        while not self._over.wait(1.0):
            tag = self._load(tag)

    def _stream(self) -> None:
        tag, known = "", None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/api/v1/events", headers={"Accept": "text/event-stream"})
        stream = connection.getresponse()
        kind = ""
        while not self._over.is_set():
            line = stream.readline().decode()
            if line.startswith("event:"):
                kind = line.removeprefix("event:").strip()
            elif line.startswith("data:"):
                said = json.loads(line.removeprefix("data:"))
                if (kind == "progress" and said["results"] != known) or (kind == "answered" and said["link"] == "/frontier"):
                    known = said.get("results", known)
                    tag = self._load(tag)
            elif not line:
                self.seen["lost"] += 0 if self._over.is_set() else 1
                return
        connection.close()


def megabytes(process: int) -> int:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e3)


def worker_of(server: int) -> int:
    """Return the largest child of the server: the other one only watches for shared resources."""
    tasks = Path(f"/proc/{server}/task").iterdir()
    return max((int(child) for task in tasks for child in (task / "children").read_text().split()), key=megabytes)


def measured(folder: Path, clients: int, streams: int, runs: int, seconds: float) -> dict[str, object]:
    """Run all of it: what is in a row."""
    db, log, me = folder / "made.db", folder / "computations", [sys.executable, __file__]
    allocation = begin_store(db, run_rows(2 * runs))
    finish(str(db), 0, runs, allocation, 0.0)
    with subprocess.Popen([*me, "serve", "--db", str(db), "--log", str(log)], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().split("/frontier")[0].rpartition(":")[2])
        looking = Clients(port, clients, streams)
        deadline = time.monotonic() + 300
        while not looking.seen[200] and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(10)
        worker = worker_of(server.pid)
        memory = [(megabytes(server.pid), megabytes(worker))]
        began = time.monotonic()
        writer = subprocess.Popen(
            [*me, "finish", "--db", str(db), "--runs", str(runs), "--seconds", str(seconds), "--allocation", str(allocation)]
        )
        time.sleep(seconds / 2)
        memory.append((megabytes(server.pid), megabytes(worker)))
        assert writer.wait(timeout=600) == 0
        took = time.monotonic() - began
        time.sleep(10)
        assert worker_of(server.pid) == worker, "the worker died"
        memory.append((megabytes(server.pid), megabytes(worker)))
        looking.close()
        server.terminate()
    asked = Counter(line for line in log.read_text().splitlines() if line.endswith("\t/frontier"))
    times = sorted(looking.took)
    at = {f"p{share}_ms": round(times[int(share / 100 * (len(times) - 1))], 1) for share in (50, 95, 99)}
    seen = looking.seen
    held = {
        f"{who}_mb_{when}": memory[n][k]
        for n, when in enumerate(("before", "middle", "after"))
        for k, who in enumerate(("server", "worker"))
    }
    return {
        "clients": clients, "streams": streams, "runs": runs, "seconds": round(took), "requests": sum(seen.values()), "ok": seen[200], "first_answer": seen[202],
        "not_modified": seen[304], "server_errors": sum(count for status, count in seen.items() if status != "lost" and status >= 500), "lost": seen["lost"],
        **at, "computations": sum(asked.values()), "versions": len(asked), "most_for_one_version": max(asked.values()), **held,
    }  # fmt: skip


def table(path: Path) -> str:
    """A column a run of the benchmark, the newest last."""
    rows = rows_of(path)[-2:]
    names = ["clients", "of them with an event stream", "runs that finished", "within, s", "requests", "200", "202, before the first answer", "304", "5xx", "connections lost", "p50, ms", "p95, ms", "p99, ms", "computations", "of as many versions", "most for one version", "server, MB: before", "server: middle", "server: after", "worker, MB: before", "worker: middle", "worker: after"]  # fmt: skip
    return markdown(
        ["", *(row["date"] for row in rows)],
        [[name, *(row[key] for row in rows)] for name, key in zip(names, COLUMNS[1:-1], strict=True)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", "table", "serve", "finish"], default="run")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--db", help=argparse.SUPPRESS)
    parser.add_argument("--log", help=argparse.SUPPRESS)
    parser.add_argument("--allocation", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what == "table":
        print(table(options.csv))
    elif options.what == "serve":
        serve(options.db, options.log)
    elif options.what == "finish":
        finish(options.db, options.runs, options.runs, options.allocation, options.seconds)
    else:
        date, is_new = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M"), not options.csv.exists()
        with tempfile.TemporaryDirectory() as folder:
            found = measured(Path(folder), options.clients, options.streams, options.runs, options.seconds)
        row = {"date": date, **found, "load": round(os.getloadavg()[0], 1)}
        with options.csv.open("a", newline="") as file:
            out = csv.DictWriter(file, COLUMNS)
            if is_new:
                out.writeheader()
            out.writerow(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
