"""Runs a study as a user would, and renews all that the documentation says of it.

    python docs/study.py default_study      # about two minutes on two CPU cores
    python docs/study.py fashion_mnist      # about eight
    python docs/study.py rivals DIR         # about an hour on one; goes on from what DIR has
    python docs/study.py rivals_recipes DIR

`scaling submit` in an empty folder, with nothing compiled before. With DIR it is this folder, which stays: a study that was stopped (Ctrl-C) goes on there when
the same command is given again, and runs that are done are not trained again. Its runs go to docs/NAME.csv, what it printed and how long it took to docs/NAME.md and
README.md, the pictures of its pages to docs/. Then `docs/refresh.py` makes the blocks of the pages from the CSV. Needs the test extra and a Chromium, as
`docs/picture.py` does.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOCS = Path(__file__).parent
SCALING = str(Path(sys.executable).with_name("scaling"))
FILES = {
    "default_study": ("experiments.yaml",),
    "fashion_mnist": ("experiments/fashion_mnist.yaml",),
    "rivals": ("experiments/rivals.yaml", "experiments/rivals_wider.yaml"),
    "rivals_recipes": tuple(f"experiments/rivals_{name}.yaml" for name in ("recipes", "crop", "repeats")),
}
"""The files of a study, submitted one after the other to one store."""
AFTER = {"rivals": (("rivals.py", "widen"),)}
"""Scripts, with words, that go on in the study's folder before its runs are read."""
PICTURES = {
    "default_study": {
        "frontier.png": ("/frontier",),
        "default_study_optimum.png": ("/frontier/optimum?x=train_flops",),
        "default_study_learning_rate.png": ("/learning-rate",),
    },
    "fashion_mnist": {"fashion_mnist.png": ("/frontier", "#frontier")},
    "rivals": {
        "rivals.png": ("/frontier?x=train_flops", "#frontier"),
        "rivals_finetuned.png": ("/frontier?x=train_flops&metric=finetune_top1_error", "#frontier"),
        "rivals_learning_rate.png": ("/learning-rate",),
    },
}
"""What is shown of a study: file → page of the site, and the one element of it where not all of it is shown."""


def main(name: str, folder: str | None = None) -> None:
    with _place(folder) as place:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SCALING_", "JAX_COMPILATION"))}
        environment |= {"NO_COLOR": "1", "COLUMNS": "140"}

        def run(*words: str) -> tuple[str, str]:
            done = subprocess.run([SCALING, *words], cwd=place, env=environment, check=True, capture_output=True, text=True)
            return done.stdout, done.stderr

        started = time.perf_counter()
        for file in FILES[name]:
            out, err = run("submit", str(DOCS.parent / file))
        for script, *words in AFTER.get(name, ()):
            subprocess.run([sys.executable, str(DOCS / script), *words, str(place)], env=environment, check=True)
        took = f"{_spelled(time.perf_counter() - started)} on {os.cpu_count()} cores of an {_cpu()}"
        printed = out.rstrip() + "\n" + err[err.rindex("next\n") :].rstrip()
        (DOCS / f"{name}.csv").write_text(run("runs", "--csv")[0])
        with _server(place, environment) as site:
            for file, (page, *element) in PICTURES.get(name, {}).items():
                subprocess.run([sys.executable, str(DOCS / "picture.py"), site + page, str(DOCS / file), *element], check=True)
    for page in filter(Path.is_file, (DOCS.parent / "README.md", DOCS / f"{name}.md")):
        page.write_text(_renewed(page.read_text(), name, took, printed))
    subprocess.run([sys.executable, str(DOCS / "refresh.py")], check=True)
    print(f"{took}\n{printed}")


def _renewed(text: str, name: str, took: str, printed: str) -> str:
    """The text with what stands between its marks of this study."""
    for mark, new in ((f"took by {name}", took), (f"printed by {name}", f"\n\n```text\n{printed}\n```\n\n")):
        text = re.sub(rf"(?<=<!-- {mark} -->).*?(?=<!-- end -->)", lambda _, new=new: new, text, flags=re.S)
    return text


def _spelled(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


@contextmanager
def _place(folder: str | None) -> Iterator[str]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="scaling-study-") as place:
            yield place
    else:
        Path(folder).mkdir(parents=True, exist_ok=True)
        yield folder


@contextmanager
def _server(place: str, environment: dict[str, str]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    site = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([SCALING, "serve", "--port", str(port)], cwd=place, env=environment, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"{site}/healthz", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield site
    finally:
        server.terminate()
        server.wait()


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main(*sys.argv[1:3])
