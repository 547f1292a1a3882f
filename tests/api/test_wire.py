"""What comes over the wire before a route sees it: names that are not ours, HEAD, requests that are never finished."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
import uvicorn
from starlette.testclient import TestClient

import api.unfinished
from api import create_app
from scaling.cli.serve import serve_command
from scaling.errors import UsageError
from tests.api.test_hostile_queries import routes

OURS = ["127.0.0.1", "127.0.0.1:8000", "10.0.0.7:1", "[::1]:8000", "[fe80::1%25eth0]", "localhost", "LOCALHOST.:80", "a.localhost"]
OTHERS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:80",
    "localhost:evil",
    "user@localhost",
    "localhost/evil",
]
OTHERS += ["[::1].evil", "127.1", "", "\xff", "x" * 5000, "a..b", "-"]


@pytest.mark.parametrize("host", [*OURS, socket.gethostname(), "scaling.example.org", "Scaling.Example.org:443"])
def test_names_of_this_machine_are_answered(filled_store, host):
    client = TestClient(create_app(str(filled_store), allow_hosts=["scaling.example.org"]))
    assert client.get("/version", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize("path", ["/api/v1/runs", "/frontier", "/assets/plotly.js", "/healthz"])
def test_another_name_is_not(client, host, path):
    """A page of another site whose name was made to point here (DNS rebinding) reads nothing."""
    answer = client.get(path, headers={"host": host.encode("latin-1")})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert "--allow-host" in answer.json()["hint"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_two_names_are_none(client):
    assert client.get("/version", headers=[("host", "localhost"), ("host", "evil.example")]).status_code == 421


@pytest.mark.parametrize("name", ["http://scaling.example.org", "a b", "*", ""])
def test_a_name_to_allow_that_is_none(tmp_path, name):
    with pytest.raises(UsageError, match="is not a host's name"):
        serve_command(port=0, allow_host=[name], db=str(tmp_path / "own.db"))


def check_head(client, path):
    head, get = (client.request(method, path, follow_redirects=False) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b""), path
    varies = {"content-length"} if "html" in get.headers.get("content-type", "") else set()  # a page has the time in it
    assert {**head.headers, **dict.fromkeys(varies)} == {**get.headers, **dict.fromkeys(varies)}
    return head.status_code


def test_head_is_get_without_its_body_on_every_route(client, client_of):
    """Over a store that is not there yet, where every route answers at once; and some over one that is."""
    empty = client_of()
    for path, _ in routes():
        if path == "/metrics":  # it counts the requests, so it is another with each
            continue
        check_head(empty, path.replace("{name}", "digits").replace("{run_id}", "3f").replace("{file}", "zz"))
    found = [
        check_head(client, path)
        for path in ("/runs", "/api/v1/runs", "/runs.csv", "/experiments/digits", "/healthz", "/openapi.json")
    ]
    assert found == [200] * 6


@contextlib.contextmanager
def served(app):
    """The port of a real server that receives requests as `scaling serve` does."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, http=api.unfinished.CutsUnfinished, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=10)


async def slow(scope, receive, send):
    """Answers any request with ten lines, one every 0.15 s, as a stream of events does."""
    if scope["type"] != "http":
        return
    import asyncio

    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(10):
        await asyncio.sleep(0.15)
        await send({"type": "http.response.body", "body": f"data: {number}\n\n".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def seconds_until_cut(port, pieces, *, pause=0.1, longest=8.0):
    """How long the server keeps a connection over which these bytes come, a pause after each."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=longest) as connection, contextlib.suppress(ConnectionError):
        for piece in pieces:
            connection.sendall(piece)
            connection.settimeout(pause)
            with contextlib.suppress(TimeoutError):
                if connection.recv(1 << 16) == b"":
                    break
        else:
            connection.settimeout(longest)
            while connection.recv(1 << 16):
                pass
    return time.monotonic() - began


@pytest.fixture
def short_waits(monkeypatch):
    monkeypatch.setattr(api.unfinished, "REQUEST_SECONDS", 0.6)


def trickle():
    yield b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    for number in range(200):
        yield f"X-{number}: 1\r\n".encode()


def test_requests_that_are_never_finished_are_cut(short_waits):
    finished = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    with served(slow) as port:
        assert seconds_until_cut(port, []) < 3
        assert seconds_until_cut(port, [b"GET / HT"]) < 3
        assert seconds_until_cut(port, trickle()) < 3, "bytes that trickle in do not put it off"
        assert seconds_until_cut(port, [finished, *trickle()], pause=0.3) < 6, "the second request of a connection"
        assert seconds_until_cut(port, [body, *[b"x"] * 100], pause=0.1) < 6, "a body, after the answer to its head"


def test_answers_that_take_long_are_not_cut(short_waits):
    with served(slow) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for _ in range(2):  # also the second one of a connection
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"0\r\n\r\n"):
                got = connection.recv(1 << 16)
                assert got, answer
                answer += got
            assert answer.count(b"data: ") == 10


def test_a_request_in_pieces_is_answered(short_waits, filled_store):
    with served(create_app(str(filled_store))) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for piece in (b"GET /healthz HT", b"TP/1.1\r\nHost: localhost\r\nConnec", b"tion: close\r\n\r\n"):
            connection.sendall(piece)
            time.sleep(0.1)
        answer = b""
        while got := connection.recv(1 << 16):
            answer += got
        assert answer.startswith(b"HTTP/1.1 200")
