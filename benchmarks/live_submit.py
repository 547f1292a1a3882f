"""Pages that are open before and while `scaling submit` trains with Ray: what they show, and when.

    python benchmarks/live_submit.py [--csv benchmarks/live_submit.csv]     # about a minute on two quiet cores
    python benchmarks/live_submit.py table    # what the file says, for docs/pages.md

Serves a store that does not exist, opens `/frontier`, `/runs` and `/experiments/live` in Chromium, and submits 16 tiny runs on the digits. Meanwhile it zooms in,
pauses, stops the server and starts it again. It needs `chromium`, or SCALING_CHROMIUM. It fails where a page does not keep what the reader has done;
each moment is a row of the file, in seconds since the command began.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from csv_table import markdown, rows_of
from playwright.sync_api import Page, sync_playwright

COLUMNS = ("seconds", "page", "seen")
SCALING = str(Path(sys.executable).with_name("scaling"))
STUDY = """\
name: live
dataset: {source: "slow:load"}
models: [{name: tiny-8, width: [8], depth: [1], group_width: 4, stem: medium}, {name: tiny-16, width: [16], depth: [1], group_width: 4, stem: medium}]
epochs: [0.25, 0.5, 1, 2]
batch_size: 64
learning_rate: 1.6
seeds: [0, 1]
"""
SLOW = '''\
"""The digits, a fifth of a second a step: a reader would see nothing of runs that take a second."""
import time
from trainer.data import ArrayExamples, Dataset, digits

class Slowly(ArrayExamples):
    def __init__(self, examples):
        vars(self).update(vars(examples))

    def gather(self, ids):
        time.sleep(0.2)
        return super().gather(ids)

def load(options):
    whole = digits.load(options)
    return Dataset(whole.card, Slowly(whole.train), whole.validation)
'''
LINE = "document.querySelector('#live .said').textContent"
ZOOM = "document.querySelector('#frontier .plot')._fullLayout.xaxis.range.map(Number)"
POINTS = "document.querySelector('#frontier .plot')._fullData.flatMap((trace) => [...(trace.customdata ?? [])]).length"
WATCH = """() => { window.stays = true; window.pulses = 0;
    new MutationObserver((all) => { for (const one of all) for (const node of one.addedNodes) if (node.className === 'pulse') window.pulses += 1; })
        .observe(document.querySelector('#frontier .plot'), { childList: true }); }"""
ROWS = "document.querySelectorAll('#runs tbody tr').length"
FINISHED = "document.querySelectorAll('#runs tbody .badge.finished').length"


class Diary:
    """Writes down what was seen, and when."""

    def __init__(self) -> None:
        self.began, self.rows = time.monotonic(), list[dict[str, object]]()

    def write(self, page: str, seen: str) -> None:
        self.rows.append({"seconds": round(time.monotonic() - self.began, 1), "page": page, "seen": seen})
        print("  ".join(str(value) for value in self.rows[-1].values()), flush=True)


def until(happened: Callable[[], object], seconds: float = 300.0) -> None:
    """Wait from outside: the pages' own policy forbids the `eval` that Playwright's waiting needs."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        time.sleep(0.1)


