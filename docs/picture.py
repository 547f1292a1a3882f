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

from playwright.sync_api import sync_playwright


def main(url: str, path: str, selector: str | None = None) -> None:
    chromium = os.environ.get("SCALING_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5, color_scheme="light")
        page.goto(url, wait_until="networkidle")
        page.wait_for_timeout(500)
        if selector is None:
            page.screenshot(path=path)
        else:
            page.locator(selector).screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
