"""The buttons that change runs, clicked in Chromium: who may, what becomes of it in the store, and what a page of another site may not."""

from __future__ import annotations

import re

import pytest

from api import create_app
from api.guard import COOKIE
from orchestrator.store import Store
from orchestrator.store.models import Run
from tests.api.small_grid import EPOCHS, MODELS, begin, run_row
from tests.api.test_browser import until
from tests.api.test_every_page_in_browser import TOKEN, served

ELSEWHERE = "http://elsewhere.example/"
RUN, OTHER = (
    str(run_row(list(MODELS)[-1], epochs, 1, number=number)["id"]) for epochs, number in ((EPOCHS[-1], 29), (EPOCHS[-2], 27))
)


@pytest.fixture
def path(tmp_path):
    begin(tmp_path / "own.db", finished=1)
    return tmp_path / "own.db"


@pytest.fixture
def address(path):
    with served(create_app(str(path), token=TOKEN)) as found:
        yield found


@pytest.fixture
def page(browser):
    with browser.new_context() as context:
        yield context.new_page()


def held(path, run=RUN):
    with Store.open_readonly(str(path)) as store, store.read() as session:
        found = session.get(Run, run)
        return str(found.status), found.priority, found.excluded_reason


def log_in(page, token=TOKEN):
    page.locator("input[name=token]").fill(token)
    page.locator("main button").click()


def test_the_buttons_do_what_they_say(page, address, path):
    page.goto(f"{address}/runs/{RUN}")
    button = lambda words: page.locator("form.steer button", has_text=words)  # noqa: E731
    button("Pause").click()
    page.wait_for_url(re.compile(r"/login\?back="))
    log_in(page, "not-the-token-at-all")
    assert page.locator("[role=alert]").inner_text() == "That is not the token."
    assert held(path) == ("pending", 0, None)
    log_in(page)
    page.wait_for_url(f"**/runs/{RUN}")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (COOKIE, True, "Strict")
    assert TOKEN not in cookie["value"]
    assert page.evaluate("document.cookie") == ""

    said = page.locator("form.steer output").first
    button("Pause").click()
    until(lambda: said.text_content() == "1 paused.", 20)
    assert held(path)[0] == "paused"
    button("Resume").click()  # the page follows the store
    until(lambda: held(path)[0] == "pending", 20)
    page.locator("form.steer input[name=priority]").fill("7")
    button("Set").click()
    until(lambda: held(path)[1] == 7, 20)
    page.locator("form.steer input[name=reason]").fill("its loader was broken")
    button("Exclude from fits").click()
    until(lambda: held(path)[2] == "its loader was broken", 20)
    page.locator("main", has_text="No fit uses it: its loader was broken").wait_for(timeout=20_000)
    button("Let fits use it again").click()
    until(lambda: held(path)[2] is None, 20)
    button("Cancel").click()
    until(lambda: held(path)[0] == "cancelled", 20)
    button("Retry").click()
    until(lambda: held(path)[0] == "pending", 20)

    page.goto(f"{address}/runs?sort=-epochs")
    for run in (RUN, OTHER):
        page.locator(f"#run-{run} input[name=run]").check()
    button("Cancel").click()
    until(lambda: [held(path, run)[0] for run in (RUN, OTHER)] == ["cancelled", "cancelled"], 20)
    page.goto(f"{address}/experiments/digits")
    button("Retry").click()
    until(lambda: [held(path, run)[0] for run in (RUN, OTHER)] == ["pending", "pending"], 20)


def test_a_page_of_another_site_cannot_press_them(page, address, path):
    page.goto(f"{address}/login?back=/runs/{RUN}")
    log_in(page)
    page.wait_for_url(f"**/runs/{RUN}")
    form = f'<form method="post" action="{address}/steer/pause"><input name="run" value="{RUN}"><button>Win</button></form>'
    page.route(f"{ELSEWHERE}**", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto(ELSEWHERE)
    with page.expect_response(lambda answer: answer.url.startswith(address)) as answer:
        page.locator("button").click()
    assert answer.value.status == 403
    assert COOKIE not in answer.value.request.all_headers().get("cookie", "")
    page.locator(".problem h1").wait_for()
    assert held(path) == ("pending", 0, None)
    page.goto(f"{address}/login")
    page.locator("main button", has_text="Log out").click()
    page.locator("input[name=token]").wait_for()
    assert page.context.cookies() == []