def served(db: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Start `scaling serve`: the process and its port."""
    server = subprocess.Popen([SCALING, "serve", "--port", str(port), "--db", str(db)], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    return server, int(server.stderr.readline().split("/frontier")[0].rpartition(":")[2])


def zoomed(page: Page) -> list[float]:
    """Zoom into the chart with the mouse, and return the range of x then."""
    whole, box = page.evaluate(ZOOM), page.locator("#frontier .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.05 * box["width"], box["y"] + 0.05 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"], steps=4)
    page.mouse.up()
    until(lambda: page.evaluate(ZOOM) != whole, 20)
    return list(page.evaluate(ZOOM))


def watched(folder: Path, diary: Diary) -> None:
    """Do all of it in a folder."""
    (folder / "live.yaml").write_text(STUDY)
    (folder / "slow.py").write_text(SLOW)
    db = folder / "scaling.db"
    environment = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "RAY_TMPDIR")}
    environment |= {"SCALING_DB": str(db), "SCALING_HOME": str(folder / "runs"), "NO_COLOR": "1"}
    program = os.environ.get("SCALING_CHROMIUM") or shutil.which("chromium")
    server, port = served(db)
    submit: subprocess.Popen[bytes] | None = None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            frontier, runs, experiment = (browser.new_context(viewport={"width": 1280, "height": 900}).new_page() for _ in range(3))
            for page, path in ((frontier, "/frontier"), (runs, "/runs"), (experiment, "/experiments/live")):
                page.goto(f"http://127.0.0.1:{port}{path}")
                assert "Nothing has been run yet" in page.inner_text("h1")
            diary.began = time.monotonic()
            submit = subprocess.Popen(
                [SCALING, "submit", "live.yaml", "--yes"],
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            diary.write("all", "“Nothing has been run yet”, opened before there is a store; now `scaling submit` begins")
            until(lambda: runs.evaluate(ROWS) == 16)
            diary.write("/runs", "the table of 16 runs is there by itself")
            until(lambda: experiment.inner_text("h1") == "live")
            diary.write("/experiments/live", "the experiment is there by itself")
            frontier.locator("#frontier[data-drawn]").wait_for(timeout=300_000)
            diary.write(
                "/frontier",
                f"the chart is there by itself, markers: {frontier.evaluate(POINTS)}; the line says “{frontier.evaluate(LINE)}”",
            )

            frontier.evaluate(WATCH)
            known = frontier.evaluate(POINTS)
            until(lambda: frontier.evaluate(POINTS) > known)
            until(lambda: frontier.evaluate("window.pulses") > 0, 10)
            diary.write(
                "/frontier",
                f"more runs: {frontier.evaluate(POINTS)} markers, rings that have pulsed: {frontier.evaluate('window.pulses')}",
            )
            known, kept = frontier.evaluate(POINTS), zoomed(frontier)
            runs.locator("#live button").click()
            still = runs.evaluate(FINISHED)
            diary.write("/frontier, /runs", f"zoomed in; paused with {still} finished runs in the table")
            until(lambda: frontier.evaluate(POINTS) > known)
            assert (now := frontier.evaluate(ZOOM)) == kept, f"the zoom was lost: {kept}, {now}"
            assert frontier.evaluate("window.stays"), "the page was loaded again"
            diary.write(
                "/frontier",
                f"{frontier.evaluate(POINTS)} markers, the zoom is as it was; the line says “{frontier.evaluate(LINE)}”",
            )
            until(lambda: "as of" in runs.evaluate(LINE))
            assert runs.evaluate(FINISHED) == still, "the page did not hold still"
            diary.write("/runs", f"still {still} finished runs in the table; the line says “{runs.evaluate(LINE)}”")
            runs.locator("#live button").click()
            until(lambda: runs.evaluate(FINISHED) > still)
            diary.write("/runs", f"goes on: {runs.evaluate(FINISHED)} finished runs in the table")
            assert submit.poll() is None, "the study was over before the server could be stopped"

            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)
            until(lambda: re.search(r"server unreachable since \d\d:\d\d, retrying", frontier.evaluate(LINE)), 60)
            known = frontier.evaluate(POINTS)
            diary.write(
                "/frontier", f"the server is stopped, the study goes on; the line says “{frontier.evaluate(LINE)}”, the chart stays"
            )
            time.sleep(5)
            server, _ = served(db, port)
            until(lambda: frontier.evaluate(LINE).startswith("live"), 60)
            diary.write("/frontier", f"the server is back; the line says “{frontier.evaluate(LINE)}”")
            assert submit.wait(timeout=600) == 0
            diary.write("", "`scaling submit` has ended with 0")
            until(
                lambda: (
                    "16 of 16" in frontier.evaluate(LINE)
                    and not frontier.evaluate("document.documentElement.hasAttribute('data-stale')")
                ),
                120,
            )
            assert frontier.evaluate(POINTS) > known
            assert (now := frontier.evaluate(ZOOM)) == kept, f"the zoom was lost: {kept}, {now}"
            assert frontier.evaluate("window.stays"), "the page was loaded again"
            diary.write(
                "/frontier",
                f"{frontier.evaluate(POINTS)} markers, the zoom is as it was; the line says “{frontier.evaluate(LINE)}”",
            )
        finally:
            browser.close()
            server.kill()
            if submit is not None and submit.poll() is None:
                submit.send_signal(signal.SIGINT)
                submit.wait(timeout=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    if options.what == "table":
        print(
            markdown(
                ["s", "page", "what is seen"],
                [
                    [
                        row["seconds"],
                        f"`{row['page']}`" if row["page"].startswith("/") and "," not in row["page"] else row["page"],
                        row["seen"],
                    ]
                    for row in rows_of(options.csv)
                ],
            )
        )
        return
    diary = Diary()
    with tempfile.TemporaryDirectory() as folder:
        watched(Path(folder), diary)
    with options.csv.open("w", newline="") as file:
        out = csv.DictWriter(file, COLUMNS)
        out.writeheader()
        out.writerows(diary.rows)


if __name__ == "__main__":
    main()
