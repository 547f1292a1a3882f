"""Pages in a real Chromium while the store changes: parts are swapped, what the reader has done stays, and a lost server is told."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import update

import api.apart
from api import create_app
from api.serving import Server
from orchestrator.store import Store
from orchestrator.store.models import ExperimentRun, Run
from tests.api.small_grid import EPOCHS, begin, run_row, val_loss
from tests.api.test_browser import until

LINE = "document.querySelector('#live .said').textContent"
ZOOM = "document.querySelector('#frontier .plot')._fullLayout.xaxis.range.map(Number)"
OPACITY = """Object.fromEntries(
    document.querySelector('#frontier .plot')._fullData.filter(({ name }) => /^nano-F.$/.test(name)).map(({ name, opacity }) => [name, opacity]))"""
POINTS = "document.querySelector('#frontier .plot')._fullData.flatMap((trace) => [...(trace.customdata ?? [])])"


@contextmanager
def served(path, port=0, patience_seconds=60.0):
    """A real server over this store: its port."""
    listener = socket.create_server(("127.0.0.1", port))
    server = Server(create_app(str(path), patience_seconds=patience_seconds))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()
        assert not thread.is_alive(), "open event streams kept the server"


def finish(path, models, *, seed=0, first=500):
    """Add finished runs of these models at every budget, as the ledger leaves them."""
    with Store.open(str(path)) as store, store.write() as session:
        for number, (model, epochs) in enumerate((model, epochs) for model in models for epochs in EPOCHS):
            row = run_row(model, epochs, seed, number=first + number)
            done = {"status": "finished", "step": row["steps"], "accelerator": "cpu", "cores": 1}
            done |= {"core_hours": row["estimated_core_hours"], "val_loss": val_loss(model, epochs, seed)}
            session.add(Run(**{**row, **done}))
            session.flush()
            session.add(ExperimentRun(experiment_id=1, run_id=row["id"], added_in=1))


def zoom(page):
    """Zoom in with the mouse, and return the range of x then."""
    whole, box = page.evaluate(ZOOM), page.locator("#frontier .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"], steps=4)
    page.mouse.up()
    until(lambda: page.evaluate(ZOOM) != whole)
    return page.evaluate(ZOOM)


@pytest.fixture
def page(browser):
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        yield page
        assert page.complaints == []


def test_the_empty_page_turns_into_the_chart_and_new_points_pulse_while_zoom_details_and_order_stay(page, tmp_path):
    path = tmp_path / "later.db"
    with served(path) as port:
        page.goto(f"http://127.0.0.1:{port}/frontier")
        assert "Nothing has been run yet" in page.inner_text("h1")
        begin(path, finished=0)
        page.locator("h2", has_text="No frontier to draw").wait_for(timeout=60_000)
        page.evaluate("window.stays = 'the page was not loaded again'")
        finish(path, ["nano-F0", "nano-F1"])
        page.locator("#frontier[data-drawn]").wait_for(timeout=60_000)
        assert page.locator("#frontier .target-line").count() == 1
        until(lambda: "of 40" in page.evaluate(LINE), 30)
        assert page.evaluate(LINE).startswith("live · 10 of 40")
        before = set(page.evaluate(POINTS))

        whole, zoomed = page.evaluate(ZOOM), zoom(page)
        until(lambda: page.evaluate("location.hash").startswith("#zoom="))
        page.locator(".chosen summary").click()
        page.locator("#cells thead button", has_text="val_loss").click()
        page.locator("[data-focus=nano-F1]").click()
        until(lambda: page.evaluate(OPACITY) == {"nano-F0": 0.12, "nano-F1": 1})
        finish(path, ["nano-F3"], first=600)
        until(lambda: len(page.evaluate(POINTS)) > len(before), 60)
        assert page.evaluate("document.querySelectorAll('#frontier .pulse').length") > 0
        assert page.evaluate(ZOOM) == zoomed
        assert page.evaluate(OPACITY) == {"nano-F0": 0.12, "nano-F1": 1, "nano-F3": 0.12}
        assert page.locator("#frontier .target-line").count() == 1
        assert page.evaluate("document.querySelector('.chosen').open")
        losses = page.evaluate("[...document.querySelectorAll('#cells tbody tr')].map((row) => Number(row.cells[7].dataset.value))")
        assert len(losses) == 15
        assert losses == sorted(losses)
        assert page.evaluate("window.stays")

        page.locator("#live button").click()
        known = page.evaluate(POINTS)
        finish(path, ["nano-F0"], seed=7, first=700)
        until(lambda: "20 of 50" in page.evaluate(LINE), 30)
        time.sleep(1.5)
        assert page.evaluate(POINTS) == known
        assert page.evaluate(LINE).startswith("paused · 20 of 50 · as of ")
        page.locator("#live button").click()
        until(lambda: len(page.evaluate(POINTS)) > len(known), 60)
        assert page.evaluate(ZOOM) == zoomed

        page.evaluate("document.querySelector('#frontier').scrollIntoView()")
        box = page.locator("#frontier .nsewdrag").first.bounding_box()
        page.mouse.dblclick(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
        until(lambda: page.evaluate("location.hash") == "")
        assert page.evaluate(ZOOM)[1] > whole[1]  # of the points that there are now
        zoomed = zoom(page)

        assert page.locator("p.note").count() == 2  # that of the age, and that there are runs to come
        with Store.open(str(path)) as store, store.write() as session:
            session.execute(update(Run).where(Run.status.in_(("pending", "running"))).values(status="cancelled"))
        until(lambda: page.locator("p.note").count() == 1, 60)
        assert page.evaluate(ZOOM) == zoomed
        assert page.evaluate("window.stays")


def test_a_server_that_is_away_is_told_and_the_page_goes_on_when_it_is_back(page, tmp_path):
    path = tmp_path / "begun.db"
    begin(path)
    with served(path) as port:
        page.goto(f"http://127.0.0.1:{port}/runs")
        until(lambda: "live" in page.evaluate(LINE), 20)
    until(lambda: "server unreachable since" in page.evaluate(LINE), 20)
    assert page.evaluate("document.querySelectorAll('#runs tbody tr').length") == 30
    finish(path, ["nano-F0"], seed=9)
    with served(path, port):
        until(lambda: page.evaluate(LINE).startswith("live · 7 of 35"), 30)
        until(lambda: page.evaluate("document.querySelectorAll('#runs tbody tr').length") == 35, 30)


def test_a_first_answer_is_announced_and_comes_by_itself_its_figures_apart(page, tmp_path, monkeypatch):
    monkeypatch.setattr(api.apart, "_LARGE_PAGE", 1_000)
    path = tmp_path / "begun.db"
    begin(path, finished=20)
    with served(path, patience_seconds=0.0) as port:
        answer = page.goto(f"http://127.0.0.1:{port}/frontier")
        assert answer.status == 202
        assert "being computed" in page.inner_text("h1")
        assert not page.is_visible("#stale")
        until(lambda: page.evaluate(LINE), 20)
        assert "as of" not in page.evaluate(LINE)
        page.locator("#frontier[data-drawn]").wait_for(timeout=60_000)
        assert page.evaluate("document.documentElement.dataset.stale") is None
        assert page.locator("#frontier script").get_attribute("data-src").startswith("/figures/")
        finish(path, ["nano-F3"], first=600)
        page.reload()
        assert page.is_visible("#stale")
        until(lambda: page.evaluate("document.documentElement.dataset.stale") is None, 60)
        assert not page.is_visible("#stale")
        page.evaluate("window.stays = 'the page was not loaded again'")
        known = len(page.evaluate(POINTS))
        other = page.context.new_page()
        other.goto(f"http://127.0.0.1:{port}/experiments/nope")
        until(lambda: "Unknown experiment" in other.inner_text("h1"), 30)
        other.close()
    finish(path, ["nano-F3"], seed=1, first=700)
    with served(path, port, patience_seconds=0.0):  # it knows no answer: the page keeps its own until there is one
        until(lambda: len(page.evaluate(POINTS)) > known, 60)
        assert page.evaluate("window.stays")


def test_without_motion_a_ring_stands_still(browser, tmp_path):
    with browser.new_context(reduced_motion="reduce") as context:
        page = context.new_page()
        with served(tmp_path / "none.db") as port:
            page.goto(f"http://127.0.0.1:{port}/frontier")
            page.evaluate("document.body.append(Object.assign(document.createElement('span'), { className: 'pulse' }))")
            assert page.evaluate("getComputedStyle(document.querySelector('.pulse')).animationName") == "none"
