"""The pages over PostgreSQL, which is stricter than SQLite about what a text and a time may be."""

from __future__ import annotations

import base64
import json

import pytest
from starlette.testclient import TestClient

from api import create_app
from orchestrator.store import Store
from orchestrator.store.models import Run
from tests.api.small_grid import run_row
from tests.orchestrator.conftest import new_database


@pytest.fixture(scope="module")
def client(postgres):
    url = new_database(postgres)
    with Store.open(url) as store, store.write() as session:
        session.add(Run(**run_row("nano-F0", 1, 0)))
    return TestClient(create_app(url), raise_server_exceptions=False)


def test_hostile_texts_are_refused_or_find_nothing(client):
    for path in (
        "/api/v1/runs?model=a%00b",
        "/api/v1/runs?experiment=%00",
        "/api/v1/frontier?experiment=%00",
        "/runs/%00",
        "/experiments/a%00.csv",
    ):
        assert 400 <= client.get(path).status_code < 500, path
    assert client.get("/api/v1/runs?model=%ED%A0%80").json()["total"] == 0


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-01", "2026-03-01T09:30:00Z"])
@pytest.mark.parametrize("run", ["a", "\x00"])
def test_places_at_the_ends_of_time(client, time, run):
    token = base64.urlsafe_b64encode(json.dumps([time, run, 1]).encode()).decode()
    assert client.get("/api/v1/runs", params={"next": token}).status_code in (200, 422)
