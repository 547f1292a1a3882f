"""What the pages say, read as text: each state teaches, every view is a link, nothing is written into HTML unescaped."""

from __future__ import annotations

import html
import json
import math
import random
import re

import pandas as pd
import pytest
from starlette.testclient import TestClient

import api.pages.drawing as drawing
from analysis import frontier
from api import create_app
from api.assets import asset_url
from api.pages import tabs
from orchestrator.store import Store
from orchestrator.store.models import Run
from tests.api import small_grid
from tests.api.page_text import commands_of, text_of, words_of_command
from tests.api.small_grid import fill, run_row

PAGES = (
    "/frontier",
    "/frontier/laws",
    "/frontier/trust",
    "/frontier/optimum",
    "/frontier/slices",
    "/compare?by=model&a=nano-F1&b=nano-F3",
    "/plan",
    "/runs",
    "/experiments",
    "/experiments/digits",
    "/learning-rate",
)


def test_the_front_page_is_the_frontier(client):
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/frontier")


def test_tabs_are_in_order():
    assert [tab.path for tab in tabs()] == ["/frontier", "/runs", "/experiments", "/learning-rate", "/compare", "/plan"]


@pytest.fixture(scope="module")
def followed():
    """Links that led somewhere: most are on several pages."""
    return set()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_names_no_other_host(client, path):
    page = text_of(client.get(path))
    assert not re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", page)
    assert not re.findall(r"\son\w+=", page), "an inline handler would be blocked"


@pytest.mark.parametrize("path", PAGES)
def test_every_link_of_a_page_leads_somewhere(client, followed, path):
    links = {link.replace("&amp;", "&") for link in re.findall(r'href="(/[^"]*)"', text_of(client.get(path)))}
    assert links
    for link in sorted(set(sorted(links)[:60]) - followed):
        assert client.get(link).status_code == 200, link
        followed.add(link)


@pytest.mark.parametrize("path", PAGES)
def test_without_a_store_a_page_says_how_to_make_one(client_of, tmp_path, path):
    client = client_of()
    command = words_of_command(text_of(client.get(path)), "scaling submit")
    assert command == ["scaling", "submit", "experiments.yaml", "--db", str(tmp_path / "own.db")]


def test_an_empty_store(client_of):
    client = client_of([])
    for path in ("/frontier", "/runs", "/experiments", "/learning-rate"):
        assert any(command.startswith("scaling submit") for command in commands_of(text_of(client.get(path)))), path


def test_filtered_to_nothing(client):
    page = text_of(client.get("/runs?status=paused"))
    assert "No run matches" in page
    assert "43 runs in the store" in page


def test_too_few_runs_for_a_law_still_draws_what_there_is(client):
    page = text_of(client.get("/frontier?experiment=first-look"))
    assert "2 more are needed" in page
    assert "<code>scaling submit</code>" in page
    assert 'id="frontier"' in page


@pytest.mark.parametrize("path", ["/frontier", "/frontier/laws", "/frontier/trust", "/frontier/optimum", "/plan", "/learning-rate"])
def test_a_refusal_on_a_page_names_no_command_of_the_documentation(client, path):
    assert "scaling docs" not in text_of(client.get(f"{path}?experiment=first-look"))


def test_nothing_finished_yet(client_of):
    page = text_of(client_of([run_row("nano-F0", 1, 0)]).get("/frontier"))
    assert "1 more is needed" in page
    assert "1 pending" in page


def test_two_data_sets_offer_one_experiment_each(client_of, tmp_path):
    done = {"status": "finished", "val_loss": 1.0, "core_hours": 1.0}
    client = client_of(
        [{**run_row("nano-F0", 1, seed), **done, "dataset": name} for seed, name in enumerate(("digits", "fashion_mnist"))]
    )
    page = text_of(client.get("/frontier"))
    assert "2 data sets" in page
    assert "“Experiment”" in html.unescape(page)
    assert not re.findall(r"--\w+", re.sub(r"<code.*?</code>", "", page.partition("<main")[2].partition("</main>")[0], flags=re.S))


def test_the_law_with_its_intervals_and_what_was_left_out(client):
    law = client.get("/api/v1/fits?on=frontier").json()["fits"][0]
    page = text_of(client.get("/frontier"))
    assert law["law"] == "power-floor"
    a = law["coefficients"]["a"]
    assert f"{a['value']:.4f}" in page
    assert f"{a['low']:.3f} … {a['high']:.3f}" in page
    assert law["advice"] in page
    assert f"{law['runs_used']} runs in {law['cells_used']} cells" in page
    for kind in ("diverged", "failed", "not finished (running)", "not on the frontier"):
        assert re.search(rf'<span class="n">\d+</span> {re.escape(kind)}', page), kind


