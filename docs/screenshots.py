"""Makes the pictures of docs/screenshots/ from the running product.

    python docs/screenshots.py [scaling.db]
    python docs/screenshots.py http://127.0.0.1:8000      # of a `scaling serve` that runs

It serves the store with `scaling serve` and looks at its pages in Chromium, light and dark: docs/screenshots/NAME.webp and NAME_dark.webp. Without a
store it runs the default study first, which takes about a minute on two cores. docs/pictures.md shows the pictures.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from picture import opened
from PIL import Image
from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parent
FOLDER = DOCS / "screenshots"
WIDTH, HEIGHT = 1280, 1000
PAGES = {
    "frontier": "/frontier",
    "frontier_optimum": "/frontier/optimum",
    "laws": "/frontier/laws",
    "learning_rate": "/learning-rate",
    "compare": "/compare?by=model&a=w8&b=w32",
    "plan": "/plan",
    "runs": "/runs",
    "experiments": "/experiments",
}
"""The name of a picture → the page that it shows; `run` is the page of the first run of the list."""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(DOCS.parent), "NO_COLOR": "1"}


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Serve a store on a free port; give its address. One that is served already is given by its address."""
    if str(store).startswith("http:/"):
        yield str(store).replace("http:/", "http://")
        return
    command = [sys.executable, "-m", "scaling.cli", "serve", "--db", store.name, "--port", "0"]
    server = subprocess.Popen(command, cwd=store.resolve().parent, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if found := re.search(r"http://[^/\s]+", line):
                break
        else:
            raise SystemExit("scaling serve ended before it said where it listens")
        yield found[0]
    finally:
        server.terminate()
        server.wait()


def study(folder: Path) -> Path:
    """Run the default study in a folder; return its store."""
    command = [sys.executable, "-m", "scaling.cli", "submit", str(DOCS.parent / "experiments.yaml"), "--yes"]
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    return folder / "scaling.db"


def main(store: Path | None = None) -> None:
    FOLDER.mkdir(exist_ok=True)
    program = os.environ.get("SCALING_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as place, served(store or study(Path(place))) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for scheme, ending in (("light", ""), ("dark", "_dark")):
            context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme, reduced_motion="reduce")
            page = context.new_page()
            page.goto(f"{address}/runs")
            run = page.locator("a[href^='/runs/']").first.get_attribute("href")
            for name, path in {**PAGES, "run": run}.items():
                opened(page, address + str(path))
                picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
                picture.save(FOLDER / f"{name}{ending}.webp", quality=80, method=6)
                print(f"{name}{ending}.webp", (FOLDER / f"{name}{ending}.webp").stat().st_size, flush=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
