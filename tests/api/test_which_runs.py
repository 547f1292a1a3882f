"""Pages about some of the runs: rows chosen, core-hours converted, cells told apart, in the spelling of the command line."""

from __future__ import annotations

import html

import pytest
from starlette.testclient import TestClient

from api import create_app
from orchestrator.store import Store
from orchestrator.store.models import Run
from tests.api.page_text import commands_of, text_of, words_of_command
from tests.api.small_grid import fill
from tests.api.test_pages import PAGES


@pytest.fixture
def mixed(tmp_path):
    path = tmp_path / "mixed.db"
    fill(path)
    with Store.open(str(path)) as store, store.write() as session:
        for run in session.query(Run).filter(Run.model == "nano-F3"):
            run.accelerator = "TPU-v3"
        for run in session.query(Run).filter(Run.model != "nano-F3"):
            run.accelerator = "TPU-v4"
    return TestClient(create_app(str(path)))


def test_mixed_accelerators_are_refused_until_a_conversion_is_named(mixed):
    assert "as those of another” TPU-v3:TPU-v4" in html.unescape(text_of(mixed.get("/frontier")))
    page = html.unescape(text_of(mixed.get("/frontier?convert=TPU-v3:TPU-v4=nfnet")))
    assert "on TPU-v3 count as those of TPU-v4, divided by 2.27" in page
    words = words_of_command(page, "scaling fit")
    assert words[words.index("--convert") + 1] == "TPU-v3:TPU-v4=nfnet"
    before = mixed.get("/frontier.json?where=accelerator=TPU-v3").json()
    after = mixed.get("/frontier.json?convert=TPU-v3:TPU-v4=nfnet").json()

    def hours(answer):
        return {(cell["model"], cell["epochs"]): cell["core_hours"] for cell in answer["points"]}

    alone, converted = hours(before), hours(after)
    assert {name for name, _ in alone} == {"nano-F3"} < {name for name, _ in converted}
    assert all(converted[cell] == pytest.approx(alone[cell] / 2.27) for cell in alone)


@pytest.mark.parametrize("path", PAGES[:7])
def test_every_view_keeps_the_choice(client, path):
    mark = "&" if "?" in path else "?"
    page = html.unescape(text_of(client.get(f"{path}{mark}where=seed%3D0&where=&convert=&cell=dataset,seed&cell=")))
    assert "runs were chosen: seed is 0" in page
    assert 'name="where" value="seed=0"' in page
    assert 'name="cell" value="dataset,seed"' in page
    assert any("--cell dataset,seed" in command for command in commands_of(page) if command.startswith("scaling"))
    assert (path in ("/frontier", "/frontier/laws", "/frontier/trust", "/plan")) == ('name="clusters"' in page)


def test_the_form_is_open_where_cells_are_told_apart(client):
    page = text_of(client.get("/learning-rate?cell=seed"))
    assert 'name="cell" value="seed"' in page
    assert '<details class="chosen" open>' in page
    assert 'name="clusters"' not in page


def test_what_is_resampled_is_kept_where_a_law_is_fitted(client):
    page = html.unescape(text_of(client.get("/frontier?law=power&on=all&clusters=model")))
    assert 'name="clusters" value="model"' in page
    assert "resampled by model" in page
    assert words_of_command(page, "scaling fit --metric val_loss --x core_hours --law power --on all --clusters model")
    assert "/frontier/trust?clusters=model" in page
    assert "/frontier/optimum?clusters" not in page
    without_law = text_of(client.get("/frontier?law=none&clusters=model"))
    assert "--clusters" not in words_of_command(without_law, "scaling frontier")
    assert "/frontier/laws?clusters" not in text_of(client.get("/frontier/optimum?cell=seed"))
    assert "unknown column 'modl'" in text_of(client.get("/frontier?law=none&clusters=modl"), 422)


def test_a_condition_that_no_run_meets_says_so(client):
    page = html.unescape(text_of(client.get("/frontier?where=seed%3D77"), 422))
    assert "unknown seed '77'" in page