def test_what_the_trend_left_out_says_why(client):
    page = text_of(client.get("/learning-rate"))
    for kind in ("diverged", "failed", "in a cell with fewer than 2 learning rates"):
        assert re.search(rf'<span class="n">\d+</span> {re.escape(kind)}', page), kind


def test_the_rate_of_a_cell_that_was_not_run(client):
    page = text_of(client.get("/learning-rate?at_model=nano-F0&at_epochs=64"))
    assert "Best learning rate of nano-F0 at 64 epochs" in page
    assert "Trials it would take" in page
    assert "no budget is given" in text_of(client.get("/learning-rate?at_model=nano-F0"))


def test_the_spread_of_residuals_is_a_factor(client):
    law = client.get("/api/v1/fits?on=frontier").json()["fits"][0]
    assert f"×/÷ {math.exp(law['residual_std']):.3f}" in text_of(client.get("/frontier"))


def test_the_page_of_two_sides_that_cross(tmp_path, monkeypatch):
    """The sentence stands above the figure; the figure has the crossing with its interval; JSON has the same."""
    fall = {"nano-F0": 0.1, "nano-F1": 0.2, "nano-F3": 0.3}

    def val_loss(model, epochs, seed, learning_rate=1.6):
        noise = random.Random(f"{model} {epochs} {seed}").gauss(0, 0.006)
        return 0.8 * (small_grid._seconds(model, epochs) / 6.5) ** -fall[model] * math.exp(noise)

    monkeypatch.setattr(small_grid, "val_loss", val_loss)
    fill(tmp_path / "scaling.db")
    client = TestClient(create_app(str(tmp_path / "scaling.db")))
    asked = "by=model&a=nano-F0&b=nano-F3"
    said = client.get(f"/compare.json?{asked}").json()
    assert said["better"] == said["crossing"]["overtakes"] == "nano-F3"
    at = said["crossing"]["core_hours"]
    assert at["low"] < 6.5 / 3600 < at["high"]
    page = text_of(client.get(f"/compare?{asked}"))
    assert "nano-F3 overtakes nano-F0 at about 0.0018" in said["sentence"]
    (drawn,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)
    assert 0 < page.index(said["sentence"]) < page.index(drawn)
    traces = {trace["name"]: trace for trace in json.loads(drawn)["data"]}
    assert traces["crossing"]["x"] == [at["value"]]
    assert traces["interval of the crossing"]["x"] == [at["low"], at["high"]]


def test_compare_opens_on_a_question_that_has_an_answer(client):
    """All runs are of one family: the page asks of the two models with the most runs, and its command says so."""
    page = text_of(client.get("/compare"))
    assert "Nothing to compare" not in page
    assert words_of_command(page, "scaling compare")[:8] == [
        "scaling",
        "compare",
        "--by",
        "model",
        "--a",
        "nano-F0",
        "--b",
        "nano-F3",
    ]
    assert "Nothing to compare" in text_of(client.get("/compare?by=family"))


def test_an_optimum_that_another_measure_of_compute_has_is_one_link_away(tmp_path, monkeypatch):
    """Hours that are mostly overhead grow with steps alone, so the largest model is the best at each; in FLOPs there is an optimum."""
    monkeypatch.setattr(small_grid, "_seconds", lambda model, epochs: 10.0 * epochs)
    fill(tmp_path / "scaling.db")
    client = TestClient(create_app(str(tmp_path / "scaling.db")))
    page = text_of(client.get("/frontier/optimum"))
    assert "No approach finds an optimum" in page
    (there,) = re.findall(r'<a href="([^"]*)">In train_flops there is an answer', page)
    assert "No approach finds an optimum" not in text_of(client.get(html.unescape(there)))


def test_the_estimate_is_compared_with_useful_core_hours(client):
    experiment = client.get("/api/v1/experiments/digits").json()["experiment"]
    share = experiment["core_hours"] / experiment["estimated_core_hours"]
    useful = text_of(client.get("/experiments/digits")).partition("<dt>Useful core-hours</dt>")[2].partition("</div>")[0]
    assert f"{100 * share:.0f} % of" in useful


