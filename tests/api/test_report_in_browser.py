"""The report in a real Chromium, from a file: its charts are drawn, nothing is asked of any host, a click on a point shows its run."""

from __future__ import annotations

import time

import pytest

from analysis.report.document import report_html
from analysis.report.study import study_of
from orchestrator.store import Store


@pytest.fixture(scope="module")
def page(browser, filled_store, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    with Store.open_readonly(str(filled_store)) as store:
        path.write_text(report_html(study_of(store.runs(), bootstrap=100, title="Small grid")))
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(path.as_uri())
    for number in range(page.locator(".chart").count()):
        page.locator(f".chart[data-drawn] >> nth={number}").wait_for(timeout=30_000)
    yield page
    context.close()


def test_everything_is_in_the_file(page):
    assert page.locator(".chart .main-svg").count() >= 6
    assert len([url for url in page.asked if not url.startswith(("data:", "blob:"))]) == 1  # the file itself
    assert page.complaints == []
    titles = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map((button) => button.dataset.title)")
    assert titles
    assert not [title for title in titles if "Share" in title]


def test_a_link_of_a_chart_is_a_row_of_the_table(page):
    run = page.evaluate("document.querySelector('#residuals .plot').data.find((trace) => trace.customdata).customdata[0]")
    assert page.locator(f"tr[id='run-{run}']").count() == 1


def test_on_paper_it_is_dark_on_white_with_every_table_open(page):
    look = "(() => { const { font, width } = document.querySelector('#frontier .plot').layout; return [font.color, width]; })()"
    light = page.evaluate(look)
    page.emulate_media(color_scheme="dark")
    deadline = time.monotonic() + 10
    while page.evaluate(look) == light:
        assert time.monotonic() < deadline, "the chart did not follow the system's colours"
        time.sleep(0.05)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(look) == ["#7b7b7b", 680]
    assert page.evaluate("[...document.querySelectorAll('details')].every((part) => part.open)")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(look)[0] != "#7b7b7b"
