"""An application over a store with a small grid in it, and a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, sync_playwright
from starlette.testclient import TestClient

from api import create_app
from api.serving import Server
from orchestrator.store import Store
from orchestrator.store.models import Run
from tests.api.described import as_described
from tests.api.small_grid import fill


@pytest.fixture(scope="session", autouse=True)
def _every_answer_is_as_described():
    """Every answer that a test of this folder gets from a route of openapi.json is held against it, whatever else the test asks."""
    plain = TestClient.request

    def request(self, *arguments, **named):
        answer = plain(self, *arguments, **named)
        as_described(answer)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestClient, "request", request)
        yield


@pytest.fixture(scope="session")
def filled_store(tmp_path_factory) -> Path:
    """Shared by all tests, so not to be written to."""
    path = tmp_path_factory.mktemp("store") / "scaling.db"
    fill(path)
    return path


@pytest.fixture(scope="session")
def application(filled_store) -> FastAPI:
    """One for `client` and `site`, which remembers for one what it computed for the other."""
    return create_app(str(filled_store))


@pytest.fixture(scope="session")
def client(application) -> TestClient:
    return TestClient(application, raise_server_exceptions=False)


@pytest.fixture
def client_of(tmp_path):
    """`client_of()`: over a store of its own that does not exist yet; `client_of(rows)`: over one with these runs, waiting."""

    def make(rows=None) -> TestClient:
        path = tmp_path / "own.db"
        if rows is not None:
            with Store.open(str(path)) as store, store.write() as session:
                session.add_all(Run(**row) for row in rows)
        return TestClient(create_app(str(path)), raise_server_exceptions=False)

    return make


@pytest.fixture(scope="session")
def site(application) -> Iterator[str]:
    """The application in a real server on a free port of the loopback interface: its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(application)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = os.environ.get("SCALING_CHROMIUM") or shutil.which("chromium")
    if not program:
        reason = "the pages are tested in Chromium: `apt install chromium`, or name one in SCALING_CHROMIUM"
        assert not os.environ.get("SCALING_CI"), reason  # where everything must be checked, a missing browser is a failure
        pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()
