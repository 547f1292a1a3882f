"""Runs the default study as a user would, and renews all that the documentation says of it.

    python docs/default_study.py      # about two minutes

`scaling submit experiments.yaml` in an empty folder, with nothing compiled before. Its runs go to docs/default_study.csv, what it printed and how long it
took to README.md and docs/default_study.md, the pictures of its pages to docs/. Then `docs/refresh.py` makes the blocks of the pages from the CSV.
Needs the test extra and a Chromium, as `docs/picture.py` does.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

DOCS = Path(__file__).parent
SCALING = str(Path(sys.executable).with_name("scaling"))
FILE = DOCS.parent / "experiments.yaml"
PRINTED = re.compile(r"(<!-- printed by scaling submit -->\n\n```text\n).*?(\n```\n\n<!-- end -->)", re.S)
TOOK = re.compile(r"(?<=<!-- took -->).*?(?=<!-- end -->)", re.S)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="scaling-default-study-") as name:
        folder = Path(name)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SCALING_", "JAX_COMPILATION"))}
        environment |= {"NO_COLOR": "1", "COLUMNS": "140"}

        def run(*words: str) -> str:
            return subprocess.run([SCALING, *words], cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout

        started = time.perf_counter()
        done = subprocess.run([SCALING, "submit", str(FILE)], cwd=folder, env=environment, check=True, capture_output=True, text=True)
        took = f"{time.perf_counter() - started:.0f} seconds on {os.cpu_count()} cores of an {_cpu()}"
        printed = done.stdout.rstrip() + "\n" + done.stderr[done.stderr.rindex("next\n") :].rstrip()
        (DOCS / "default_study.csv").write_text(run("runs", "--csv"))
        _pictures(folder, environment)
    for page in (DOCS.parent / "README.md", DOCS / "default_study.md"):
        text = PRINTED.sub(lambda block: block[1] + printed + block[2], page.read_text())
        page.write_text(TOOK.sub(took, text))
    subprocess.run([sys.executable, str(DOCS / "refresh.py")], check=True)
    print(f"{took}\n{printed}")


def _pictures(folder: Path, environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    site = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([SCALING, "serve", "--port", str(port)], cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"{site}/healthz", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        for page, name in (("/frontier", "frontier"), ("/frontier/optimum?x=train_flops", "optimum"), ("/learning-rate", "learning_rate")):
            picture = str(DOCS / ("frontier.png" if name == "frontier" else f"default_study_{name}.png"))
            subprocess.run([sys.executable, str(DOCS / "picture.py"), site + page, picture], check=True)
    finally:
        server.terminate()
        server.wait()


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
