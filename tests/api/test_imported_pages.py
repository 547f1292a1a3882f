"""Imported runs lack most of what runs of the store have: every page works on them, and commands over HTTP say what they say of the file."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api import create_app
from api.serving import Server
from orchestrator.imports import read_import, write_import
from scaling.cli.app import app
from tests.api.test_pages import PAGES

FULL = [
    {"run_id": f"[b]r{i}{a}", "params.net": f"n{i % 3}", "params.augment": a, "params.params": 10 ** (4 + i % 3), "params.epochs": 2**i,
     "metrics.val_loss": 4.0 - i / 5 - (a == "mixup") / 3, "metrics.gpu_hours": 2.0**i * (1 + i % 3), "status": "FINISHED"}
    for i in range(6) for a in ("none", "mixup")
] + [{"run_id": "gone", "metrics.val_loss": None, "metrics.gpu_hours": 1.0, "status": "FAILED"}]  # fmt: skip


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A store of three imports: one of a tracker, one of compute and loss alone, one of loss alone."""
    folder = tmp_path_factory.mktemp("imported")
    tables = {
        "full": FULL,
        "bare": [{"train_flops": 10.0**i, "val_loss": 6 - i / 5} for i in range(15, 22)],
        "poor": [{"val_loss": 3 - i / 5, "width": 64 * 2**i} for i in range(6)],
    }
    for name, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        lines = [",".join("" if row.get(column) is None else str(row[column]) for column in columns) for row in rows]
        (folder / f"{name}.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
        write_import(
            read_import(folder / f"{name}.csv", {"val_loss": "val_loss"} if name == "poor" else None), str(folder / "scaling.db")
        )
    return str(folder / "scaling.db")


@pytest.fixture(scope="module")
def client(imported):
    return TestClient(create_app(imported), raise_server_exceptions=False)


def test_every_page_works_on_imported_runs(client):
    runs = client.get("/api/v1/runs").json()["runs"]
    asked = [path for path in PAGES if path not in ("/experiments", "/experiments/digits", "/compare?by=model&a=nano-F1&b=nano-F3")]
    places = [f"{path}?experiment={name}" for path in asked for name in ("bare", "full")]
    places += [f"/experiments/{name}" for name in ("bare", "full", "poor")]
    places += [f"/runs/{run['id']}" for run in (runs[0], runs[-1])]
    places += ["/", "/runs", "/runs.csv", "/experiments", "/experiments.csv", "/frontier?experiment=poor", "/plan?experiment=poor"]
    places += ["/compare?experiment=full&by=augment&a=none&b=mixup"]
    for place in places:
        assert client.get(place).status_code == 200, place
    routes = [
        f"/api/v1/{name}" for name in ("runs", "experiments", f"runs/{runs[0]['id']}", "experiments/poor", "frontier", "fits")
    ]
    for place in [*routes, *(f"{path}?experiment={name}" for path in routes[-2:] for name in ("bare", "poor"))]:
        assert client.get(place).status_code in (200, 422), place  # and as openapi.json says, as all answers here


def test_a_page_says_where_they_are_from_and_offers_no_training(client):
    run = client.get("/api/v1/runs?experiment=full").json()["runs"][0]
    page = client.get(f"/runs/{run['id']}").text
    assert "full.csv" in page
    assert "[b]r0none" in page
    assert "has not logged a step yet" not in page
    experiment = client.get("/experiments/full").text
    assert "full.csv" in experiment
    assert "scaling submit" not in experiment
    assert "--map core_hours=gpu_hours" in experiment or "core_hours" in experiment


def test_what_tells_cells_apart_goes_over_http(imported, monkeypatch):
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(create_app(imported))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    asked = ["fit", "--experiment", "full", "--law", "power", "--on", "all", "--bootstrap", "100", "--json"]
    near, far = (
        json.loads(CliRunner().invoke(app, [*asked, *where]).stdout)
        for where in (["--db", imported], ["--server", f"http://127.0.0.1:{listener.getsockname()[1]}"])
    )
    server.should_exit = True
    assert near["input"].pop("command") != far["input"].pop("command")
    assert near == far
    assert near["input"]["config"]
