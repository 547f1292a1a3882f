"""How long a page takes while somebody writes to a large store, and what a fresh answer costs.

    python benchmarks/pages.py [--runs 10000] [-n 40] [--clients 4] [--csv benchmarks/pages.csv]
    python benchmarks/pages.py --imported --runs 100000 --fresh 1 --csv benchmarks/pages_imported.csv
    python benchmarks/pages.py table [--csv …]    # what the file says, for docs/pages.md

Makes a store of so many finished runs, starts `scaling serve` over it, and a writer that advances a run twice a second and finishes one every five
seconds. For each page it prints, in milliseconds: p50, p95 and p99 of n requests by some clients at once, the 304 of one that knows the page, its
kilobytes of HTML, and the processor seconds that its fresh answer took once a run had finished (the least of three). Where Chromium is
installed, also how long a first view takes there: from the request, with an empty cache, until the charts are drawn, and the processor
time of the page's process. Asserts nothing; appends a row a page. Whatever ends it, the server ends too.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from a_large_store import add_runs, imported_store, large_store, run_rows
from csv_table import markdown, rows_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = ("/frontier", "/frontier/laws", "/frontier/trust", "/frontier/optimum", "/frontier/slices", "/frontier/halving", "/learning-rate", "/plan", "/compare?by=model&a=nano-F1&b=nano-F3", "/runs", "/runs/{run}", "/experiments", "/experiments/made")  # fmt: skip
COLUMNS = ("date", "runs", "page", "p50_ms", "p95_ms", "p99_ms", "not_modified_ms", "html_kb", "fresh_processor_seconds", "first_view_ms", "first_view_processor_ms", "load")  # fmt: skip
SCALING = str(Path(sys.executable).with_name("scaling"))
_TICKS = os.sysconf("SC_CLK_TCK")


class Client:
    """Asks one server for pages over one connection that stays open."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def get(self, page: str, tag: str = "") -> tuple[float, int, dict[str, str], bytes]:
        """Return milliseconds, status, headers and body of the answer to a browser."""
        began = time.perf_counter()
        self.connection.request("GET", page, headers={"Accept": "text/html", "Host": "localhost", "If-None-Match": tag})
        answer = self.connection.getresponse()
        body = answer.read()
        return 1e3 * (time.perf_counter() - began), answer.status, {k.lower(): v for k, v in answer.getheaders()}, body

    def fresh(self, page: str, than: bytes = b"", seconds: float = 600) -> tuple[dict[str, str], bytes]:
        """Ask until the answer is to the present store, and of another version than the answer `than`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            _, status, headers, body = self.get(page)
            if status == 200 and b'<html lang="en" data-stale>' not in body and _version(body) != _version(than):
                return headers, body
            time.sleep(0.1)
        raise TimeoutError(f"{page} had no fresh answer within {seconds:.0f} s")


def _version(page: bytes) -> bytes:
    """Return of which version of the store or its results a page is; nothing where there is none."""
    found = re.search(rb'data-version="([^"]*)"', page)
    return found[1] if found else b""


class Writer:
    """Writes as a scheduler does: a step of a run in training twice a second, and a finished run every five, while not `paused`."""

    def __init__(self, db: Path, first: int, advanced: str) -> None:
        self.db, self.number, self.advanced, self.paused, self._over = db, first, advanced, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def finish_one(self) -> None:
        from orchestrator.store import Store

        with Store.open(str(self.db)) as store, store.write() as session:
            add_runs(session, run_rows(1, first=self.number))
        self.number += 1

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        from sqlalchemy import update

        from orchestrator.store import Store
        from orchestrator.store.models import Run

        ticks = 0
        with Store.open(str(self.db)) as store:
            while not self._over.wait(0.5):
                if self.paused.is_set():
                    continue
                ticks += 1
                with store.write() as session:
                    session.execute(update(Run).where(Run.id == self.advanced).values(reason=f"advanced {ticks}"))
                if ticks % 10 == 0:
                    self.finish_one()


def oldest_run(db: Path) -> str:
    """Return the id of the run that was made first."""
    from orchestrator.store import open_readonly, queries

    with open_readonly(str(db)) as store, store.read() as session:
        return str(queries.runs(session, limit=1)[0]["id"])


@contextmanager
def served(db: Path) -> Iterator[tuple[int, int]]:
    """Run `scaling serve` over the store: its port, and the id of the process that computes answers."""
    command = [SCALING, "serve", "--port", "0", "--db", str(db)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_end_with_parent) as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().split("/frontier")[0].rpartition(":")[2])
        try:
            Client(port).get("/frontier")
            yield port, _worker_of(server.pid)
        finally:
            server.terminate()


def _end_with_parent() -> None:
    """Let Linux end this process when its parent is gone, also where that was killed and could not say so."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@contextmanager
def chromium() -> Iterator[Browser | None]:
    """Start Chromium; None where it is not installed."""
    program = os.environ.get("SCALING_CHROMIUM") or shutil.which("chromium")
    if program is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


