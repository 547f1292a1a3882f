"""Every error leaves in one shape, for programs and in the same words for people."""

from __future__ import annotations

import itertools
import json
import sqlite3

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.security import HEADERS
from orchestrator.store import Store
from tests.api.small_grid import run_row

SHAPE = {"type", "title", "status", "detail", "code", "hint", "errors"}


def problem_of(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    assert "etag" not in response.headers
    body = json.loads(response.text)
    assert set(body) >= SHAPE
    assert body["status"] == status
    assert body["type"] == f"urn:scaling:problem:{body['code']}"
    assert body["hint"], "a problem says what to do"
    return body


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [
        ("/nowhere", 404, "not-found", "/nowhere"),
        ("/api/v1/nowhere", 404, "not-found", "/api/v1/nowhere"),
        ("/assets/plotly-0.0.0.js", 404, "not-found", "plotly-0.0.0.js"),
        ("/api/v1/runs/zzzz", 404, "not-found", "'zzzz'"),
        ("/runs/zzzz", 404, "not-found", "'zzzz'"),
        ("/api/v1/experiments/digit", 404, "not-found", 'did you mean "digits"?'),
        ("/experiments/digit", 404, "not-found", 'did you mean "digits"?'),
        ("/api/v1/runs?experiment=digit", 422, "unknown-name", 'did you mean "digits"?'),
        ("/api/v1/runs?status=finishd", 422, "unknown-name", 'did you mean "finished"?'),
        ("/api/v1/runs?next=rubbish", 422, "usage-error", "not a token"),
        ("/api/v1/frontier?metric=val_los", 422, "unknown-name", 'did you mean "val_loss"?'),
        ("/api/v1/frontier?metric=val_top1", 422, "usage-error", "better when higher"),
        ("/api/v1/fits?law=powr", 422, "unknown-name", 'did you mean "power"?'),
        ("/frontier?law=powr", 422, "unknown-name", 'did you mean "power"?'),
        ("/frontier.csv?x=core_hour", 422, "unknown-name", 'did you mean "core_hours"?'),
    ],
)
def test_what_does_not_exist_is_named_with_the_nearest(client, path, status, code, words):
    body = problem_of(client.get(path), status)
    assert body["code"] == code
    assert words in body["detail"]


def test_several_faults_are_listed_together(client):
    body = problem_of(client.get("/api/v1/runs?limit=0&modle=F0"), 422)
    assert body["code"] == "invalid-request"
    assert {entry["where"] for entry in body["errors"]} == {"query.limit", "query.modle"}


def test_a_fault_of_a_parameter_is_told_once_in_plain_words(client):
    page = client.get("/frontier?at=abc", headers={"accept": "text/html"}).text
    assert page.count("takes a number, found &#39;abc&#39;") == 1
    assert "openapi.json" not in page
    assert problem_of(client.get("/api/v1/fits?level=2"), 422)["detail"] == "level takes a number of at most 0.999, found '2'"


def test_a_link_that_cannot_be_read_is_refused_before_its_answer_is_begun(filled_store):
    with TestClient(create_app(str(filled_store), patience_seconds=0.0)) as hasty:
        for link in (
            "/frontier?at=abc",
            "/frontier?law=powr",
            "/runs?q=foo:bar",
            "/runs?columns=nope",
            "/runs?sort=nope",
            "/runs?next=x",
        ):
            assert hasty.head(link, headers={"accept": "text/html"}).status_code == 422, link
            assert hasty.get(link, headers={"accept": "text/html"}).status_code == 422, link
        assert hasty.get("/runs?q=-status:failed", headers={"accept": "text/html"}).status_code == 202


def test_a_model_to_focus_on_is_one_of_the_frontier(client):
    assert 'did you mean "nano-F3"?' in problem_of(client.get("/frontier?focus=nano-F4"), 422)["detail"]


def test_a_prefix_of_several_runs(client):
    ids = sorted(run["id"] for run in client.get("/runs.json").json()["runs"])
    shared = next(a[0] for a, b in itertools.pairwise(ids) if a[0] == b[0])
    assert "not unique" in problem_of(client.get(f"/api/v1/runs/{shared}"), 422)["detail"]


def test_another_method(client):
    answer = client.post("/api/v1/runs")
    assert problem_of(answer, 405)["code"] == "method-not-allowed"
    assert answer.headers["allow"] == "GET"


def test_too_few_points_says_how_many_more(client):
    body = problem_of(client.get("/api/v1/fits?experiment=first-look&law=power"), 422)
    assert (body["code"], body["have"], body["need"]) == ("too-few-points", 1, 3)
    assert "2 more are needed" in body["detail"]
    assert "scaling submit" in body["hint"]


def test_no_store(client_of):
    client = client_of()
    for path in ("/api/v1/runs", "/api/v1/frontier", "/frontier.json", "/readyz"):
        body = problem_of(client.get(path), 503)
        assert (body["code"], "there is no store" in body["detail"]) == ("store-error", True)


def test_a_file_that_is_no_store(client_of, tmp_path):
    (tmp_path / "own.db").write_text("not a database")
    assert "cannot be opened" in problem_of(client_of().get("/readyz"), 503)["detail"]


def test_a_store_of_a_newer_version(client_of, tmp_path):
    Store.open(str(tmp_path / "own.db")).close()
    with sqlite3.connect(tmp_path / "own.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    client = client_of()
    assert problem_of(client.get("/api/v1/runs"), 503)["code"] == "store-too-new"
    page = client.get("/frontier", headers={"accept": "text/html"})
    assert page.status_code == 503
    assert "newer version" in page.text


def test_a_mistake_of_the_server_tells_nothing_of_its_inside(client_of, monkeypatch):
    client = client_of([run_row("nano-F0", 1, 0)])
    monkeypatch.setattr("api.v1.runs.page_of_runs", lambda *_: 1 / 0)
    body = problem_of(client.get("/api/v1/runs"), 500)
    assert "division" not in json.dumps(body)


def test_people_read_the_same_words_on_a_page(client):
    for path in ("/nowhere", "/runs/zzzz", "/frontier?law=powr", "/runs?limit=0"):
        answer = client.get(path, headers={"accept": "text/html,*/*"})
        body = client.get(path).json()
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.status_code == body["status"]
        for words in (
            body["detail"],
            *([body["hint"]] if body["code"] != "invalid-request" else []),
        ):  # openapi.json is for programs
            assert words[1:30].replace("'", "&#39;").replace('"', "&#34;").split("`")[0] in answer.text
        assert "scaling docs" not in answer.text
    assert client.get("/frontier?law=powr").json()["why"] == "scaling docs refused#columns-and-names"
    assert client.get("/api/v1/nowhere", headers={"accept": "text/html"}).headers["content-type"] == "application/problem+json"
    assert (
        client.get("/frontier.csv?law=1&x=y", headers={"accept": "text/html"}).headers["content-type"] == "application/problem+json"
    )
