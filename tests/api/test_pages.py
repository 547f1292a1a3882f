"""What the pages say, read as text: each state teaches, every view is a link, nothing is written into HTML unescaped."""

from __future__ import annotations

import html
import json
import math
import random
import re
import shlex

import pandas as pd
import pytest
from starlette.testclient import TestClient

import api.pages.drawing as drawing
from analysis import EndForecast, frontier
from analysis.interval import Interval
from analysis.running import Then
from api import create_app
from api.assets import asset_url
from api.pages import tabs
from api.pages.curves import curve_figures
from api.security import HEADERS
from orchestrator.store import Store, open_readonly
from orchestrator.store.models import Run
from tests.api import small_grid
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


def text_of(response, status=200):
    assert response.status_code == status, response.text
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    return response.text


def commands_of(page):
    return [html.unescape(re.sub("<[^>]+>", "", code)) for code in re.findall("<code[^>]*>(.*?)</code>", page)]


def words_of_command(page, start):
    """The words of the one command on the page that begins like this."""
    (command,) = {command for command in commands_of(page) if command.startswith(start)}
    return shlex.split(command)


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
def test_a_refusal_on_a_page_names_the_section_that_explains_it(client, path):
    assert "Why: <code>scaling docs refused#too-few-points</code>" in text_of(client.get(f"{path}?experiment=first-look"))


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


class TestWhichRuns:
    """Rows chosen and core-hours converted, in the spelling of the command line."""

    @pytest.fixture
    def mixed(self, tmp_path):
        path = tmp_path / "mixed.db"
        fill(path)
        with Store.open(str(path)) as store, store.write() as session:
            for run in session.query(Run).filter(Run.model == "nano-F3"):
                run.accelerator = "TPU-v3"
            for run in session.query(Run).filter(Run.model != "nano-F3"):
                run.accelerator = "TPU-v4"
        return TestClient(create_app(str(path)))

    def test_mixed_accelerators_are_refused_until_a_conversion_is_named(self, mixed):
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
    def test_every_view_keeps_the_choice(self, client, path):
        mark = "&" if "?" in path else "?"
        page = html.unescape(text_of(client.get(f"{path}{mark}where=seed%3D0&where=&convert=&cell=dataset,seed&cell=")))
        assert "runs were chosen: seed is 0" in page
        assert 'name="where" value="seed=0"' in page
        assert 'name="cell" value="dataset,seed"' in page
        assert any("--cell dataset,seed" in command for command in commands_of(page) if command.startswith("scaling"))
        assert (path in ("/frontier", "/frontier/laws", "/frontier/trust", "/plan")) == ('name="clusters"' in page)

    def test_the_form_is_open_where_cells_are_told_apart(self, client):
        page = text_of(client.get("/learning-rate?cell=seed"))
        assert 'name="cell" value="seed"' in page
        assert '<details class="chosen" open>' in page
        assert 'name="clusters"' not in page

    def test_what_is_resampled_is_kept_where_a_law_is_fitted(self, client):
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

    def test_a_condition_that_no_run_meets_says_so(self, client):
        page = html.unescape(text_of(client.get("/frontier?where=seed%3D77"), 422))
        assert "unknown seed '77'" in page


def test_the_pages_show_the_law_that_the_analysis_chooses_with_both_lights(client):
    law = client.get("/api/v1/fits?on=frontier").json()["fits"][0]
    assert law["chosen"]
    assert law == client.get("/frontier/trust.json").json()["fit"]
    for path in ("/frontier", "/frontier/trust"):
        page = text_of(client.get(path))
        for name, light in law["lights"].items():
            mark = {True: "✓", False: "✗", None: "?"}[light["ok"]]
            assert f"{name.replace('_', ' ')} {mark}" in page
            assert light["reason"] in page
    page = text_of(client.get("/frontier/laws"))
    assert f"{law['law']}</a>, the law" in page
    assert page.count("forecasts well") == page.count("identified ✓") + page.count("identified ✗")


def test_a_residual_is_a_share_and_not_a_logarithm(client):
    residuals = client.get("/frontier/trust.json?law=power&on=all").json()["residuals"]
    largest = max(residuals, key=lambda row: abs(row["residual"]))
    share = 100 * (largest["val_loss"] / largest["predicted"] - 1)
    assert abs(share - 100 * largest["residual"]) > 1
    assert f"{share:+.2f} %" in text_of(client.get("/frontier/trust?law=power&on=all"))


def test_the_page_of_a_run_in_training_says_where_it_will_end(client, filled_store):
    with open_readonly(str(filled_store)) as store:
        runs = store.runs()
    running = runs.loc[runs["status"] == "running", "id"].iloc[0]
    page = text_of(client.get(f"/runs/{running}"))
    assert "Where it will end" in page
    assert f"Before its first held-out evaluation run {running} is expected to end at val_loss" in page
    assert "Where it will end" not in text_of(client.get(f"/runs/{runs.loc[runs['status'] == 'finished', 'id'].iloc[0]}"))


def test_the_loss_of_a_run_has_the_band_of_its_forecast():
    end, then = (
        Interval(0.4, 0.3, 0.5),
        [Then(share, Interval(1.0 - share / 2, 0.8 - share / 2, 1.2 - share / 2)) for share in (0.5, 1.0)],
    )
    forecast = EndForecast("r", "val_loss", 0.95, 100, 0.5, 0.7, end, "law", end, ("params",), 9, 0.1, 0.1, None, tuple(then))
    evaluations = [{"split": "validation", "step": 50, "loss": 0.7, "top1": 0.5, "top5": None}]
    figures = dict(curve_figures({}, evaluations, 100, forecast))
    band, mark = figures["Loss (nats)"]["data"][-2:]
    assert band["x"] == [50.0, 100.0, 100.0, 50.0]
    assert band["y"] == pytest.approx([0.55, 0.3, 0.7, 0.95])
    assert (mark["x"], mark["y"], mark["error_y"]["array"]) == ([100], [0.4], [pytest.approx(0.1)])
    assert len(figures["Accuracy"]["data"]) == 1


