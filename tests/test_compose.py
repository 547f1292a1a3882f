"""docker-compose.yml without a Docker engine: the file holds together, and each service's own command, run as a process, does its part.

Where the line is: images are not built and containers not started here. Commands, environment, health checks and the way the services
find each other are the file's own; only host names, ports and folders are put in place of the containers', and Ray asks for a token, as the
file says for a shared network.
"""

import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from scaling.cli.app import app

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
BIN = str(Path(sys.executable).parent)

GRID = """\
name: composed
dataset: {name: digits}
models: [{name: tiny, width: [8], depth: [1], group_width: 4, stem: medium}]
epochs: [0.25, 0.5]
batch_size: 64
learning_rate: 1.6
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_services_share_one_image_and_publish_nothing_beyond_this_machine():
    assert set(SERVICES) == {"head", "worker", "submit", "api"}
    assert {service["image"] for service in SERVICES.values()} == {"scaling"}
    assert {json.dumps(service["environment"], sort_keys=True) for service in SERVICES.values()} == {
        json.dumps(SERVICES["head"]["environment"], sort_keys=True)
    }
    assert [port for service in SERVICES.values() for port in service.get("ports", [])] == ["127.0.0.1:8000:8000"]
    assert all(service["init"] and service["stop_grace_period"] == "40s" for service in SERVICES.values())


def test_volumes_reach_whoever_needs_them():
    mounted = {name: {entry.split(":")[0] for entry in service.get("volumes", [])} for name, service in SERVICES.items()}
    assert mounted["api"] == {"store"}
    assert mounted["worker"] == {"runs"}
    assert {"store", "runs"} <= mounted["submit"]
    assert set(COMPOSE["volumes"]) == {"store", "runs"}
    environment = SERVICES["head"]["environment"]
    paths = {entry.split(":")[0]: entry.split(":")[1] for entry in SERVICES["submit"]["volumes"]}
    assert environment["SCALING_DB"].startswith(paths["store"] + "/")
    assert environment["SCALING_HOME"] == paths["runs"]


def test_what_waits_waits_for_health():
    for name in ("worker", "submit"):
        assert SERVICES[name]["depends_on"] == {"head": {"condition": "service_healthy"}}
    assert {"head", "worker", "api"} == {name for name, service in SERVICES.items() if "healthcheck" in service}


def test_the_image_installs_what_the_distribution_has():
    dockerfile = (ROOT / SERVICES["head"]["build"]["dockerfile"]).read_text()
    for package in ("scaling", "orchestrator", "trainer", "analysis", "api"):
        assert f"COPY {package} {package}" in dockerfile
    for folder in ("/var/lib/scaling/store", "/var/lib/scaling/runs"):
        assert folder in dockerfile


def test_the_submit_entrypoint_starts_a_node_and_then_runs_its_command():
    """Without starting that node: on one machine the head's serves. `$$` is compose's way to write `$`."""
    shell, flag, script, *rest = [part.replace("$$", "$") for part in SERVICES["submit"]["entrypoint"]]
    assert script.startswith("ray start --address=head:6379 --num-cpus=0 ")
    done = subprocess.run(
        [shell, flag, f"true {script}", *rest, "printf", "%s|", "two words", "x"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "two words|x|"
    refused = subprocess.run([shell, flag, f"false {script}", *rest, "printf", "x"], capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (1, "")


class Composed:
    """The services as processes on this machine."""

    def __init__(self, folder):
        self.folder, self.ray_port, self.api_port = folder, free_port(), free_port()
        self.environment = (
            os.environ
            | {key: value.replace("/var/lib/scaling", str(folder)) for key, value in SERVICES["head"]["environment"].items()}
            | {"PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1", "HOME": str(folder)}
            | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        )
        self.processes = []

    def command(self, text):
        """A service's command, with this machine's places for the containers'."""
        for theirs, ours in (
            ("head:6379", f"127.0.0.1:{self.ray_port}"),
            ("127.0.0.1:6379", f"127.0.0.1:{self.ray_port}"),
            ("--port=6379", f"--port={self.ray_port} --node-ip-address=127.0.0.1 --temp-dir={self.folder}/ray"),
            ("--host 0.0.0.0 --port 8000", f"--port {self.api_port}"),
            (":8000/", f":{self.api_port}/"),
        ):
            text = text.replace(theirs, ours)
        if "ray start --address" in text:
            text = text.replace("--num-cpus", "--node-ip-address=127.0.0.1 --num-cpus")
        return text

    def start(self, service):
        command = shlex.split(self.command(SERVICES[service]["command"]))
        log = (self.folder / f"{service}-{len(self.processes)}.log").open("w")
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def is_healthy(self, service):
        kind, *test = SERVICES[service]["healthcheck"]["test"]
        command = ["sh", "-c", self.command(test[0])] if kind == "CMD-SHELL" else [self.command(part) for part in test]
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=20).returncode == 0

    def wait_healthy(self, service, seconds=60):
        deadline = time.monotonic() + seconds
        while not self.is_healthy(service):
            assert time.monotonic() < deadline, f"{service} is not healthy"
            assert self.processes[-1].poll() is None, f"{service} left"
            time.sleep(1.0)  # a check takes a second of a core itself

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def composed():
    with tempfile.TemporaryDirectory(prefix="c-", ignore_cleanup_errors=True) as folder:  # short: Ray puts sockets under it
        composed = Composed(Path(folder))
        yield composed
        composed.stop()


