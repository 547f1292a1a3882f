"""The target of the frontier in a real Chromium: dragged, moved by keys, kept in the address; one model before the others; the zoom; saved pictures."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.api.test_browser import Visit, until


@pytest.fixture
def page(browser, site):
    with browser.new_context() as context:
        seen = Visit(context)
        seen.page.set_viewport_size({"width": 1280, "height": 900})
        seen.go(f"{site}/frontier?at=0.02")
        seen.page.locator(".target-line").wait_for(timeout=15_000)
        yield seen.page
        assert seen.complaints == []


def asked(page):
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def out(page, name):
    return page.locator(f"#target [data-out={name}]").text_content()


def test_keys_and_pointer_move_the_target_and_nothing_is_fitted_anew(page, client):
    line, before = page.locator(".target-line"), out(page, "value")
    requests = []
    page.on("request", lambda request: requests.append(urlsplit(request.url).path))
    line.focus()
    page.keyboard.press("ArrowRight")
    until(lambda: out(page, "value") != before)
    at = float(asked(page)["at"])
    assert 0.02 < at < 0.025
    answer = client.get(f"/api/v1/outlook?at={at}").json()["outlook"][0]
    until(lambda: out(page, "most") == answer["words"]["most"] != "")
    assert out(page, "value") == answer["words"]["value"]
    assert out(page, "best") == answer["words"]["best"]
    assert answer["words"]["value"] in line.get_attribute("aria-valuetext")
    box = line.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] - 200, box["y"] + 60, steps=4)
    page.mouse.up()
    until(lambda: float(asked(page)["at"]) < 0.02)
    assert float(page.locator("#target input[name=at]").input_value()) == float(asked(page)["at"])
    asked_for = {path for path in requests if not path.startswith("/assets/")}
    assert asked_for <= {"/api/v1/outlook", "/api/v1/events"}


def test_a_model_is_shown_before_the_others_and_the_zoom_is_in_the_address(page, site):
    shown = """() => Object.fromEntries(document.querySelector('#frontier .plot')._fullData.filter((t) => t.legendgroup).map((t) => [t.name, t.opacity]))"""
    page.locator("[data-focus=nano-F1]").click()
    until(lambda: page.evaluate(shown)["nano-F0"] < 0.5)
    assert page.evaluate(shown)["nano-F1"] == 1
    assert asked(page)["focus"] == "nano-F1"
    ink = "document.querySelector('#frontier .plot').layout.hoverlabel.font.color"
    light = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")  # which draws the chart anew
    until(lambda: page.evaluate(ink) != light)
    until(lambda: page.evaluate(shown)["nano-F0"] < 0.5)
    page.evaluate(
        "Plotly.relayout(document.querySelector('#frontier .plot'), { 'xaxis.range': [-3, -2], 'yaxis.range': [-0.5, 0] })"
    )
    until(lambda: "#zoom=" in page.url)
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    across = "document.querySelector('#frontier .plot')?._fullLayout?.xaxis.range.map(Number)"
    until(lambda: page.evaluate(across) == [-3, -2], 15)
    until(lambda: page.evaluate(shown)["nano-F0"] < 0.5)
    page.emulate_media(color_scheme="light")
    until(lambda: page.evaluate(ink) == light)
    until(lambda: page.evaluate(across) == [-3, -2])
    until(lambda: page.evaluate(shown)["nano-F0"] < 0.5)


def test_a_saved_picture_says_which_law_it_shows_and_of_when(page):
    with page.expect_download(timeout=15_000) as download:
        page.locator("#frontier [data-save=svg]").click()
    picture = Path(download.value.path()).read_text()
    assert "Validation loss (nats) against core-hours" in picture
    assert "val_loss = " in picture
    assert page.evaluate("new Date().toISOString().slice(0, 10)") in picture


def test_points_are_reached_by_the_keyboard(page, site):
    page.locator("#frontier .plot").focus()
    page.keyboard.press("End")
    said = page.locator("#frontier .plot [aria-live]")
    until(lambda: "nano-F3 · 16 epochs" in (said.text_content() or ""))
    assert page.locator("#frontier .hoverlayer .hovertext").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site}/runs/*", timeout=10_000)


def test_what_halves_the_interval_comes_in_place_with_its_command(page):
    page.locator("#halve summary").click()
    command = page.locator("#halve code")
    command.wait_for(timeout=60_000)
    assert command.text_content().startswith("scaling plan --halve --target 0.02 ")