def test_the_frontier_begins_with_the_headline_and_laws_to_switch_to(client, filled_store):
    from analysis import answer, regret
    from analysis.headline import headline

    runs = open_readonly(str(filled_store)).runs(None)
    words = headline(answer(runs), regret(runs))
    page = text_of(client.get("/frontier"))
    shown = html.unescape(re.sub("<[^>]+>", "", re.search(r'<p id="answer">(.*?)</p>', page)[1]))
    assert shown == words.replace("^-", "−").replace("^", "")
    assert page.index('id="answer"') < page.index("<form")
    assert client.get("/frontier.json").json()["headline"] == words
    laws = re.search(r'<nav class="laws".*?</nav>', page, re.S)[0]
    errors = client.get("/api/v1/fits?law=power&on=frontier").json()["fits"][0]["forecast_error"]
    assert f"×/÷ {math.exp(errors):.3f}" in laws
    assert 'href="/frontier?law=power"' in laws


def test_the_target_works_without_javascript(client):
    page = text_of(client.get("/frontier?at=0.02&metric=val_loss&on=all"))
    panel = re.search(r'id="target".*?</section>', page, re.S)[0]
    row = client.get("/api/v1/outlook?at=0.02&on=all").json()["outlook"][0]
    assert row["words"]["value"] in panel
    assert f"{row['model']} at " in panel
    assert row["words"]["most"] in panel
    assert '<input type="hidden" name="on" value="all">' in panel
    assert '<input type="number" name="at" min="0" step="any" value="0.02">' in panel
    grid = json.loads(re.search(r'id="grid">(.*?)</script>', panel, re.S)[1])
    some = grid[len(grid) // 2]
    there = client.get(f"/api/v1/outlook?at={some['at']}&on=all").json()["outlook"][0]
    assert {name: some[name] for name in ("value", "best", "where", "price")} == {
        name: there["words"][name] for name in ("value", "best", "where", "price")
    }


def test_what_halves_the_interval_is_what_the_command_says(client, filled_store):
    from analysis import halve

    page = text_of(client.get("/frontier/halving?target=0.05"))
    found = halve(open_readonly(str(filled_store)).runs(None), target=0.05)
    assert client.get("/api/v1/halving?target=0.05").json()["sentence"] == found.sentence()
    way = found.cheapest or found.ways[0]
    assert way.words[1:] in html.unescape(page)
    assert words_of_command(page, "scaling plan")[:5] == ["scaling", "plan", "--halve", "--target", "0.05"]


def test_no_machine_code_stands_before_a_sentence_and_run_ids_are_links(client):
    page = text_of(client.get("/frontier"))
    found = re.findall(r"<li>(.*?)</li>", re.search(r'<ul class="diagnostics">.*?</ul>', page, re.S)[0], re.S)
    assert found
    for entry in found:
        words = html.unescape(re.sub("<[^>]+>", "", entry)).strip()
        assert re.match(r"[A-Z\d]", words), words
        assert re.search(r"<code[^>]*>[a-z-]+</code>$", entry.strip())
    diagnostics = client.get("/api/v1/fits?law=power-floor&on=frontier").json()["fits"][0]["diagnostics"]
    named = re.findall(r"\b[0-9a-f]{16}\b", str([entry["message"] for entry in diagnostics]))
    assert named
    assert all(f'href="/runs/{run}"' in page for run in named)


def test_the_plan_says_first_whether_these_runs_can_tell(client):
    page = text_of(client.get("/plan"))
    body = client.get("/plan.json").json()
    assert html.unescape(re.search(r'<p id="answer">(.*?)</p>', page)[1]) == body["can_tell"]
    assert body["least_width"] == pytest.approx(math.sqrt(1 - body["share_of_law"]))
    assert page.index('id="answer"') < page.index('id="plan"')


def test_the_optimum_says_what_is_missing_and_what_mends_it(client):
    page = text_of(client.get("/frontier/optimum?where=model=nano-F0"))
    assert any(command.startswith("scaling submit experiments.yaml --db ") for command in commands_of(page))
    assert "three sizes" in page


def test_losses_of_rates_lie_about_their_curves(client, filled_store):
    from analysis import learning_rate_trend
    from analysis.figures import losses_of_rates_figure

    trend = learning_rate_trend(open_readonly(str(filled_store)).runs(None))
    figure = losses_of_rates_figure(trend)
    best = [trace for trace in figure.data if trace.name.endswith("best rate")]
    assert [trace.x[0] for trace in best] == trend.optima["learning_rate"].tolist()
    assert [trace.x[0] + trace.error_x.array[0] for trace in best] == pytest.approx(trend.optima["high"].tolist())
    curves = [trace for trace in figure.data if trace.mode == "lines"]
    marks = [trace for trace in figure.data if trace.mode == "markers" and trace not in best]
    for curve, runs in zip(curves, marks, strict=True):
        line = list(zip(curve.x, curve.y, strict=True))
        there = [min(line, key=lambda point, rate=rate: abs(math.log(point[0] / rate)))[1] for rate in runs.x]
        assert all(abs(math.log(value / height)) < 0.1 for value, height in zip(runs.y, there, strict=True))
    assert 'id="losses"' in text_of(client.get("/learning-rate"))