def first_view(page: str, port: int, browser: Browser, times: int = 2) -> list[int]:
    """Return milliseconds until a page that nobody has seen is there with its charts, and how many of them its process was at work.

    Each time the cache is empty; the least of both, since others have the machine too.
    """
    took = []
    for _ in range(times):
        context = browser.new_context()
        tab = context.new_page()
        asked = context.new_cdp_session(tab)
        asked.send("Performance.enable")
        began = time.perf_counter()
        tab.goto(f"http://127.0.0.1:{port}{page}", wait_until="load")
        tab.wait_for_function("() => [...document.querySelectorAll('.chart')].every((chart) => chart.querySelector('.main-svg'))")
        milliseconds = 1e3 * (time.perf_counter() - began)
        metrics = {each["name"]: each["value"] for each in asked.send("Performance.getMetrics")["metrics"]}
        took.append((milliseconds, 1e3 * metrics["ProcessTime"]))
        context.close()
    return [round(min(each)) for each in zip(*took, strict=True)]


def _worker_of(server: int) -> int:
    """Return the child that took most processor time: the other one only watches for shared resources."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        children = [int(child) for child in Path(f"/proc/{server}/task/{server}/children").read_text().split()]
        children += [
            int(child) for task in Path(f"/proc/{server}/task").iterdir() for child in (task / "children").read_text().split()
        ]
        if children:
            return max(set(children), key=processor_seconds)
        time.sleep(0.2)
    raise TimeoutError("the server started no worker")


def processor_seconds(process: int) -> float:
    """Return what a process has taken so far, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def measured(
    page: str, port: int, worker: int, writer: Writer, times: int, clients: int, fresh_times: int, browser: Browser | None
) -> dict[str, object]:
    """Measure one page: alone for fresh answers and in the browser, then by all clients while the writer is at work."""
    writer.paused.set()
    client = Client(port)
    _, body = client.fresh(page)
    fresh = []
    for _ in range(fresh_times):
        writer.finish_one()
        before = processor_seconds(worker)
        headers, body = client.fresh(page, than=body)
        fresh.append(processor_seconds(worker) - before)
    known = [client.get(page, headers.get("etag", "")) for _ in range(5)]
    unchanged = [milliseconds for milliseconds, status, *_ in known if status == 304]
    writer.paused.clear()
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(lambda: [Client(port).get(page)[0] for _ in range(times // clients)]) for _ in range(clients)]
        took_ms = sorted(one for answer in asked for one in answer.result())
    seen = ("", "") if browser is None else first_view(page, port, browser)
    return {
        "p50_ms": round(statistics.median(took_ms), 1),
        "p95_ms": round(took_ms[int(0.95 * (len(took_ms) - 1))], 1),
        "p99_ms": round(took_ms[int(0.99 * (len(took_ms) - 1))], 1),
        "not_modified_ms": round(statistics.median(unchanged), 1) if unchanged else "",
        "html_kb": round(len(body) / 1e3),
        "fresh_processor_seconds": round(min(fresh), 2),
        "first_view_ms": seen[0],
        "first_view_processor_ms": seen[1],
    }


def table(path: Path) -> str:
    """A row a page, of the newest date for each number of runs."""
    rows = rows_of(path)
    newest = {row["runs"]: row["date"] for row in rows}
    head = [
        "runs",
        "page",
        "p50, ms",
        "p95, ms",
        "p99, ms",
        "304, ms",
        "HTML, kB",
        "fresh answer, processor s",
        "first view, ms",
        "its process, ms",
        "load",
    ]
    shown = [row for row in rows if row["date"] == newest[row["runs"]]]
    return markdown(head, [[f"{int(row['runs']):,}", f"`{row['page']}`", *(row[name] for name in COLUMNS[3:])] for row in shown])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("-n", type=int, default=40)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--imported", action="store_true", help="the runs come from a table, by `scaling import`")
    parser.add_argument("--fresh", type=int, default=3, help="fresh answers of a page, of which the cheapest counts")
    parser.add_argument("--pages", nargs="*", default=PAGES)
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    if options.what == "table":
        print(table(options.csv))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was begun is ended and removed
    date, is_new = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M"), not options.csv.exists()
    with tempfile.TemporaryDirectory() as folder, options.csv.open("a", newline="") as file:
        out = csv.DictWriter(file, COLUMNS)
        if is_new:
            out.writeheader()
        db = Path(folder) / "large.db"
        (imported_store if options.imported else large_store)(db, options.runs)
        run = oldest_run(db)
        writer = Writer(db, options.runs, run)
        with served(db) as (port, worker), chromium() as browser:
            for page in options.pages:
                link = page.replace("{run}", run)
                found = measured(link, port, worker, writer, options.n, options.clients, options.fresh, browser)
                row = {"date": date, "runs": options.runs, "page": page, **found, "load": round(os.getloadavg()[0], 1)}
                out.writerow(row)
                file.flush()
                print("  ".join(f"{name} {row[name]}" for name in COLUMNS[2:]), flush=True)
        writer.close()


if __name__ == "__main__":
    main()
