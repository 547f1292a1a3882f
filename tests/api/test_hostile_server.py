"""`--server URL` and a server that is broken, another program, or means harm: one error, within bounds, and nothing else."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

import scaling.cli.server as server_module
from scaling.cli.app import app
from scaling.cli.server import Server
from scaling.errors import ServerError, UsageError


@contextlib.contextmanager
def serving(answer):
    """The address of a server that answers each request by `answer(handler)`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *_):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_):
            pass

    with Quiet(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def body(content, status=200, **headers):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()

    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    return answer


def refused(command, address, match):
    """The error, as the command raises it. It comes at once."""
    began = time.monotonic()
    result = CliRunner().invoke(app, [*command, "--server", address])
    assert time.monotonic() - began < 20
    assert isinstance(result.exception, ServerError), result.exception
    assert match in str(result.exception)
    assert result.stdout == ""
    assert "\n" not in str(result.exception)
    return result.exception


@pytest.fixture(scope="module")
def real(site):
    """What a real server says: {path: JSON object}."""
    with urlopen(f"{site}/api/v1/runs?limit=3") as runs, urlopen(f"{site}/api/v1/experiments") as experiments:
        page, found = json.load(runs), json.load(experiments)
    with urlopen(f"{site}/api/v1/runs/{page['runs'][0]['id']}") as run:
        return {"runs": page | {"next": None}, "run": json.load(run), "status": found}


def changed(content, path, value):
    """A copy of it with another value at a place; `...` takes the place away."""
    copy = json.loads(json.dumps(content))
    place = copy
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


COMMANDS = {"runs": ["runs"], "run": ["runs", "3f"], "status": ["status"]}
WRONG = [
    ("runs", ["runs"], {}), ("runs", ["runs"], ...), ("runs", ["runs", 0], "text"), ("runs", ["runs", 0, "epochs"], "1"), ("runs", ["runs", 0, "id"], None),
    ("runs", ["runs", 0, "learning_rate"], 10**400), ("runs", ["runs", 0, "val_loss"], float("inf")), ("runs", ["runs", 0, "val_loss"], [1]), ("runs", ["next"], 7),
    ("runs", ["runs", 0, "model"], "\ud800"), ("runs", ["runs", 0, "status"], ...), ("runs", ["runs", 0, "experiments"], "digits"), ("runs", ["next"], ...),
    ("run", ["run"], None), ("run", ["run", "attempt_rows"], 3), ("run", ["run", "attempt_rows", 0, "useful_seconds"], "1"), ("run", ["run", "attempt_rows", 0, "number"], ...),
    ("run", ["run", "metrics"], {"train_loss": 1}), ("run", ["run", "core_hours"], float("nan")), ("run", ["schema_version"], ...),
    ("status", ["experiments"], {"a": 1}), ("status", ["experiments", 0, "runs"], []), ("status", ["experiments", 0, "core_hours"], "x"), ("status", ["scheduler"], "me"),
    ("status", ["experiments", 0, "searches"], {"settled": 1}), ("status", ["experiments", 0, "saved"], ...), ("status", ["experiments", 0, "name"], 5),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "path", "value"), WRONG)
@pytest.mark.parametrize("shape", [[], ["--json"]], ids=["table", "json"])
def test_an_answer_of_another_shape_is_named(real, kind, path, value, shape):
    with serving(body(changed(real[kind], path, value))) as address:
        refused([*COMMANDS[kind], *shape], address, "is not `scaling serve`")


def places_in(value, at=()):
    """Every place in an answer; of a list the first two."""
    if at:
        yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(2, len(value))):
            yield from places_in(value[key], (*at, key))


OTHERS = (..., None, "x", 7, -1e300, True, [], {}, [1], {"a": 1}, 2**62)


