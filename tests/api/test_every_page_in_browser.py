"""Every page in Chromium, in both themes, each wide and at 390 px: axe-core finds nothing serious, and what else must hold of all of them.

The pages are those of the routes, so a new one is looked at as soon as it is there; what its path needs has to be in `places`.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urljoin, urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from api import create_app, pages
from api.serving import Server
from orchestrator.store import Store
from orchestrator.store.models import Run
from tests.api.test_browser import Visit, until
from tests.api.test_finetuned_pages import rows as finetuned
from tests.api.test_imported_pages import imported  # noqa: F401
from tests.api.test_rehearsal_pages import rehearse
from tests.api.test_search_pages import search
from tests.api.test_trunk_pages import CHILD, share_a_trunk
from tests.orchestrator.search.test_replay import in_folder

TOKEN = "correct-horse-battery-staple"
WIDE, NARROW = 1280, 390
PATHS = sorted(
    {
        route.path
        for router in pages.routers()
        for route in router.routes
        if "GET" in route.methods and not route.path.endswith((".csv", ".json", ".log")) and not route.path.startswith("/api/")
    }
    - {"/"}  # leads to /frontier
)
FILLED = [
    *PATHS,
    "/frontier?metric=val_top1_error&reference=all&convert=TPU-v4:cpu=1e6",
    "/frontier?experiment=first-look",
    "/compare?by=model&a=nano-F1&b=nano-F3",
    "/runs/{failed}",
    "/runs/overlay?run={run_id}&run={failed}",
    "/runs?status=paused",
    "/frontier?x=nonsense",
]
OTHERS = [
    ("none", "/frontier"),
    ("empty", "/frontier"),
    ("empty", "/runs"),
    ("imported", "/frontier?experiment=full"),
    ("imported", "/runs/{run_id}"),
    ("imported", "/experiments/{name}"),
    ("kinds", "/experiments"),
    ("kinds", "/experiments/study"),
    ("kinds", "/experiments/rehearsal"),
    ("kinds", "/experiments/search"),
    ("kinds", f"/runs/{CHILD}"),
    ("kinds", "/runs/{tuned}"),
    ("kinds", "/frontier?metric=finetune_top1_error"),
    ("kinds", "/learning-rate?metric=finetune_val_loss"),
]
IN_PART = """() => [...document.querySelectorAll('.chart .plot')].filter((plot) => plot.querySelector('.main-svg').getBoundingClientRect().height > plot.clientHeight + 1).map((plot) => plot.parentElement.id)"""
UNNAMED = """() => [...document.querySelectorAll('select, input:not([type=hidden]), main button, figure.chart, nav')]
    .filter((e) => !e.closest('#swagger-ui') && !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())).map((e) => e.outerHTML.slice(0, 80))"""
AXE = """([rules, exclude]) => axe.run({ exclude }, { resultTypes: ['violations'], preload: false, ...(rules && { runOnly: rules }) })
    .then(({ violations }) => violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary}`)))"""
COLOURS = ["color-contrast", "link-in-text-block"]
SIZES = ["scrollable-region-focusable", "target-size"]
"""What can differ by theme and by width. The other rules see the document, which is one in all of them: no style sheet hides a part by either."""
REPEATED = ["tbody tr:nth-child(n+9)"]
"""Rows that look as those above them."""
DRAWN = [".main-svg"]
"""Text in charts, of which axe-core takes `color` for what `fill` says."""


@contextmanager
def served(application) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(application)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: server.started, 20)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="module")
def stores(filled_store, imported, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("others")
    with Store.open(str(folder / "empty.db")):
        pass
    with Store.open(str(folder / "kinds.db")) as store:
        share_a_trunk(store)
        rehearse(store)
        plan = in_folder(folder)(models="nano-F0", epochs="[1, 2]")
        search(store, plan, "given-up", "a trial failed: no such image")
        with store.write() as session:
            session.add_all(Run(**row) for row in finetuned())
    others = {name: folder / f"{name}.db" for name in ("none", "empty", "kinds")}
    return {"filled": filled_store, "imported": imported, **others}


@pytest.fixture(scope="module")
def sites(stores):
    """An address for each store, of a server with a token, so that pages have all their buttons."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(served(create_app(str(path), token=TOKEN))) for name, path in stores.items()}


@pytest.fixture(scope="module")
def places(stores):
    """What stands in the paths of the pages, for each store."""

    def of(path, name):
        with Store.open_readonly(str(path)) as store, store.read() as session:
            runs = {str(run.status): run.id for run in session.query(Run)}
        return {"run_id": runs["finished"], "failed": runs["failed"], "name": name, "intent": "1"}

    kinds = {"tuned": finetuned()[-1]["id"]}
    return {
        "none": {},
        "empty": {},
        "kinds": kinds,
        "filled": of(stores["filled"], "digits"),
        "imported": of(stores["imported"], "full"),
    }


@pytest.fixture(scope="module")
def tab(browser, sites):
    with browser.new_context(reduced_motion="reduce") as context:
        seen = Visit(context)
        seen.go(f"{sites['filled']}/login")
        seen.page.locator("input[name=token]").fill(TOKEN)
        seen.page.locator("main button").click()
        yield seen


def become(page, theme, width):
    """Give the page this theme and width, and wait until its charts and the page itself have followed."""
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 900})
    if "/docs" in page.url:  # its script hears of the theme, when the style sheets have it already
        page.locator("html.dark-mode" if theme == "dark" else "html:not(.dark-mode)").wait_for(state="attached")
        page.evaluate("Promise.allSettled(document.getAnimations().map((animation) => animation.finished))")
    until(
        lambda: page.evaluate("document.documentElement.scrollWidth") <= width
    )  # plotly.js waits a tenth of a second before it follows the window


def look_at(seen, url):
    page = seen.page
    page.goto(urljoin(url, "/healthz"))  # the page before it would be drawn anew for the window and the theme
    page.set_viewport_size({"width": WIDE, "height": 900})
    page.emulate_media(color_scheme="light")
    seen.go(url)
    if "/docs" in url:
        page.locator("#swagger-ui .opblock").first.wait_for(timeout=60_000)
    assert page.locator("h1:not(#swagger-ui h1)").count() == 1
    assert page.evaluate(UNNAMED) == []
    charts = page.locator(".chart").count()
    assert not charts or page.locator("main table").count(), "no table stands in for the chart without JavaScript"
    for chart in range(charts):
        plot = page.locator(f".chart .plot >> nth={chart}")
        plot.focus()
        page.keyboard.press("End")
        until(lambda plot=plot: plot.locator("[aria-live]").text_content())
    page.evaluate(AXE_SCRIPT)
    assert page.evaluate(AXE, [None, REPEATED]) == []
    for theme, width, rules in (("dark", WIDE, COLOURS), ("dark", NARROW, COLOURS + SIZES), ("light", NARROW, COLOURS)):
        become(page, theme, width)
        assert page.evaluate(AXE, [rules, REPEATED + DRAWN]) == [], (theme, width)
    assert page.evaluate(IN_PART) == [], "a chart is drawn over what stands below it"

    assert {urlsplit(each).netloc for each in seen.requests if urlsplit(each).scheme not in ("data", "blob")} == {
        urlsplit(url).netloc
    }
    refused = [
        text for text in seen.complaints if "the server responded with a status of" in text
    ]  # Chromium says so of the page itself
    assert len(refused) <= 1
    assert [text for text in seen.complaints if text not in refused] == []


@pytest.mark.parametrize("path", FILLED)
def test_a_page(tab, sites, places, path):
    look_at(tab, sites["filled"] + path.format(**places["filled"]))


@pytest.mark.parametrize(("store", "path"), OTHERS)
def test_a_page_of_another_store(tab, sites, places, store, path):
    look_at(tab, sites[store] + path.format(**places[store]))


def test_without_javascript_a_table_stands_in_for_the_chart(browser, sites, places):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        for path, table in (("/frontier", "#cells"), ("/runs/{run_id}", ".curves table >> nth=0")):
            page.goto(sites["filled"] + path.format(**places["filled"]))
            assert page.locator(".chart noscript p").first.is_visible()
            assert not any(part.is_visible() for part in page.locator(".plot, .focus, .scripted").all())
            for summary in page.locator(".curves summary").all()[:1]:
                summary.click()
            assert page.locator(table).is_visible()
        page.goto(sites["filled"] + "/frontier")
        page.locator("#residuals noscript a").click()
        assert page.locator("#residuals-table").is_visible()
