"""Charts and tables in a real Chromium: what is drawn, a click on a point opens its run, a table sorts, colours follow the system."""

from __future__ import annotations

import time

import pytest


class Visit:
    """One address after another in one tab, so that plotly.js is read once; with all that the page asked for and complained about."""

    def __init__(self, context):
        self.page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console", lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, url):
        self.requests, self.complaints = [], []
        self.page.goto(url)
        for number in range(self.page.locator(".chart").count()):
            self.page.locator(f".chart[data-drawn] >> nth={number}").wait_for(timeout=15_000)

    def traces(self):
        """Name, mode and number of points of everything that the frontier's chart draws."""
        return self.page.evaluate(
            """document.querySelector('#frontier .plot').data.map(
                (trace) => ({ name: trace.name, mode: trace.mode, points: trace.x.length ?? trace.x._inputArray.length }))"""
        )


def until(happened, seconds=5.0):
    """Wait for it from outside: the page's own policy forbids the `eval` that Playwright's waiting needs."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def context(browser):
    """One browser profile, so that plotly.js is fetched once."""
    with browser.new_context() as one:
        yield one


@pytest.fixture(scope="module")
def tab(context):
    return Visit(context)


@pytest.fixture
def visit(tab, site):
    def go(path, *, width=1280, colour_scheme="light"):
        tab.page.set_viewport_size({"width": width, "height": 900})
        tab.page.emulate_media(color_scheme=colour_scheme)
        tab.go(site + path)
        return tab

    return go


@pytest.fixture(scope="module")
def front(context, site):
    """The frontier on a wide, light screen, for tests that leave it as it is or do not mind what others did to it."""
    seen = Visit(context)
    seen.page.set_viewport_size({"width": 1280, "height": 900})
    seen.go(site + "/frontier")
    return seen


AXES = "(() => { const { xaxis, yaxis } = document.querySelector('#frontier .plot').layout; return [xaxis.type, yaxis.type]; })()"


def test_the_chart_draws_every_cell_run_and_law_on_logarithmic_axes(front, client):
    seen = front
    traces = {trace["name"]: trace for trace in seen.traces()}
    body = client.get("/frontier.json").json()
    cells = [trace for name, trace in traces.items() if name in ("nano-F0", "nano-F1", "nano-F3")]
    assert sum(trace["points"] for trace in cells) == len(body["points"]) == 15
    assert sum(trace["points"] for name, trace in traces.items() if name.endswith("single runs")) == body["runs_used"]
    assert traces["compute-optimal"]["points"] == sum(point["on_frontier"] for point in body["points"])
    assert traces["power-floor law, frontier"]["mode"] == "lines"
    assert seen.page.evaluate(AXES) == ["log", "log"]


def test_a_click_on_a_point_opens_its_run(visit, site, client):
    seen = visit("/frontier")
    area = seen.page.locator("#frontier .nsewdrag").first
    area.evaluate("each => each.scrollIntoView({ block: 'center' })")
    box = area.bounding_box()
    # Where the last cell stands, in the pixels of the plot.
    x, y, run = seen.page.evaluate(
        """() => {
            const plot = document.querySelector('#frontier .plot'), { xaxis, yaxis } = plot._fullLayout;
            const trace = plot._fullData.find((t) => t.name === 'nano-F3');
            const i = trace.x.length - 1;
            return [xaxis.c2p(xaxis.d2c(trace.x[i])), yaxis.c2p(yaxis.d2c(trace.y[i])), trace.customdata[i]];
        }"""
    )
    seen.page.mouse.move(box["x"] + x, box["y"] + y)
    seen.page.locator("#frontier .hoverlayer .hovertext").first.wait_for(timeout=5_000)
    assert "nano-F3" in seen.page.locator("#frontier .hoverlayer").text_content()
    seen.page.mouse.click(box["x"] + x, box["y"] + y)
    seen.page.wait_for_url(f"{site}/runs/{run}", timeout=10_000)
    assert client.get(f"/api/v1/runs/{run}").json()["run"]["model"] == "nano-F3"
    seen.page.locator(".chart[data-drawn]").first.wait_for(timeout=10_000)
    assert seen.complaints == []


def test_no_button_sends_a_chart_away(front):
    page = front.page
    titles = "(place) => [...document.querySelectorAll(`${place} .modebar-btn`)].map((button) => button.dataset.title)"
    ours = page.evaluate(titles, "#frontier")
    assert "Zoom in" in ours
    assert not [title for title in ours if "Share" in title]
    # Without our configuration plotly.js has such a button, by this name.
    page.evaluate(
        "() => { const bare = document.createElement('div'); bare.id = 'bare'; document.body.append(bare); return Plotly.newPlot(bare, [{ y: [1, 2] }]); }"
    )
    assert [title for title in page.evaluate(titles, "#bare") if "Share" in title]


def test_a_chart_can_be_saved(front):
    seen = front
    seen.page.locator("#frontier").hover()
    with seen.page.expect_download(timeout=15_000) as download:
        seen.page.locator("#frontier [data-save=svg]").click()
    assert download.value.suggested_filename == "scaling-frontier.svg"
    assert seen.complaints == []


def test_dark_and_light_follow_the_system_and_keep_the_zoom(visit):
    seen = visit("/frontier", colour_scheme="dark")
    page = seen.page

    def look():
        return page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, document.querySelector('#frontier .plot')._fullLayout.font.color]"
        )

    def zoom():
        return page.evaluate("document.querySelector('#frontier .plot')._fullLayout.xaxis.range.map(Number)")

    dark, unzoomed = look(), zoom()
    box = page.locator("#frontier .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    until(lambda: zoom() != unzoomed)
    zoomed = zoom()
    page.emulate_media(color_scheme="light")
    until(lambda: look()[1] != dark[1])
    assert look()[0] != dark[0]
    assert zoom() == zoomed


def test_a_table_sorts_by_number_from_the_keyboard(front):
    page = front.page
    head = page.locator("#cells thead button", has_text="val_loss")
    column = "[...document.querySelectorAll('#cells tbody tr')].map(row => Number(row.cells[7].dataset.value))"
    head.focus()
    page.keyboard.press("Enter")
    up = page.evaluate(column)
    page.keyboard.press("Enter")
    down = page.evaluate(column)
    assert up == sorted(up)
    assert down == up[::-1]
    assert page.locator("#cells th[aria-sort=descending]").inner_text().startswith("val_loss")


def test_linear_axes_when_asked_and_the_form_makes_the_link(visit):
    page = visit("/frontier?x_scale=linear&y_scale=linear").page
    assert page.evaluate(AXES) == ["linear", "linear"]
    page.locator("select[name=x]").select_option("train_flops")
    page.locator(".controls button").click()
    page.wait_for_url("**/frontier?*x=train_flops*")
    assert "experiment=" not in page.url
    assert page.locator("h1").inner_text().endswith("training FLOPs")
