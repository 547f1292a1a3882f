"""`--server URL`: every reading command says over HTTP what it says of the file, and an address that is wrong is one line."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
from typer.testing import CliRunner

import scaling.cli.server as server_module
from scaling.cli.app import app
from scaling.errors import ServerError, UsageError


def run(*arguments):
    result = CliRunner().invoke(app, [str(word) for word in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["runs"],
        ["runs", "--status", "failed"],
        ["runs", "--experiment", "digits", "--csv"],
        ["fit", "--where", "seed=0"],
        ["frontier", "--bootstrap", "100"],
        ["lr"],
        ["compare", "--by", "model", "--a", "nano-F1", "--b", "nano-F3"],
        ["plan", "--budget", "0.01", "--target", "0.1"],
    ],
    ids=" ".join,
)
def test_the_same_numbers_as_from_the_file(site, filled_store, command, monkeypatch):
    monkeypatch.setattr(server_module, "_RUNS_A_PAGE", 7)  # several pages
    shape = [] if "--csv" in command else ["--json"]
    near, far = run(*command, "--db", filled_store, *shape), run(*command, "--server", site, *shape)
    if shape:
        near, far = json.loads(near), json.loads(far)
        for answer in (near, far):
            answer.pop("input", None)  # which file, which server
    assert near == far


def test_one_run_with_its_curves(site, filled_store):
    (first, *_) = json.loads(run("runs", "--server", site, "--json"))["runs"]
    assert run("runs", first["id"][:6], "--server", site, "--json") == run("runs", first["id"], "--db", filled_store, "--json")


def test_the_answer_says_where_its_runs_came_from(site):
    assert json.loads(run("fit", "--server", site, "--json"))["input"]["command"] == ["--server", site]


def test_faults_of_the_address():
    with pytest.raises(UsageError, match="is not an address"):
        run("status", "--server", "localhost:8000")
    with pytest.raises(ServerError, match=r"nobody answers at http://127\.0\.0\.1:9") as caught:
        run("runs", "--server", "http://127.0.0.1:9")
    assert "scaling serve" in caught.value.hint


def test_what_answers_is_something_else():
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(ServerError, match="not `scaling serve`"):
            run("status", "--server", f"http://127.0.0.1:{other.server_port}")
        other.shutdown()


def test_errors_of_the_server_are_said_as_here(site):
    with pytest.raises(UsageError, match="unknown experiment 'digitz'; did you mean") as caught:
        run("runs", "--experiment", "digitz", "--server", site)
    assert "first-look" in caught.value.hint


def test_predictions_are_registered_in_the_store_itself(site):
    with pytest.raises(UsageError, match="only reads"):
        run("predict", "--at", 1, "--register", "big", "--server", site)
