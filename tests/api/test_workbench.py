"""Runs as a workbench: found by words, in an order, with columns, laid over each other; siblings, the log, and failures by message."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api import create_app
from api.pages.experiment import failures
from api.pages.overlay import differing
from orchestrator.store import Store
from orchestrator.store.ledger import begin_attempt, open_allocation
from orchestrator.store.models import Attempt, Run
from scaling.outcomes import RunStatus
from tests.api.small_grid import run_row


def ids_on(page):
    return re.findall(r'<tr id="run-([0-9a-f]+)"', page)


def rows_of(client, query):
    return client.get(f"/api/v1/runs?limit=1000&{query}").json()["runs"]


def test_the_newest_run_comes_first(client):
    newest = [run["id"] for run in rows_of(client, "")][::-1]
    assert ids_on(client.get("/runs").text) == newest


def test_a_link_holds_words_order_and_columns(client):
    page = client.get("/runs?q=model:F3+lr%3E0.4&sort=val_loss&columns=seed&columns=val_loss,dataset").text
    runs = [run for run in rows_of(client, "") if run["model"] == "nano-F3" and run["learning_rate"] > 0.4]
    with_loss = sorted((run for run in runs if run["val_loss"] is not None), key=lambda run: run["val_loss"])
    assert ids_on(page)[: len(with_loss)] == [run["id"] for run in with_loss]
    assert len(ids_on(page)) == len(runs)
    heads = re.findall(r"<th[^>]*>(.*?)</th>", page.split('<table id="runs">')[1].split("</thead>")[0], re.DOTALL)
    assert [re.sub("<[^>]+>", "", head).strip() for head in heads] == ["ticked", "run", "seed", "val_loss ↑", "dataset"]
    assert 'value="model:F3 lr&gt;0.4"' in page
    assert "sort=-val_loss" in page
    csv = html.unescape(re.search(r'href="(/runs\.csv[^"]*)"', page)[1])
    assert [line.split(",")[0] for line in client.get(csv).text.splitlines()[1:]] == ids_on(page)


def test_pages_lead_forth_and_back(client):
    def follow(page, which):
        return client.get(html.unescape(re.search(rf'rel="{which}" href="([^"]+)"', page)[1])).text

    first = client.get("/runs?limit=15&sort=-val_loss").text
    assert 'rel="prev"' not in first
    second = follow(first, "next")
    third = follow(second, "next")
    assert "Showing 31–43 of 43 runs" in third
    assert 'rel="next"' not in third
    back = follow(third, "prev")
    assert (ids_on(back), "Showing 16–30 of 43 runs" in back) == (ids_on(second), True)
    assert ids_on(follow(back, "prev")) == ids_on(first)
    assert len({*ids_on(first), *ids_on(second), *ids_on(third)}) == 43


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("q=modle:F3", 'did you mean "model"?'),
        ("q=lr>fast", "learning_rate is a number"),
        ("sort=val_los", 'did you mean "val_loss"?'),
    ],
)
def test_what_is_not_understood(client, query, words):
    answer = client.get(f"/api/v1/runs?{query}")
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert words in html.unescape(client.get(f"/runs?{query}", headers={"accept": "text/html"}).text)


def test_a_column_that_is_none(client):
    assert 'did you mean "val_loss"?' in client.get("/runs?columns=val_los").json()["detail"]


def test_runs_are_compared_without_a_script(client):
    page = client.get("/runs").text
    assert '<form class="ticked" data-live method="get" action="/runs/overlay"' in page
    two = [run for run in rows_of(client, "status=finished") if run["model"] == "nano-F1"][:2]
    page = client.get("/runs/overlay", params={"run": [run["id"] for run in two]}).text
    table = page.split('<table id="differing">')[1].split("</table>")[0]
    named = re.findall(r'<th scope="row">(.*?)</th>', table)
    assert {"seed"} <= set(named) <= {"seed", "epochs", "steps", "schedule.epochs"}
    figures = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)]
    assert figures
    assert {line["name"] for figure in figures for line in figure["data"]} == {run["id"][:8] for run in two}


def test_a_comparison_of_none_of_too_many_and_of_one_that_is_not_there(client):
    assert "No run is ticked" in client.get("/runs/overlay").text
    runs = [run["id"] for run in rows_of(client, "")][:13]
    assert "at most 12" in client.get("/runs/overlay", params={"run": runs}).json()["detail"]
    assert client.get("/runs/overlay?run=zzzz").status_code == 404


def test_what_differs():
    settings = [{"a": 1, "b": None, "c": 2}, {"a": 1, "b": None, "c": 3, "d": "x"}]
    assert differing(settings) == {"c": [2, 3], "d": [None, "x"]}
    assert differing(settings[:1]) == {}


def test_a_run_has_its_siblings_and_a_title_that_tells_it_apart(client):
    runs = rows_of(client, "status=finished")
    run = next(run for run in runs if run["model"] == "nano-F0" and run["epochs"] == 4 and run["learning_rate"] == 0.8)
    page = client.get(f"/runs/{run['id']}").text
    assert "<title>nano-F0 · on digits · 4 epochs · rate 0.8 · batch 64 · seed 0 · scaling</title>" in page
    alike = [each["id"] for each in rows_of(client, "q=model=nano-F0+epochs=4")]
    table = page.split('id="siblings"')[1].split("</table>")[0]
    assert {run["id"], *re.findall(r"/runs/([0-9a-f]{16})", table)} == set(alike)


def test_the_end_of_a_log_is_on_the_page_of_its_run(tmp_path):
    path, row = tmp_path / "own.db", run_row("nano-F0", 4, 0)
    with Store.open(str(path)) as store, store.write() as session:
        session.add(Run(**row))
        session.flush()
        allocation = open_allocation(session, scheduler="test", shape="any", accelerator="cpu", cores=1)
        begin_attempt(session, row["id"], allocation_id=allocation, home=str(tmp_path))
        folder = Path(session.query(Attempt).one().directory)
    client = TestClient(create_app(str(path)))
    assert "The log is not on this machine" in client.get(f"/runs/{row['id']}").text
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("\x1b[31mstep 1 <b>\x1b[0m\n")
    answer = client.get(f"/runs/{row['id']}")
    assert "step 1 &lt;b&gt;</pre>" in answer.text
    assert answer.headers["cache-control"] == "no-store", "a log grows between two commits"
    follows = re.search(r'data-follow="(.*?)"', answer.text)[1]
    with (folder / "log.txt").open("a") as log:
        log.write("step 2\n")
    told = client.get(follows, headers={"If-None-Match": answer.headers.get("etag", "")})
    assert (told.text, told.headers["cache-control"]) == ("step 1 <b>\nstep 2", "no-store")
    assert client.get("/runs/0000.log").status_code == 404


def test_failures_are_grouped_by_message_with_the_command():
    def run(n, status, reason):
        return {"id": f"{n:016x}", "status": status, "reason": reason}

    runs = [run(n, RunStatus.FAILED, f"ValueError: bad image at step {n}\nTraceback") for n in range(3)]
    runs += [run(10, RunStatus.DIVERGED, "NaN"), run(11, RunStatus.FINISHED, ""), run(12, RunStatus.FAILED, "OutOfMemory")]
    first, second, third = failures("digits", runs, "scaling.db")
    assert (first.message, len(first.runs)) == ("ValueError: bad image at step …", 3)
    assert first.command == "scaling retry 00000000 00000000 00000000"
    assert (second.message, second.runs) == ("OutOfMemory", [f"{12:016x}"])
    assert (third.status, third.command) == ("diverged", None)
    many = failures("my grid", [run(n, RunStatus.FAILED, "x") for n in range(30)], "scaling.db")
    assert many[0].command == "scaling retry --experiment 'my grid'"


def test_an_experiment_shows_what_is_in_training(client):
    page = client.get("/experiments/digits").text
    table = page.split('id="in-training"')[1].split("</table>")[0]
    assert re.findall(r'<tr id="running-([0-9a-f]+)"', table) == [
        run["id"] for run in rows_of(client, "status=running&experiment=digits")
    ]
    assert "examples/s" in page
