"""`scaling serve` as a process: it says where it listens, a port in use is an error with a way out, and a store may come later."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from orchestrator.store import Store
from orchestrator.store.models import Run
from scaling.cli.serve import EXAMPLES, serve_command
from scaling.errors import ScalingError, UsageError
from tests.api.described import events_as_described
from tests.api.small_grid import run_row

COMMAND = [sys.executable, "-c", "import typer; from scaling.cli.serve import serve_command; typer.run(serve_command)"]


def answered(url, seconds=60):
    """The page, once its first answer is there."""
    deadline = time.monotonic() + seconds
    while True:
        with urlopen(url, timeout=30) as page:
            if page.status == 200:
                return page.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def worker_of(server, seconds=60):
    """The id of the process that computes answers, once it has begun."""
    deadline = time.monotonic() + seconds
    while True:
        children = subprocess.run(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(server)], capture_output=True, text=True)
        found = [int(line.split()[0]) for line in children.stdout.splitlines() if "spawn_main" in line]
        if found:
            return found[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ScalingError, match=f"port {port} of 127.0.0.1 is in use") as caught:
            serve_command(port=port, db=str(tmp_path / "own.db"))
    assert f"--port {port + 1}" in caught.value.hint


def test_a_host_that_is_not_ours():
    with pytest.raises(UsageError, match=r"192\.0\.2\.1") as caught:
        serve_command(host="192.0.2.1", port=0)
    assert "127.0.0.1" in caught.value.hint


def test_it_serves_a_store_that_comes_later_outlives_its_worker_and_ends_on_ctrl_c(tmp_path):
    path = tmp_path / "later.db"
    with subprocess.Popen([*COMMAND, "--port", "0", "--db", str(path)], stderr=subprocess.PIPE, text=True) as server:
        try:
            line = server.stderr.readline()
            url = line.split()[0]
            assert url.startswith("http://127.0.0.1:")
            assert url.endswith("/frontier")
            with urlopen(url, timeout=30) as page:
                assert "Nothing has been run yet" in page.read().decode()
            with Store.open(str(path)) as store, store.write() as session:
                session.add(Run(**run_row("nano-F0", 1, 0)))
            assert "1 pending" in answered(url)
            with urlopen(url.replace("/frontier", "/api/v1/events"), timeout=30) as stream:
                (event,) = events_as_described("".join(line.decode() for line in iter(stream.readline, b"\n")))
            assert json.loads(event["data"])["version"] == event["id"]
            os.kill(worker_of(server.pid), signal.SIGKILL)
            with pytest.raises(HTTPError) as refused:  # 422: there is nothing to fit, says the next process
                urlopen(url.replace("/frontier", "/api/v1/frontier"), timeout=60)
            assert refused.value.code == 422
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=15) == 0
            assert server.stderr.read() == ""
        finally:
            server.kill()


def test_it_ends_on_sigterm(filled_store):
    """A service manager ends it so. The worker's semaphores are given back: Python would warn of them on stderr."""
    with subprocess.Popen([*COMMAND, "--port", "0", "--db", str(filled_store)], stderr=subprocess.PIPE, text=True) as server:
        try:
            urlopen(server.stderr.readline().split()[0].replace("frontier", "runs"), timeout=30).close()
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=15) == 0
            assert server.stderr.read() == ""
        finally:
            server.kill()


def test_pages_load_neither_ray_nor_jax(filled_store):
    program = (
        "import sys; from starlette.testclient import TestClient; from api import create_app\n"
        f"client = TestClient(create_app({str(filled_store)!r}))\n"
        "for path in ('/frontier', '/learning-rate', '/runs', '/experiments/digits'): assert client.get(path).status_code == 200, path\n"
        "print(sorted({'ray', 'jax', 'flax', 'trainer'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_examples_are_of_this_command():
    lines = [line.split("   ")[0] for line in EXAMPLES.splitlines() if line]
    assert lines
    assert all(line.startswith("scaling serve") for line in lines)
