"""openapi.json: every route has a schema that its answers keep, so that a client can be made from it."""

from __future__ import annotations

import keyword

import httpx2
import jsonschema_rs
import pytest

from analysis import payload
from api import create_app
from benchmarks.api_contract import TOKEN, held_against_its_description
from orchestrator.store import Store
from tests.api.described import as_described, described, events_as_described, operations
from tests.api.small_grid import begin

OPEN = {"AnyRow", "AtLargest", "Crossing", "Point", "ReferenceRow", "RunDetail", "RunRow", "Score"}
"""Rows whose columns depend on the table."""


def test_every_route_is_described():
    paths = {path for _, path, _ in operations()}
    assert {f"/api/v1/{name}" for name in ("experiments", "runs", "runs/{run_id}", "fits", "frontier", "learning-rate")} <= paths
    probes = {"/healthz", "/readyz", "/version", "/metrics"}
    assert [path for path in paths - probes if not path.startswith("/api/v1/") and not path.endswith((".csv", ".log"))] == []
    for _, path, operation in operations():
        assert operation["summary"], path
        assert operation["responses"]["4XX"]["content"]["application/problem+json"]["schema"] == {
            "$ref": "#/components/schemas/Problem"
        }
        (kind,) = operation["responses"]["200"]["content"].values()
        assert kind["schema"], path
        if path.startswith("/api/") and "get" in described()["paths"][path]:
            assert "example" in kind, path


def test_a_client_made_from_it_has_good_names():
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    assert [name for name in names if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower()] == []
    assert {"list_runs", "get_run", "get_frontier", "pause_runs", "frontier_csv", "run_csv"} <= set(names)
    assert [name for name in described()["components"]["schemas"] if not name.isalnum()] == []


def test_answers_are_closed_but_for_rows_of_tables():
    schemas = described()["components"]["schemas"]
    answers = {name: schema for name, schema in schemas.items() if schema.get("type") == "object"}
    assert {name for name, schema in answers.items() if schema.get("additionalProperties") is not False} - OPEN == {
        "Excluded",  # of steering, which FastAPI itself writes by its model
        "Steered",
    }
    assert all(schemas[name]["additionalProperties"] for name in OPEN)


def test_the_example_of_the_events_is_as_they_are_described_and_what_is_not_is_found():
    example = described()["paths"]["/api/v1/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]["example"]
    assert [event["event"] for event in events_as_described(example)] == ["progress", "answered"]
    for right, wrong in (
        ('"runs_version": ', '"run_version": '),
        ('"link": ', '"page": '),
        ("event: answered", "event: done"),
        ('"total": 48', '"total": "48"'),
    ):
        assert example.count(right) == 1
        with pytest.raises(jsonschema_rs.ValidationError):
            events_as_described(example.replace(right, wrong))


@pytest.mark.parametrize("runs", [False, True])
def test_a_store_without_results_answers_as_it_is_described(tmp_path, runs):
    from starlette.testclient import TestClient

    path = tmp_path / "own.db"
    if runs:
        begin(path, finished=0)
    else:
        Store.open(str(path)).close()
    client = TestClient(create_app(str(path)), raise_server_exceptions=False)
    asked = [path for method, path, _ in operations() if method == "get" and "{" not in path and path != "/api/v1/events"]
    answers = {path: client.get(path).status_code for path in asked}
    assert set(answers.values()) <= {200, 422}
    assert {answers[f"/api/v1/{name}"] for name in ("runs", "experiments", "progress", "predictions")} == {200}


@pytest.mark.parametrize(
    ("path", "body", "fault"),
    [
        ("/healthz", {"status": "ok", "more": 1}, "more"),
        ("/version", {"name": "scaling", "version": "1"}, "schema_version"),
        ("/readyz", {"status": "ok", "runs": None}, "null is not of type"),
    ],
)
def test_an_answer_that_is_not_as_described_is_found(path, body, fault):
    answer = httpx2.Response(200, json=body, request=httpx2.Request("GET", f"http://testserver{path}"))
    with pytest.raises(AssertionError, match=fault):
        as_described(answer)


def test_nan_is_null_in_an_answer(client, monkeypatch):
    class Found:
        def to_dict(self):
            return {"sentence": "", "hits": 0, "scored": 1, "waiting": [], "scores": [
                {"name": "a", "observed": float("nan"), "hit": False, "predicted": {"value": 1.0, "low": -float("inf"), "high": 2.0}}
            ]}  # fmt: skip

    monkeypatch.setattr("api.v1.predictions.score", lambda *_: Found())
    monkeypatch.setattr("api.v1.predictions.payload", payload)
    (score,) = client.get("/api/v1/predictions?experiment=first-look").json()["scores"]
    assert (score["observed"], score["predicted"]["low"]) == (None, None)


def test_schemathesis_finds_no_fault(tmp_path):
    begin(tmp_path / "begun.db", finished=0)
    found = held_against_its_description(create_app(str(tmp_path / "begun.db"), token=TOKEN), examples=4, edges=False)
    assert found.faults == []
    assert len(found.asked) == len(operations()) - 1