def test_the_command_is_that_of_the_view(client, filled_store):
    page = text_of(client.get("/frontier?experiment=digits&x=flops&law=power-floor&on=all"))
    asked = ["--metric", "val_loss", "--x", "train_flops", "--law", "power-floor", "--on", "all", "--experiment", "digits"]
    assert words_of_command(page, "scaling fit") == ["scaling", "fit", *asked, "--db", str(filled_store)]


def test_runs_page_by_page(client):
    first = text_of(client.get("/runs?limit=20"))
    assert "Showing 1–20 of 43 runs" in first
    second_link = re.search(r'rel="next" href="([^"]+)"', first)
    assert second_link is not None
    second = text_of(client.get(second_link[1].replace("&amp;", "&")))
    assert "Showing 21–40 of 43 runs" in second


def test_a_run_says_why_it_ended(client):
    runs = {run["status"]: run for run in client.get("/runs.json").json()["runs"]}
    assert "lower the learning rate" in text_of(client.get(f"/runs/{runs['diverged']['id']}"))
    assert "labels outside 0 … 9" in text_of(client.get(f"/runs/{runs['failed']['id']}"))
    finished = text_of(client.get(f"/runs/{runs['finished']['id']}"))
    assert "MFU 5.0 %, 2.0 % of it waiting for input" in finished
    assert "compiled in 12.0 s, 432 MB of memory" in finished
    assert "0.1.0+abc1234" in finished
    assert "Examples per second" in finished
    assert (
        client.get(f"/runs/{runs['finished']['id'][:7]}", follow_redirects=False).headers["location"]
        == f"/runs/{runs['finished']['id']}"
    )


def test_an_experiment_lists_failures_with_the_command(client):
    page = text_of(client.get("/experiments/digits"))
    assert "ValueError: labels outside 0 … 9" in page
    assert "the training loss is nan at step 9" in page
    assert words_of_command(page, "scaling submit")[:4] == ["scaling", "submit", "experiments.yaml", "--db"]
    assert "39 finished" in page


def test_names_of_users_are_text_not_html(client_of, tmp_path):
    nasty = "</script><script>alert(1)</script>&'\""
    done = {"status": "finished", "val_loss": 1.0, "core_hours": 1.0, "model": nasty, "reason": nasty, "config": {"x": nasty}}
    client = client_of()
    with Store.open(str(tmp_path / "own.db")) as store, store.write() as session:
        session.add(Run(**{**run_row("nano-F0", 1, 0), **done}))
        session.add(Run(**{**run_row("nano-F0", 2, 0), **done, "val_loss": 0.5, "core_hours": 2.0}))
    run_id = client.get("/runs.json").json()["runs"][0]["id"]
    for path in ("/frontier", "/runs", f"/runs/{run_id}"):
        page = text_of(client.get(path))
        assert "<script>alert" not in page
        assert html.escape(nasty) in page.replace("&#34;", "&quot;").replace("&#39;", "&#x27;"), path


def test_assets_are_kept_for_ever_under_their_version(client):
    for name in ("plotly.js", "page.css", "charts.js", "icon.svg"):
        answer = client.get(asset_url(name))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        plain = client.get(asset_url(name), headers={"accept-encoding": "identity"})
        assert plain.content == answer.content
    assert len(client.get(asset_url("plotly.js")).content) > 1_000_000


@pytest.mark.parametrize(("cells", "seeds"), [(30, 2), (400, 30), (3_000, 3)])
def test_a_large_frontier_is_drawn_in_part(cells, seeds):
    table = pd.DataFrame(
        {
            "id": f"{cell}-{seed}",
            "family": "nfnet",
            "model": f"M{cell % 7}",
            "epochs": 1.0 + cell,
            "learning_rate": 1.0,
            "core_hours": 1.0 + cell,
            "val_loss": (1.0 + cell) ** -0.3 * (1 + 0.2 * (cell % 5)) + 0.001 * seed,
        }
        for cell in range(cells)
        for seed in range(seeds)
    )
    whole = frontier(table)
    shown = drawing.drawn(whole)
    assert (shown.cells, shown.runs) == (cells, cells * seeds)
    assert shown.is_all == (cells * seeds <= drawing.MOST_MARKS - cells)
    assert len(shown.frontier.points) + len(shown.frontier.runs) <= drawing.MOST_MARKS
    assert set(shown.frontier.on_frontier["cell"]) == set(whole.on_frontier["cell"])
    assert set(shown.frontier.runs["cell"]) <= set(shown.frontier.points["cell"])