def submit_locally(folder):
    """The runs of the same file on a Ray of its own, of which no temporary file stays."""
    temporary = folder / "t"
    temporary.mkdir()
    environment = os.environ | {"SCALING_DB": str(folder / "local.db"), "SCALING_HOME": str(folder / "local"), "NO_COLOR": "1"}
    environment |= {"TMPDIR": str(temporary), "HOME": str(folder)}
    subprocess.run(
        [f"{BIN}/scaling", "submit", "grid.yaml"], cwd=folder, env=environment, check=True, capture_output=True, timeout=200
    )
    assert list(temporary.iterdir()) == []
    assert (folder / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
    listed = CliRunner().invoke(app, ["runs", "--json", "--db", environment["SCALING_DB"]], catch_exceptions=False)
    return json.loads(listed.stdout)["runs"]


def check_that_a_token_is_asked_for(composed, submit):
    """Without it, or with another cluster's: one sentence within seconds, exit code 1."""
    known = {name: value for name, value in composed.environment.items() if name != "RAY_AUTH_TOKEN"}
    for environment, words in (
        (known | {"RAY_AUTH_MODE": "disabled"}, "wants a token, and RAY_AUTH_MODE=token is not set here"),
        (known | {"RAY_AUTH_TOKEN": "another"}, "wants a token, and the one of RAY_AUTH_TOKEN is missing or another cluster's"),
    ):
        refused = subprocess.run(
            shlex.split(submit), cwd=composed.folder, env=environment, capture_output=True, text=True, timeout=60
        )
        assert refused.returncode == 1
        assert words in refused.stderr
        assert "RAY_AUTH_TOKEN_PATH" in refused.stderr.splitlines()[-1]


def test_each_services_own_command_and_the_result_equals_the_local_one(composed):
    (composed.folder / "grid.yaml").write_text(GRID)
    composed.start("head")
    composed.wait_healthy("head")
    for service in ("worker", "api"):
        composed.start(service)
        composed.wait_healthy(service)

    submit = composed.command(SERVICES["submit"]["command"]).replace("experiments.yaml", "grid.yaml")
    check_that_a_token_is_asked_for(composed, submit)
    done = subprocess.run(
        shlex.split(submit), cwd=composed.folder, env=composed.environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr

    with urllib.request.urlopen(f"http://127.0.0.1:{composed.api_port}/api/v1/runs", timeout=20) as answer:
        served = json.load(answer)["runs"]
    local = submit_locally(composed.folder)
    result = {run["id"]: (run["status"], run["val_loss"], run["val_top1"], run["step"]) for run in served}
    assert len(result) == 2
    assert {status for status, *_ in result.values()} == {"finished"}
    assert result == {run["id"]: (run["status"], run["val_loss"], run["val_top1"], run["step"]) for run in local}
