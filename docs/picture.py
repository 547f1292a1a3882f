"""Makes a picture of a page, as in the README, or of one element of it, as on docs/fashion_mnist.md.

    scaling serve &
    python docs/picture.py http://127.0.0.1:8000/frontier docs/frontier.png

    scaling report --data docs/fashion_mnist.csv --output /tmp/report.html
    python docs/picture.py file:///tmp/report.html docs/fashion_mnist.png "#frontier"

Needs the test extra (Playwright) and a Chromium: Debian's, or the one that SCALING_CHROMIUM names.
"""

from __future__ import annotations

import os
import shutil
import sys
import time

from playwright.sync_api import Page, sync_playwright

WAIT_SECONDS = 300


def opened(page: Page, url: str) -> None:
    """Go to a page and wait until its charts are drawn, and nothing about it is being computed any more. The events of a live page never end."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (answer := page.goto(url, wait_until="load")) is not None and answer.status == 202:  # it is being computed
        if time.monotonic() > deadline:
            raise SystemExit(f"{url} has no answer after {WAIT_SECONDS} seconds")
        page.wait_for_timeout(1_000)
    if page.locator(".plot").count():
        page.wait_for_selector(".plot .main-svg", timeout=60_000)
    page.wait_for_timeout(1_000)


def main(url: str, path: str, selector: str | None = None) -> None:
    chromium = os.environ.get("SCALING_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5, color_scheme="light")
        opened(page, url)
        if selector is None:
            page.screenshot(path=path)
        else:
            page.locator(selector).screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