@pytest.mark.parametrize("shape", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.parametrize("kind", COMMANDS)
def test_whatever_is_changed_in_an_answer_is_read_or_one_error(real, kind, shape):
    """A drawn part of all (place, value); all of them were tried once. `validate` alone is quick, a command is run for some."""
    content = real[kind]
    if kind == "status":
        content = changed(content, ["experiments", 0, "skipped"], {"runs": 2, "examples": 3})
        content = changed(content, ["experiments", 0, "no_better_than_guessing"], ["3fa9"])
    drawn = random.Random(f"{kind} {shape}").sample([(place, value) for place in places_in(content) for value in OTHERS], 25)
    said = {}

    def answer(handler):
        body(real["runs"] if kind == "status" and "/runs" in handler.path else said["content"])(handler)

    with serving(answer) as address:
        for place, value in drawn:
            said["content"] = changed(content, place, value)
            error = CliRunner().invoke(app, [*COMMANDS[kind], *shape, "--server", address]).exception
            assert error is None or isinstance(error, ServerError), (place, value, error)
            assert "\n" not in str(error)


def test_fields_that_are_not_in_the_table_of_columns_are_looked_at_too(real):
    for kind, place, values in (
        ("status", ["experiments", 0, "skipped"], ("x", [1], 7, {"runs": 1}, {"runs": [], "examples": 1})),
        ("status", ["experiments", 0, "no_better_than_guessing"], ([1, 2], "abc", 7, {"a": 1})),
        ("status", ["interrupted"], ("4", None, [1])),
        ("run", ["run", "parent_step"], ("4", [1])),
        ("run", ["run", "code_version"], ([1], 7)),
    ):
        for value in values:
            with serving(body(changed(real[kind], place, value))) as address:
                refused(COMMANDS[kind], address, ".".join(map(str, place)))


def test_an_older_server_says_less_of_one_run_and_of_an_experiment(real):
    detail, found = real["run"], real["status"]
    for name in ("parent_step", "code_version", "chance_loss", "packed"):
        detail = changed(detail, ["run", name], ...)
    for place in (["interrupted"], ["experiments", 0, "skipped"], ["experiments", 0, "no_better_than_guessing"]):
        found = changed(found, place, ...)

    def answer(handler):
        body(detail if "/runs/" in handler.path else found if "experiments" in handler.path else real["runs"])(handler)

    with serving(answer) as address:
        for command in COMMANDS["run"], COMMANDS["status"]:
            result = CliRunner().invoke(app, [*command, "--server", address])
            assert result.exit_code == 0, result.exception


def test_what_a_server_may_leave_out_or_add(real):
    """One that is somewhat older or newer is read."""
    older = changed(changed(real["runs"], ["runs", 0, "packed"], ...), ["runs", 0, "new_column"], {"deep": [1]})
    with serving(body(older)) as address:
        rows = Server(address).runs()
    assert (rows[0]["packed"], rows[0]["new_column"]) == (None, {"deep": [1]})
    assert rows[1:] == real["runs"]["runs"][1:]


@pytest.mark.parametrize(
    "text",
    [b"", b"<html>", b"\xff\xfe\x00", b"[" * 100_000, b'{"schema_version": 1, "runs": ' + b"[" * 500 + b"]" * 500 + b', "next": null}', b"null", b"{}", b"9" * 5000, b'{"schema_version": {}}'],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_what_is_no_answer(text):
    with serving(body(text)) as address, pytest.raises(ServerError) as caught:
        Server(address).runs()
    assert caught.value.hint


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b'{"detail": 5}', b'{"detail": "a", "hint": [1]}', b"[" * 100_000])
@pytest.mark.parametrize("status", [204, 304, 300, 401, 404, 500, 999])
def test_an_error_without_a_reason(status, text):
    with serving(body(text, status)) as address:
        refused(["status"], address, f"it has status {status}" if status != 999 else "")


def test_a_reason_is_cut_short():
    with serving(body({"detail": "x" * 10**6, "hint": "\ud800"}, 404)) as address, pytest.raises(UsageError) as caught:
        Server(address).experiments()
    assert len(str(caught.value)) == 1000


def test_pages_without_end(real, monkeypatch):
    counted = []

    def endless(handler):
        counted.append(1)
        body(real["runs"] | {"next": f"t{len(counted)}"})(handler)

    monkeypatch.setattr(server_module, "_PAGES", 30)
    with serving(endless) as address:
        refused(["runs"], address, "more than 30 pages")
    assert len(counted) == 30
    with serving(body(real["runs"] | {"next": "same"})) as address:
        refused(["fit"], address, "its pages lead nowhere")
    with serving(body(real["runs"] | {"runs": [], "next": "t"})) as address:
        refused(["runs"], address, "its pages lead nowhere")


def test_bytes_without_end(monkeypatch, real):
    monkeypatch.setattr(server_module, "_ANSWER_BYTES", 2**20)

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65536)

    with serving(endless) as address:
        refused(["status"], address, "more than 1 MiB")
    monkeypatch.setattr(server_module, "_ALL_BYTES", 2 * len(json.dumps(real["runs"])))
    tokens = iter(range(100))
    with serving(lambda handler: body(real["runs"] | {"next": str(next(tokens))})(handler)) as address:
        refused(["runs"], address, "MiB")


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n{", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_bytes_that_trickle_in(monkeypatch, start):
    """Each comes well before a socket would time out."""
    monkeypatch.setattr(server_module, "_ANSWER_SECONDS", 0.7)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle():
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(start)
                while True:
                    connection.sendall(start if b"100" in start else b"x" if start else b"")
                    time.sleep(0.05)

        threading.Thread(target=trickle, daemon=True).start()
        refused(["status"], f"http://127.0.0.1:{listener.getsockname()[1]}", "did not answer whole within 1 seconds")


def test_redirects_stay_on_the_server(real, site):
    def same(handler):
        if handler.path.startswith("/api"):
            body(b"x" * 100, 302, Location="/moved" + handler.path)(handler)
        else:
            body(real["status"])(handler)

    with serving(same) as address:
        assert Server(address).experiments() == real["status"]
    for elsewhere in (
        site,
        site.replace("127.0.0.1", "localhost"),
        "https://scaling.example.org",
        "//scaling.example.org/",
        "file:///etc/passwd",
        "ftp://a/b",
    ):
        with serving(body(b"", 307, Location=f"{elsewhere}/api/v1/experiments")) as address:
            refused(["status"], address, "another server")
    with serving(body(b"", 301, Location="/api/v1/experiments")) as address:
        refused(["status"], address, "in a circle")
    with serving(body(b"", 301, Location="http://[")) as address:
        refused(["status"], address, "")


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://a", "http://", "http://a:99999", "http://[::1", "http://a b", "http://a\n", "file:///etc/passwd", ""],
)
def test_what_is_no_address(url):
    with pytest.raises(UsageError, match="is not an address"):
        Server(url)
