"""The answers on the pages are those of the analysis: a sentence first, then its law, target, plan and optimum."""

from __future__ import annotations

import html
import json
import math
import re

import pytest
from starlette.testclient import TestClient

from analysis import EndForecast
from analysis.interval import Interval
from analysis.running import Then
from api import create_app
from api.pages.curves import curve_figures
from orchestrator.store import open_readonly
from tests.api.page_text import commands_of, text_of, words_of_command


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
    assert client.get(f"/api/v1/runs/{running}").json()["run"]["forecast"]["sentence"] in page
    assert f"Before its first held-out evaluation run {running} is expected to end at val_loss" in page
    over = runs.loc[runs["status"] == "finished", "id"].iloc[0]
    assert "Where it will end" not in text_of(client.get(f"/runs/{over}"))
    assert client.get(f"/api/v1/runs/{over}").json()["run"]["forecast"] is None


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


def test_the_page_of_a_run_in_training_waits_for_no_forecast(filled_store, client):
    """It is there at once, and the forecast with a later look, made for all clients once."""
    hasty = create_app(str(filled_store), patience_seconds=0.0)
    begun, plain = [], hasty.state.forecasts._begun
    hasty.state.forecasts._begun = lambda run: begun.append(plain(run)) or begun[-1]
    with TestClient(hasty) as looks:
        running = looks.get("/api/v1/runs?status=running").json()["runs"][0]["id"]
        assert "Where it will end" not in text_of(looks.get(f"/runs/{running}"))
        begun[0].result(60)
        pages = {text_of(looks.get(f"/runs/{running}")) for _ in range(3)}
    assert len(begun) == 1
    sentence = client.get(f"/api/v1/runs/{running}").json()["run"]["forecast"]["sentence"]
    assert all(sentence in page for page in pages)


def test_the_learning_rate_of_many_cells_says_what_it_shows(client, monkeypatch):
    monkeypatch.setattr("api.pages.learning_rate.ROWS_SHOWN", 1)
    monkeypatch.setattr("api.pages.learning_rate.MOST_MARKS", 1)
    page = text_of(client.get("/learning-rate?level=0.91"))
    assert re.search(r"Showing 1 of \d+ cells; ", page)
    assert re.search(r"The loss at each rate is not drawn: \d+ points are more than 1\.", page)
