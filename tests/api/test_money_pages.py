"""Money on the pages and in their JSON: beside core-hours where prices are known, nothing where they are not."""

from __future__ import annotations

import html
import re

import pytest
from starlette.testclient import TestClient

from api import create_app
from orchestrator.store import Store
from orchestrator.store.models import Revision
from tests.api.small_grid import fill


@pytest.fixture(scope="module")
def priced(tmp_path_factory) -> TestClient:
    path = tmp_path_factory.mktemp("priced") / "priced.db"
    fill(path)
    with Store.open(str(path)) as store, store.write() as session:
        for revision in session.query(Revision):
            resources = {"resources": {"accelerator": "cpu"}, "price": {"cpu": 200.0}, "currency": "EUR"}
            revision.resolved = {**revision.resolved, **resources, "budget": {"core_hours": None, "money": 900.0}}
    return TestClient(create_app(str(path)))


def text_of(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", answer.text)))


def test_the_json_has_costs_and_their_currency(priced):
    for run in priced.get("/api/v1/runs").json()["runs"]:
        if run["core_hours"]:
            assert run["cost"] == pytest.approx(200 * run["core_hours"])
            assert run["currency"] == "EUR"
    (row,) = (row for row in priced.get("/experiments.json").json()["experiments"] if row["name"] == "digits")
    assert row["allocated_cost"] == pytest.approx(200 * row["allocated_core_hours"])
    assert row["estimated_cost"] == pytest.approx(200 * row["estimated_core_hours"])
    assert (row["budget_cost"], row["currency"]) == (900.0, "EUR")
    points = priced.get("/frontier.json").json()
    assert points["currency"] == "EUR"
    assert all(point["cost"] == pytest.approx(200 * point["core_hours"]) for point in points["points"])
    plan = priced.get("/plan.json").json()
    assert plan["cost"] == pytest.approx(200 * plan["core_hours"])
    header = priced.get("/experiments.csv").text.splitlines()[0].split(",")
    assert {"cost", "allocated_cost", "estimated_cost", "currency"} <= set(header)


@pytest.mark.parametrize("path", ["/frontier", "/plan", "/experiments", "/experiments/digits"])
def test_the_pages_show_money_where_prices_are_known_alone(priced, client, path):
    money = re.compile(r"\d EUR\b|cost \(")
    assert money.search(text_of(priced, path))
    assert not money.search(text_of(client, path))


def test_a_run_shows_what_it_cost(priced, client):
    run = priced.get("/api/v1/runs").json()["runs"][0]["id"]
    assert " EUR" in text_of(priced, f"/runs/{run}")
    assert "EUR" not in text_of(client, f"/runs/{run}")


def test_a_link_names_prices_and_no_file(priced, client, tmp_path):
    found = client.get("/frontier.json?price=2.5+GBP").json()
    assert found["currency"] == "GBP"
    assert all(point["cost"] == pytest.approx(2.5 * point["core_hours"]) for point in found["points"])
    assert "Cost is core_hours at 2.5 GBP a chip-hour on cpu" in text_of(client, "/frontier?price=2.5+GBP")
    assert priced.get("/frontier.json?price=2.5+GBP").json()["currency"] == "GBP", "one that is named counts before the file's"
    (tmp_path / "prices.csv").write_text("accelerator,price\ncpu,1\n")
    refused = client.get(f"/frontier.json?price={tmp_path}/prices.csv")
    assert refused.status_code == 422
    assert "is no price" in refused.text
    assert priced.get("/frontier.json?x=cost").json()["x"] == "cost"
    assert client.get("/frontier.json?x=cost").status_code == 422
